"""Writes the golden files in ``tests/golden/``: small .calo files that every later release must decode.

    python scripts/make_golden.py [--replace]

The folders are ``context-ID/CASE``, or ``without-context-model/CASE`` for codings that need none. Each holds
``picture.calo``, ``reference.png`` (the picture as the model "tiny" decodes it) and ``test.json``: the output
of ``calotype info``, the sha256 of the decoded integers (int16 little-endian, [4, h, w] in C order), the
tolerance of the pixels (0 to 255), and hashes of the metadata.

New context models get new folders; those of older ones stay. Without ``--replace`` only missing folders are
written. It replaces files whose context model has an experimental id, for it may change until the first
tagged release; files whose context model has a permanent id, or which need none, are never replaced.
"""

from __future__ import annotations

import hashlib
import io
import json
import struct
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import calotype
from calotype.container import (
    Chunk,
    ChunkType,
    Coding,
    Header,
    ParsedFile,
    PatchCodec,
    Rectangle,
    Region,
    file_checksum,
    pack_patches,
    pack_regions,
    parse_file,
    serialise_file,
    unpack_patches,
)
from calotype.decoding import decode_latents, region_refinements
from calotype.encoding import encode_latents
from calotype.encoding.patch_coding import code_patches
from calotype.encoding.rate import TrialEncoder
from calotype.entropy import Product, decode_integers
from calotype.latents import CHANNEL_OFFSETS, STEPS, level_map, palette
from calotype.limits import Limits
from calotype.models import DEFAULT_CONTEXT_MODEL, integer_product, load_context_model, model_id

__all__ = ["CASES", "GOLDEN", "describe", "integers_of", "tolerance_of"]

ROOT = Path(__file__).parents[1]
GOLDEN = ROOT / "tests" / "golden"
MODEL = "tiny"
FIRST_EXPERIMENTAL_ID = 240
TOLERANCE = {"rmse": 0.5, "peak": 1.0}
PATCHES_TOLERANCE = {"rmse": 2.0, "peak": 16.0}
"""The tolerance if patches have colours: other readers interpolate chroma in other ways."""

_D50 = (0.9642, 1.0, 0.8249)
# Red, green and blue of Display P3 in XYZ, adapted to D50.
_PRIMARIES = ((0.51512, 0.24120, -0.00105), (0.29198, 0.69225, 0.04189), (0.15710, 0.06657, 0.78407))


@dataclass(frozen=True)
class Case:
    """A golden file: its purpose, and its construction."""

    why: str
    make: Callable[[], bytes]
    needs_context_model: bool = True

    def folder(self, name: str) -> Path:
        """Where the case is kept; that of tables no longer the default stays where it is."""
        return (
            GOLDEN
            / (f"context-{DEFAULT_CONTEXT_MODEL}" if self.needs_context_model else "without-context-model")
            / name
        )


def _photo(rows: slice, columns: slice) -> NDArray[np.uint8]:
    """Returns a part of the sample photograph, uint8[h, w, 3]."""
    with Image.open(ROOT / "samples" / "astronaut.png") as image:
        return np.asarray(image.convert("RGB"))[rows, columns]


def _encoded(image: Image.Image | NDArray[np.uint8], **options: Any) -> bytes:
    return calotype.encode(image, model=MODEL, **options)


def _rgb() -> bytes:
    return _encoded(_photo(slice(0, 480, 20), slice(0, 480, 20)))


def _grey() -> bytes:
    grey = Image.fromarray(_photo(slice(90, 99), slice(200, 217))).convert("L")
    plain = parse_file(_encoded(grey, quality=80), limits=Limits())
    # 0x7F is an ancillary type that will never have a meaning: readers must skip it.
    return serialise_file(plain.header, plain.payload, plain.checksum, [Chunk(0x7F, b"unknown")])


def _transparent() -> bytes:
    rgb = _photo(slice(0, 480, 20), slice(0, 480, 12))
    alpha = np.minimum(np.arange(40) * 8, 255).astype(np.uint8) * np.ones((24, 1), np.uint8)
    image = Image.fromarray(np.dstack([rgb, alpha]))
    exif = Image.Exif()
    exif[0x010F] = "Talbot"
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"/>'
    image.info.update(icc_profile=_profile(), exif=exif.tobytes(), xmp=xmp)
    return _encoded(image, keep_metadata=True)


