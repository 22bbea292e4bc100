"""Golden files: every release decodes them, and detects any damage to them."""

from __future__ import annotations

import hashlib
import importlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image

import calotype
from calotype.container import ChunkType, Coding, Header, ParsedFile, parse_file, serialise_file
from calotype.decoding import decode_latents, region_refinements
from calotype.entropy import CodingPass, Product, SymbolDecoder, reference_product
from calotype.entropy.tables import MAX_RESIDUAL
from calotype.errors import CalotypeError, CalotypeWarning, FormatError
from calotype.imaging import unpack_alpha
from calotype.latents import CHANNEL_OFFSETS, STEPS, level_map
from calotype.limits import Limits
from calotype.models import DEFAULT_CONTEXT_MODEL, load_context_model
from calotype.models.products import SignedWeights, UnsignedWeights, gives_known_answer

ROOT = Path(__file__).parents[1]
GOLDEN = sorted(path.parent for path in (ROOT / "tests" / "golden").rglob("picture.calo"))
NEWEST = ROOT / "tests" / "golden" / f"context-{DEFAULT_CONTEXT_MODEL}"
SINGLE_BITS = [1 << bit for bit in range(8)]
ALL_CHANGES = list(range(1, 256))
SMALL_PAYLOAD = 16  # bytes; of longer ones only one bit of each byte is changed, to save time
LIMITS = Limits(max_pixels=1 << 20)

# Files with patches differ in their chunk only, which its CRC-32 covers: one is enough where time counts.
ONE_OF_EACH_KIND = [path for path in GOLDEN if not path.name.startswith(("patches-luma", "patches-vp8"))]

each_file = pytest.mark.parametrize("folder", GOLDEN, ids=lambda path: f"{path.parent.name}-{path.name}")


def read(folder: Path) -> tuple[bytes, dict[str, Any]]:
    return (folder / "picture.calo").read_bytes(), json.loads((folder / "test.json").read_text("utf-8"))


