"""Writes ``conformance/``: the required results of every decoder for the golden files and for damaged ones.

    python -m scripts.make_conformance

Run it after ``scripts/make_golden.py``, and after the weights of pocket change.
"""

from __future__ import annotations

import hashlib
import io
import json
import sys
import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import calotype
from calotype.container import (
    Chunk,
    ChunkType,
    Coding,
    ParsedFile,
    PatchCodec,
    pack_patches,
    parse_file,
    serialise_file,
    unpack_patches,
)
from calotype.container.chunks import write_chunk
from calotype.decoding import decode_latents, region_refinements
from calotype.encoding.patch_coding import code_patches
from calotype.entropy import IntegerDecoder
from calotype.errors import CalotypeError
from calotype.latents import CHANNEL_OFFSETS, STEPS, level_map, log_step_map, palette
from calotype.limits import Limits
from calotype.models import list_models, load_context_model

__all__ = ["SUITE", "error_of", "golden_files", "integers_of", "sha256", "without_patches", "write"]

ROOT = Path(__file__).parents[1]
SUITE = ROOT / "conformance"
GOLDEN = ROOT / "tests" / "golden"
LISTED = 64
"""The largest number of integers of a file, or of steps of a prefix, that are listed and not only hashed."""
LIMITS = Limits(max_pixels=1 << 20)
LOG_STEP_DIGITS = 4
TOLERANCE = {"rmse": 0.5, "peak": 1, "log_step": 1e-4}
LUMA_PATCHES_TOLERANCE = {"rmse": 1, "peak": 3}
PATCHES_TOLERANCE = {"rmse": 2, "peak": 16}
"""The tolerance of files whose patches have colours.

Readers of VP8 and AV1 interpolate chroma, and round luma, in different ways.
"""
POCKET_CASES = (
    "coarse-105x70",
    "extended-9x6",
    "fine-64x64",
    "larger-27x22",
    "palette-70x50",
    "patches-96x72",
    "regions-112x80",
)
"""The files for which the suite also has pocket's pixels."""
NEEDS_CODEC = ("patches-vp8-cut", "patches-av1-cut")
"""Hostile files that only a decoder of the codec in their name can recognise."""
PREFIXES = {
    "rgb-24x24": (22, 25, 26, 27, 31, 38),
    "fine-64x64": (23, 28, 40, 60, 100, 200, 300, 341),
    "coarse-105x70": (30, 40, 54),
    "regions-first-112x80": (43, 60, 100, 161),
    "grey-17x9": (22, 30, 44),
    "smaller-47x36": (40, 60, 90),
}


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def golden_files() -> dict[str, Path]:
    """Returns the golden files by name."""
    return {path.parent.name: path for path in sorted(GOLDEN.rglob("picture.calo"))}