def _profile() -> bytes:
    """A small ICC profile: Display P3 primaries, gamma 2.2."""

    def fixed(*values: float) -> bytes:
        return b"".join(struct.pack(">i", round(value * 65536)) for value in values)

    tags = {b"desc": b"desc\0\0\0\0\0\0\0\5test\0" + bytes(78), b"cprt": b"text\0\0\0\0CC0\0"}
    tags[b"wtpt"] = b"XYZ \0\0\0\0" + fixed(*_D50)
    for colour, primary in zip(b"rgb", _PRIMARIES, strict=True):
        tags[bytes([colour]) + b"XYZ"] = b"XYZ \0\0\0\0" + fixed(*primary)
        tags[bytes([colour]) + b"TRC"] = b"curv\0\0\0\0\0\0\0\1" + struct.pack(">H", round(2.2 * 256))
    start = 128 + 4 + 12 * len(tags)
    table, body = struct.pack(">I", len(tags)), b""
    for name, data in tags.items():
        table += name + struct.pack(">II", start + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    kinds = struct.pack(">I4s4s4s", 0x02100000, b"mntr", b"RGB ", b"XYZ ")
    head = struct.pack(">I4x16s12x4s28x", start + len(body), kinds, b"acsp") + fixed(*_D50)
    return head.ljust(128, b"\0") + table + body


def _one_pixel() -> bytes:
    return _encoded(np.array([[[200, 120, 40]]], np.uint8))


def _header(width: int, height: int, level: int = 0, grey: bool = False) -> Header:
    return Header(
        coding=0,
        space=1,
        context_model=DEFAULT_CONTEXT_MODEL,
        encoder=model_id(MODEL),
        width=width,
        height=height,
        level=level,
        grey=grey,
    )


def _fine() -> bytes:
    """Returns a file of latents unlike those of photographs, which the context model predicts badly."""
    latents = np.random.RandomState(1).standard_cauchy((4, 8, 8)).clip(-400, 400).astype(np.float32)
    return encode_latents(latents, _header(64, 64), calotype.EncodeOptions(quality=100))


def _palette() -> bytes:
    return _encoded(_photo(slice(50, 100), slice(100, 170)), recipe="palette")


def _coarse() -> bytes:
    return _encoded(_photo(slice(60, 130), slice(180, 285)), quality=0, scale=1)


def _smaller() -> bytes:
    """Returns a file that is coded as 30x23, with latents of 32x24; the alpha plane is not scaled."""
    alpha = np.minimum(np.arange(47) * 8, 255).astype(np.uint8) * np.ones((36, 1), np.uint8)
    rgb = _photo(slice(0, 432, 12), slice(0, 470, 10))
    return _encoded(Image.fromarray(np.dstack([rgb, alpha])), scale=0.625)


def _larger() -> bytes:
    return _encoded(_photo(slice(0, 264, 12), slice(0, 270, 10)), quality=90, scale=1.5)


def _extended() -> bytes:
    return _encoded(_photo(slice(0, 72, 12), slice(0, 108, 12)), quality=90)


def _regions(first: bool = False) -> bytes:
    """Returns a file with two rectangles that overlap, and one whose levels would be negative."""
    photo = _photo(slice(60, 140), slice(180, 292))
    latents = decode_latents(parse_file(_encoded(photo, quality=100, scale=1), limits=Limits())).latents
    regions = [Region(1, 2, 6, 5, 16), Region(4, 4, 5, 4, 40), Region(13, 9, 1, 1, 127)]
    header = replace(_header(112, 80), regions=True, regions_first=first)
    chunk = Chunk(ChunkType.REGIONS, pack_regions(regions))
    return encode_latents(latents, header, calotype.EncodeOptions(quality=20), (chunk,))


def _at_level(level: int) -> bytes:
    """Returns a file at a level that encoders do not use."""
    values = np.random.RandomState(level).randint(-400, 401, (4, 3, 4))
    header = _header(30, 21, level, grey=True)
    trial = TrialEncoder(
        (values / 100).astype(np.float32), load_context_model(header.context_model), 0.0
    ).trial(level)
    return serialise_file(
        header, trial.payload(), file_checksum(header, trial.integers.astype("<i2").tobytes())
    )


def _patches(
    size: tuple[int, int], rectangles: Sequence[Rectangle], *, luma: bool, codec: PatchCodec
) -> bytes:
    """Returns a file with patches that show another part of the photograph, so that each is visible."""
    width, height = size
    picture = Image.fromarray(_photo(slice(60, 60 + height), slice(180, 180 + width)))
    parsed = parse_file(_encoded(picture, quality=30, scale=1), limits=Limits())
    others = _photo(slice(300, 300 + height), slice(200, 200 + width))
    patches = code_patches(others, rectangles, 60, luma=luma, feather=5, codec=codec)
    chunks = (Chunk(ChunkType.PATCHES, pack_patches(patches)), *parsed.chunks)
    return serialise_file(parsed.header, parsed.payload, parsed.checksum, chunks)


CASES = {
    "rgb-24x24": Case("a picture of whole blocks", _rgb),
    "grey-17x9": Case("sides that are cropped, a grey picture, an unknown ancillary chunk", _grey),
    "rgba-40x24": Case("alpha, an ICC profile, EXIF and XMP", _transparent),
    "one-pixel": Case("the smallest picture", _one_pixel),
    "fine-64x64": Case("the finest level of encoders: escapes, raw low bits, a full grid", _fine),
    "coarse-105x70": Case("the coarsest level of encoders", _coarse),
    "smaller-47x36": Case("a picture coded smaller than it is shown, with alpha", _smaller),
    "larger-27x22": Case("a picture coded larger than it is shown", _larger),
    "extended-9x6": Case("a picture of few latents, which are repeated at its borders", _extended),
    "regions-112x80": Case("regions with finer levels, which overlap", _regions),
    "regions-first-112x80": Case("the same regions before the payload", lambda: _regions(first=True)),
    "level-0": Case("the finest level there is", lambda: _at_level(0)),
    "level-127": Case("the coarsest level there is", lambda: _at_level(127)),
    "patches-96x72": Case(
        "patches in AV1 that overlap, touch borders, and are narrower than their ramps",
        lambda: _patches(
            (96, 72),
            ((10, 12, 31, 22), (30, 25, 20, 17), (83, 0, 13, 9), (3, 60, 4, 7)),
            luma=False,
            codec=PatchCodec.AV1,
        ),
    ),
    "patches-luma-66x41": Case(
        "a patch in AV1 of which only the luma counts, over the whole picture",
        lambda: _patches((66, 41), ((0, 0, 66, 41),), luma=True, codec=PatchCodec.AV1),
    ),
    "patches-vp8-66x41": Case(
        "patches in VP8",
        lambda: _patches((66, 41), ((7, 3, 33, 18), (45, 20, 21, 16)), luma=False, codec=PatchCodec.VP8),
    ),
    "patches-vp8-luma-66x41": Case(
        "patches in VP8 of which only the luma counts",
        lambda: _patches((66, 41), ((7, 3, 33, 18), (45, 20, 21, 16)), luma=True, codec=PatchCodec.VP8),
    ),
    "palette-70x50": Case("the palette coding", _palette, needs_context_model=False),
}


def integers_of(parsed: ParsedFile, product: Product = integer_product) -> NDArray[np.int16]:
    """Returns the decoded integers int16[4, h, w], by networks that multiply with ``product``."""
    header = parsed.header
    width, height = (-(-side // 8) for side in header.coded_size)
    if header.coding == Coding.PALETTE:
        return palette.unpack_palette_payload(parsed.payload, height, width)
    levels = level_map(header.level, region_refinements(parsed.chunks, height, width))
    context_model = replace(load_context_model(header.context_model), product=product)
    return decode_integers(context_model, parsed.payload, levels, STEPS, CHANNEL_OFFSETS).integers


def tolerance_of(parsed: ParsedFile) -> dict[str, float]:
    """Returns the allowed difference of a file's pixels from the reference, 0 to 255."""
    data = parsed.chunk(ChunkType.PATCHES)
    if data is None or unpack_patches(data, parsed.header.width, parsed.header.height).luma:
        return TOLERANCE
    return PATCHES_TOLERANCE


def describe(data: bytes, why: str) -> dict[str, Any]:
    """Returns the content of ``test.json`` for the file ``data``."""
    parsed = parse_file(data, limits=Limits(), strict=True)
    integers = integers_of(parsed)
    return {
        "why": why,
        "sha256": hashlib.sha256(data).hexdigest(),
        "info": calotype.read_info(data).as_dict(),
        "integers": {
            "shape": list(integers.shape),
            "sha256": hashlib.sha256(integers.astype("<i2").tobytes()).hexdigest(),
        },
        "pixels": {"model": MODEL, "reference": "reference.png", **tolerance_of(parsed)},
        "metadata": {
            chunk.name: hashlib.sha256(chunk.data).hexdigest()
            for chunk in parsed.chunks
            if not chunk.critical
        },
    }


def _files(case: Case) -> Iterator[tuple[str, bytes]]:
    """Yields (name, content) of every file in a case's folder."""
    data = case.make()
    yield "picture.calo", data
    reference = io.BytesIO()
    Image.fromarray(calotype.decode(data, model=MODEL, as_array=True)).save(reference, "PNG", optimize=True)
    yield "reference.png", reference.getvalue()
    yield "test.json", json.dumps(describe(data, case.why), indent=2).encode() + b"\n"


def _kept(folder: Path, replace: bool) -> bool:
    """Returns whether the case in ``folder`` must not be changed."""
    file = folder / "picture.calo"
    if not file.is_file():
        return False
    return not replace or calotype.read_info(file).context_model < FIRST_EXPERIMENTAL_ID


def main(arguments: list[str]) -> int:
    if arguments not in ([], ["--replace"]):
        print(__doc__, file=sys.stderr)
        return 2
    for name, case in CASES.items():
        folder = case.folder(name)
        if _kept(folder, replace=bool(arguments)):
            continue
        folder.mkdir(parents=True, exist_ok=True)
        for file, content in _files(case):
            (folder / file).write_bytes(content)
        print(f"{name}: {(folder / 'picture.calo').stat().st_size} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