@pytest.fixture
def make_golden(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    return importlib.import_module("make_golden")


@each_file
def test_the_file_is_the_one_described(folder: Path) -> None:
    data, expected = read(folder)
    assert hashlib.sha256(data).hexdigest() == expected["sha256"]
    info = calotype.read_info(data).as_dict()
    assert json.loads(json.dumps(info)) == expected["info"]
    assert calotype.decode(data, model="tiny", strict=True).mode == info["mode"]


@each_file
@pytest.mark.parametrize("kind", [SignedWeights, UnsignedWeights, lambda: reference_product])
def test_integers_are_exact_in_every_arithmetic(
    make_golden: ModuleType, folder: Path, kind: Callable[[], Product]
) -> None:
    product = kind()
    if not gives_known_answer(product):
        pytest.skip("this processor saturates: the product is not used here")
    data, expected = read(folder)
    integers = make_golden.integers_of(parse_file(data, limits=LIMITS), product)
    assert list(integers.shape) == expected["integers"]["shape"]
    assert hashlib.sha256(integers.astype("<i2").tobytes()).hexdigest() == expected["integers"]["sha256"]


@each_file
def test_pixels_are_within_the_tolerance(folder: Path) -> None:
    data, expected = read(folder)
    pixels = expected["pixels"]
    with Image.open(folder / pixels["reference"]) as image:
        reference = np.asarray(image)
    decoded = calotype.decode(data, model=pixels["model"], as_array=True)
    assert decoded.shape == reference.shape
    difference = np.abs(decoded.astype(float) - reference)
    assert difference.max() <= pixels["peak"]
    assert np.sqrt((difference**2).mean()) <= pixels["rmse"]
    if expected["info"]["mode"] in ("RGBA", "LA"):
        assert np.array_equal(decoded[..., -1], reference[..., -1])


@each_file
def test_metadata_is_exact(folder: Path) -> None:
    data, expected = read(folder)
    parsed = parse_file(data, limits=LIMITS)
    ancillary = {chunk.name: chunk.data for chunk in parsed.chunks if not chunk.critical}
    assert {name: hashlib.sha256(value).hexdigest() for name, value in ancillary.items()} == expected[
        "metadata"
    ]
    info = calotype.decode(data, model="tiny").info
    assert info.get("icc_profile") == ancillary.get("ICC")
    assert info.get("exif", b"").removeprefix(b"Exif\0\0") == ancillary.get("EXIF", b"")
    assert info.get("xmp") == ancillary.get("XMP")


def test_together_they_reach_every_part_of_the_coder() -> None:
    features: set[str] = set()
    for folder in GOLDEN:
        parsed = parse_file(read(folder)[0], limits=LIMITS)
        header = parsed.header
        features.add(Coding(header.coding).name + header.alpha * " alpha" + header.grey * " grey")
        features.update({"scaled"} if header.scaled else ())
        features.update({"regions"} if header.regions else ())
        if header.coding != Coding.HIERARCHICAL:
            continue
        model = load_context_model(header.context_model)
        stream = SymbolDecoder(model.tables, parsed.payload)

        width, height = (-(-side // 8) for side in header.coded_size)
        levels = level_map(header.level, region_refinements(parsed.chunks, height, width))
        coding = CodingPass(model, levels, STEPS, CHANNEL_OFFSETS)
        while (prediction := coding.prediction) is not None:
            chosen = stream.decode(prediction)
            residual = (chosen >> prediction.quantised.low_bits) - prediction.quantised.centre
            features.update({"escape up"} if residual.max() > MAX_RESIDUAL else ())
            features.update({"escape down"} if residual.min() < -MAX_RESIDUAL else ())
            features.update({"low bits"} if prediction.quantised.low_bits.max() > 1 else ())
            features.add(f"{prediction.rows} {prediction.columns}")
            coding.advance(chosen)
        stream.finish()
    assert {"escape up", "escape down", "low bits", "scaled", "regions"} <= features
    assert {"HIERARCHICAL", "HIERARCHICAL alpha", "HIERARCHICAL grey", "PALETTE"} <= features
    assert sum(name.startswith("slice(") for name in features) >= 10  # the sites of the grid


def changed(data: bytes, position: int, flips: list[int]) -> Iterator[bytes]:
    """``data`` with the byte at ``position`` changed, by exclusive-or with each of ``flips``."""
    for flip in flips:
        copy = bytearray(data)
        copy[position] ^= flip
        yield bytes(copy)


class Truth:
    """A golden file's content, to compare with what damaged copies of it decode to."""

    def __init__(self, data: bytes) -> None:
        self.data, self.parsed = data, parse_file(data, limits=LIMITS)
        self.found = decode_latents(self.parsed)
        self.alpha = self._alpha(self.parsed)

    @staticmethod
    def _alpha(parsed: ParsedFile) -> bytes:
        header = parsed.header
        packed = parsed.chunk(ChunkType.ALPHA)
        return b"" if packed is None else unpack_alpha(packed, header.width, header.height).tobytes()

    @staticmethod
    def _coded(parsed: ParsedFile) -> tuple[Header, bytes, int, bytes | None]:
        """What the latents are decoded from."""
        return parsed.header, parsed.payload, parsed.checksum, parsed.chunk(ChunkType.REGIONS)

    def accepts(self, copy: bytes) -> ParsedFile | None:
        """The copy taken apart if it decodes, to the same picture but with something lost; None if not."""
        try:
            parsed = parse_file(copy, limits=LIMITS)
            same = self._coded(parsed) == self._coded(self.parsed)
            reconstruction = self.found if same else decode_latents(parsed)
            alpha = self._alpha(parsed)
        except CalotypeError as error:
            assert str(error)
            return None
        assert parsed.header == self.parsed.header
        for name in ("latents", "levels", "conditional_mean"):
            assert np.array_equal(getattr(reconstruction, name), getattr(self.found, name))
        assert alpha == self.alpha
        lost = set(parsed.chunks) < set(self.parsed.chunks)  # nothing is wrong, and something is missing
        assert lost
        return parsed

    def shows_the_rest(self, copy: bytes) -> None:
        """A copy that lost ancillary chunks: the same pixels with a warning, and an error if strict.

        Without its patches a file shows what its latents say.
        """
        with pytest.warns(CalotypeWarning, match="left out"):
            pixels = calotype.decode(copy, model="tiny", as_array=True)
        chunks, header = parse_file(copy, limits=LIMITS).chunks, self.parsed.header
        rest = serialise_file(header, self.parsed.payload, self.parsed.checksum, chunks)
        lost = set(self.parsed.chunks) - set(chunks)
        same = rest if any(chunk.type == ChunkType.PATCHES for chunk in lost) else self.data
        assert np.array_equal(pixels, calotype.decode(same, model="tiny", as_array=True))
        with pytest.raises(FormatError):
            calotype.decode(copy, model="tiny", strict=True)


@each_file
def test_every_truncation_is_noticed(folder: Path) -> None:
    """Only a cut exactly between two ancillary chunks leaves a valid file: docs/format.md, section 3."""
    truth = Truth(read(folder)[0])
    critical = sum(chunk.critical for chunk in truth.parsed.chunks)
    whole = 0
    for size in range(len(truth.data)):
        cut = truth.data[:size]
        parsed = truth.accepts(cut)
        if parsed is None:
            continue
        if parsed.damaged:
            assert parsed.damaged == ("TRAILING",)
            truth.shows_the_rest(cut)
        else:
            whole += 1
    assert whole == len(truth.parsed.chunks) - critical


@pytest.mark.slow
@pytest.mark.parametrize("folder", ONE_OF_EACH_KIND, ids=lambda path: path.name)
def test_single_bit_changes_are_noticed(folder: Path) -> None:
    truth = Truth(read(folder)[0])
    payload = truth.parsed.payload
    start = truth.data.index(payload)
    tolerated = []
    for position in range(len(truth.data)):
        sampled = len(payload) > SMALL_PAYLOAD and start <= position < start + len(payload)
        flips = [SINGLE_BITS[position % 8]] if sampled else SINGLE_BITS
        for copy in changed(truth.data, position, flips):
            parsed = truth.accepts(copy)
            if parsed is not None:
                assert parsed.damaged
                tolerated.append(copy)
    assert bool(tolerated) == bool(read(folder)[1]["metadata"])
    for copy in tolerated[::199]:
        truth.shows_the_rest(copy)


@pytest.mark.slow
def test_every_change_of_every_byte_of_the_smallest_is_noticed() -> None:
    truth = Truth(read(NEWEST / "one-pixel")[0])
    for position in range(len(truth.data)):
        for copy in changed(truth.data, position, ALL_CHANGES):
            assert truth.accepts(copy) is None


def test_every_change_of_an_ancillary_chunk_is_noticed() -> None:
    truth = Truth(read(NEWEST / "grey-17x9")[0])
    for position in range(truth.data.index(b"unknown") - 2, len(truth.data)):
        for copy in changed(truth.data, position, ALL_CHANGES):
            parsed = truth.accepts(copy)
            assert parsed is None or parsed.damaged


def test_the_script_describes_what_is_there(make_golden: ModuleType) -> None:
    assert {case.folder(name) for name, case in make_golden.CASES.items()} <= set(GOLDEN)
    for folder in GOLDEN:
        data, expected = read(folder)
        assert json.loads(json.dumps(make_golden.describe(data, expected["why"]))) == expected


def test_the_script_adds_and_does_not_replace(
    make_golden: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(make_golden, "GOLDEN", tmp_path)
    monkeypatch.setattr(make_golden, "CASES", {"one-pixel": make_golden.CASES["one-pixel"]})
    folder = tmp_path / f"context-{DEFAULT_CONTEXT_MODEL}" / "one-pixel"
    reference, picture = folder / "reference.png", folder / "picture.calo"
    assert make_golden.main([]) == 0
    assert {path.name for path in reference.parent.iterdir()} == {
        "picture.calo",
        "reference.png",
        "test.json",
    }
    reference.write_bytes(b"kept")
    assert make_golden.main([]) == 0
    assert reference.read_bytes() == b"kept"
    assert make_golden.main(["--replace"]) == 0
    assert reference.read_bytes() != b"kept"
    assert f"{picture.stat().st_size} bytes" in capsys.readouterr().out
    monkeypatch.setattr(make_golden, "FIRST_EXPERIMENTAL_ID", 256)
    reference.write_bytes(b"kept")
    assert make_golden.main(["--replace"]) == 0
    assert reference.read_bytes() == b"kept"
    assert make_golden.main(["--wrong"]) == 2