def integers_of(parsed: ParsedFile) -> tuple[NDArray[np.int16], int]:
    """Returns the integers int16[4, h, w] of a file or of its beginning, and the number that have arrived.

    Integers that have not arrived are 0.
    """
    header = parsed.header
    width, height = (-(-side // 8) for side in header.coded_size)
    if header.coding == Coding.PALETTE:
        integers = palette.unpack_palette_payload(parsed.payload, height, width)
        return integers, integers.size
    levels = level_map(header.level, region_refinements(parsed.chunks, height, width))
    decoder = IntegerDecoder(
        load_context_model(header.context_model), parsed.payload_size, levels, STEPS, CHANNEL_OFFSETS
    )
    decoder.feed(parsed.payload)
    decoded = decoder.result()
    missing = np.zeros(decoded.integers.shape, bool) if decoded.missing is None else decoded.missing.mask
    return np.where(missing, 0, decoded.integers).astype(np.int16), int((~missing).sum())


def error_of(data: bytes, *, strict: bool = False, partial: bool = False) -> str | None:
    """Returns the name of the error that decoding ``data`` raises; None if it gives a picture."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            calotype.decode(data, model="tiny", strict=strict, partial=partial, limits=LIMITS)
    except CalotypeError as error:
        return type(error).__name__
    return None


def without_patches(data: bytes) -> bytes:
    """Returns the file without its PATCHES chunk."""
    parsed = parse_file(data, limits=LIMITS)
    chunks = [chunk for chunk in parsed.chunks if chunk.type != ChunkType.PATCHES]
    return serialise_file(parsed.header, parsed.payload, parsed.checksum, chunks)


def _case(name: str, path: Path) -> dict[str, Any]:
    data = path.read_bytes()
    parsed = parse_file(data, limits=LIMITS, strict=True)
    integers, _ = integers_of(parsed)
    case: dict[str, Any] = {
        "name": name,
        "file": path.relative_to(ROOT).as_posix(),
        "why": json.loads((path.parent / "test.json").read_text("utf-8"))["why"],
        "size": [parsed.header.width, parsed.header.height],
        "shape": list(integers.shape),
        "integers": sha256(integers.astype("<i2").tobytes()),
        "latents": sha256(decode_latents(parsed).latents.astype("<f4").tobytes()),
        "pixels": {"tiny": f"pixels/{name}-tiny.png"},
    }
    if name in POCKET_CASES:
        case["pixels"]["pocket"] = f"pixels/{name}-pocket.png"
    patches = parsed.chunk(ChunkType.PATCHES)
    if patches is not None:
        case["without_patches"] = {model: f"pixels/{name}-without-{model}.png" for model in case["pixels"]}
        luma = unpack_patches(patches, parsed.header.width, parsed.header.height).luma
        case["tolerance"] = LUMA_PATCHES_TOLERANCE if luma else PATCHES_TOLERANCE
    if integers.size <= LISTED:
        case["values"] = integers.reshape(-1).tolist()
    return case


def _prefix(name: str, path: Path, size: int) -> dict[str, Any]:
    parsed = parse_file(path.read_bytes()[:size], limits=LIMITS, partial=True)
    integers, arrived = integers_of(parsed)
    decoded = decode_latents(parsed)
    case: dict[str, Any] = {
        "name": name,
        "bytes": size,
        "arrived": arrived,
        "integers": sha256(integers.astype("<i2").tobytes()),
        "latents": sha256(decoded.latents.astype("<f4").tobytes()),
    }
    log_step = log_step_map(decoded.levels, decoded.missing).astype(float)
    if log_step.size <= LISTED:
        case["log_step"] = log_step.round(LOG_STEP_DIGITS).reshape(-1).tolist()
    return case


def hostile_files() -> Iterator[tuple[str, bytes]]:
    """Yields (name, content) of files that a decoder must refuse, or must refuse in strict mode."""
    files = {name: path.read_bytes() for name, path in golden_files().items()}
    plain, grey, clear = files["rgb-24x24"], files["grey-17x9"], files["rgba-40x24"]
    regions, palette_file = files["regions-first-112x80"], files["palette-70x50"]

    def with_bytes(data: bytes, place: int, *values: int) -> bytes:
        """Returns ``data`` with other bytes from ``place`` on."""
        return data[:place] + bytes(values) + data[place + len(values) :]

    def with_varint(data: bytes, place: int, *values: int) -> bytes:
        """Returns ``data`` with the one-byte number at ``place`` replaced."""
        return data[:place] + bytes(values) + data[place + 1 :]

    payload = 22
    yield "empty", b""
    yield "signature-only", plain[:6]
    yield "signature-cut", plain[:4]
    yield "other-signature", b"\x89PNG\r\n" + plain[6:]
    yield "text-mode", plain.replace(b"\r\n", b"\n")
    yield "version-2", with_bytes(plain, 6, 2)
    yield "reserved-flag-6", with_bytes(plain, 7, 0x40)
    yield "reserved-flag-7", with_bytes(plain, 7, 0x80)
    yield "regions-first-alone", with_bytes(plain, 7, 0x20)
    yield "coding-2", with_bytes(plain, 8, 2)
    yield "space-2", with_bytes(plain, 9, 2)
    yield "context-model-unknown", with_bytes(plain, 10, 77)
    yield "encoder-unknown", with_bytes(plain, 11, 77)
    yield "palette-with-table", with_bytes(palette_file, 10, 242)
    yield "level-128", with_bytes(plain, 14, 0x80)
    yield "width-varint-long", with_varint(plain, 12, 0x97, 0x00)
    yield "width-varint-huge", with_varint(plain, 12, 0xFF, 0xFF, 0xFF, 0xFF, 0x1F)
    yield "width-varint-endless", with_varint(plain, 12, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF)
    yield "width-16385", with_varint(plain, 12, 0x80, 0x80, 0x01)
    yield "pixels-beyond-limit", plain[:12] + bytes([0xFF, 0x7F, 0xFF, 0x7F]) + plain[14:]
    yield "scale-0", with_bytes(plain, 7, 4)[:14] + b"\x00" + plain[14:]
    yield "scale-64", with_bytes(plain, 7, 4)[:14] + b"\x40" + plain[14:]
    yield "header-cut", plain[:15]
    yield "checksum-cut", plain[:20]
    yield "payload-cut", plain[:-3]
    yield "payload-missing", plain[:payload]
    yield "payload-length-0", with_varint(plain, 17, 0)[:22]
    yield "payload-length-4", with_varint(plain, 17, 4)[:26]
    yield "payload-short", with_varint(plain, 17, plain[17] - 2)[:-2]
    yield "payload-odd", with_varint(plain, 17, plain[17] - 1)[:-1]
    yield "payload-long", with_varint(plain, 17, plain[17] + 2) + bytes(2)
    yield "payload-longer-than-file", with_varint(plain, 17, 0xFF, 0xFF, 0xFF, 0xFF, 0x0F)
    yield "payload-bit", with_bytes(plain, payload + 7, plain[payload + 7] ^ 4)
    yield "payload-low-state", plain[:payload] + bytes(5) + plain[payload + 5 :]
    yield "checksum-bit", with_bytes(plain, 18, plain[18] ^ 1)
    yield "noise-bit", with_bytes(plain, 15, plain[15] ^ 1)
    yield "level-other", with_bytes(plain, 14, plain[14] ^ 1)
    yield "larger-than-payload", plain[:12] + bytes([0xFF, 0x07, 0xFF, 0x07]) + plain[14:]
    yield "trailing-zeros", plain + bytes(5)
    yield "trailing-newline", plain + b"\n"
    yield "unknown-ancillary", grey
    yield "critical-unknown", plain + b"\xff\x00\x8d\xef\xfd\xd2"
    yield "critical-trailing", plain + b"\xff"
    yield "alpha-unannounced", with_bytes(clear, 7, clear[7] & ~2)
    yield "alpha-missing", with_bytes(plain, 7, plain[7] | 2)
    yield "alpha-damaged", clear.replace(b"RIFF", b"RIFE").replace(b"IDAT", b"IDAt")
    yield "metadata-cut", clear[:-6]
    yield "metadata-damaged", clear.replace(b"Talbot", b"talbot")
    yield (
        "metadata-twice",
        clear + clear[clear.rindex(b"\x03") :] if clear.count(b"\x03") == 1 else clear + clear[-42:],
    )
    yield "regions-missing", with_bytes(plain, 7, plain[7] | 8)
    yield "regions-damaged", with_bytes(regions, 30, regions[30] ^ 1)
    yield "regions-cut", regions[:30]
    yield from _hostile_patches(plain)
    yield "palette-cut", palette_file[:-4]
    yield "palette-bit", with_bytes(palette_file, 200, palette_file[200] ^ 16)
    yield "palette-taller", palette_file[:13] + bytes([palette_file[13] + 16]) + palette_file[14:]


def _hostile_patches(plain: bytes) -> Iterator[tuple[str, bytes]]:
    """Yields files of a picture of 24x24 pixels with patches that no decoder can use.

    By default a decoder shows the picture without them.
    """
    pixels = np.indices((24, 24)).sum(0).astype(np.uint8)[..., None].repeat(3, -1) * np.uint8(5)

    def with_patches(data: bytes) -> bytes:
        return plain + write_chunk(Chunk(ChunkType.PATCHES, data))

    good = {
        codec: pack_patches(code_patches(pixels, [(2, 3, 16, 10)], 50, luma=False, feather=2, codec=codec))
        for codec in PatchCodec
    }
    for codec, data in good.items():
        name, start, atlas = f"patches-{codec.name.lower()}", data[:4], data[8:]
        yield name, with_patches(data)
        yield f"{name}-cut", with_patches(data[: len(data) // 2])
        yield f"{name}-no-atlas", with_patches(data[:8])
        yield f"{name}-outside", with_patches(start + bytes([9, 3, 15, 9]) + atlas)
        yield f"{name}-huge", with_patches(start + bytes([2, 3]) + b"\xff\xff\xff\xff\x0f" * 2 + atlas)
    data = good[PatchCodec.AV1]
    yield "patches-codec-2", with_patches(b"\2" + data[1:])
    yield "patches-luma-2", with_patches(data[:1] + b"\2" + data[2:])
    yield "patches-feather-64", with_patches(data[:2] + b"\x40" + data[3:])
    yield "patches-empty", with_patches(b"")
    yield "patches-no-rectangle", with_patches(data[:6])
    yield "patches-atlas-too-large", with_patches(data[:3] + b"\x02" + bytes([0, 0, 23, 9]) * 3 + data[8:])
    yield "patches-many", with_patches(data[:3] + b"\xff" + bytes([5, 5, 0, 0]) * 256 + data[8:])
    yield "patches-reserved-tool", with_patches(data[:8] + b"\x80" + data[9:])
    yield "patches-damaged", with_patches(data)[:-1] + b"!"
    yield "patches-twice", with_patches(data) + write_chunk(Chunk(ChunkType.PATCHES, data))
    critical = b"\x86" + write_chunk(Chunk(ChunkType.PATCHES, data))[1:-4]
    yield "patches-critical", plain + critical + zlib.crc32(critical).to_bytes(4, "little")


def _pixels(data: bytes, model: str) -> bytes:
    """Returns the picture by ``model`` as a PNG file in sRGB, without a conversion to the file's profile."""
    image = calotype.decode(data, model=model, keep_metadata=False)
    file = io.BytesIO()
    image.convert("RGBA").save(file, "PNG", optimize=True)
    return file.getvalue()


def write(folder: Path) -> None:
    """Writes ``suite.json``, the reference pictures and the hostile files to ``folder``."""
    for part in ("pixels", "hostile"):
        (folder / part).mkdir(parents=True, exist_ok=True)
        for old in (folder / part).iterdir():
            old.unlink()
    files = golden_files()
    cases = [_case(name, path) for name, path in files.items()]
    for case in cases:
        for model, picture in case["pixels"].items():
            (folder / picture).write_bytes(_pixels(files[case["name"]].read_bytes(), model))
        for model, picture in case.get("without_patches", {}).items():
            plain = without_patches(files[case["name"]].read_bytes())
            (folder / picture).write_bytes(_pixels(plain, model))
    hostile = []
    for name, data in hostile_files():
        (folder / "hostile" / f"{name}.calo").write_bytes(data)
        hostile.append(
            {"name": name, "error": error_of(data), "strict": error_of(data, strict=True)}
            | ({"codec": True} if name in NEEDS_CODEC else {})
        )
    networks = {
        info.name: info.sha256["decoder"] for info in list_models() if info.name in ("pocket", "tiny")
    }
    suite = {
        "format_version": 1,
        "limits": {"max_pixels": LIMITS.max_pixels},
        "networks": networks,
        "tolerance": TOLERANCE,
        "files": cases,
        "prefixes": [_prefix(name, files[name], size) for name, sizes in PREFIXES.items() for size in sizes],
        "hostile": hostile,
    }
    (folder / "suite.json").write_text(json.dumps(suite, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    write(SUITE)
    sys.exit(0)
