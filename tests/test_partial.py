"""Files that have not arrived to their end: pictures that say so, and nothing that is taken for the whole."""

from __future__ import annotations

import importlib
import io
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile

import calotype
from calotype import PartialPictureWarning, ProgressiveDecoder
from calotype.container import Chunk, ParsedFile, parse_file, serialise_file
from calotype.container.chunks import write_chunk
from calotype.decoding import OpenedFile, decode_latents, first_picture_size, region_refinements
from calotype.entropy import IntegerDecoder, PassResult, SiteNet
from calotype.errors import CalotypeWarning, ChecksumError, FormatError, LimitError, TruncatedError
from calotype.latents import CHANNEL_OFFSETS, STEPS, level_map, log_step_map, noise_deviations
from calotype.limits import Limits
from calotype.models import load_context_model
from calotype.pillow_plugin import FORMAT

ROOT = Path(__file__).parents[1]
GOLDEN = {path.parent.name: path for path in (ROOT / "tests" / "golden").rglob("picture.calo")}
NEWEST = sorted(name for name, path in GOLDEN.items() if path.parts[-3] != "without-context-model")
LIMITS = Limits(max_pixels=1 << 20)
PARTIAL = calotype.DecodeOptions(model="tiny", partial=True)

ignoring = pytest.mark.filterwarnings("ignore::calotype.CalotypeWarning")


def golden(name: str) -> bytes:
    return GOLDEN[name].read_bytes()


def coded_prefix(parsed: ParsedFile, size: int) -> PassResult:
    """What the first ``size`` bytes of a file's payload are decoded to."""
    header = parsed.header
    width, height = (-(-side // 8) for side in header.coded_size)
    levels = level_map(header.level, region_refinements(parsed.chunks, height, width))
    context_model = load_context_model(header.context_model)
    decoder = IntegerDecoder(context_model, parsed.payload_size, levels, STEPS, CHANNEL_OFFSETS)
    decoder.feed(parsed.payload[:size])
    return decoder.result()


@pytest.mark.parametrize("name", NEWEST)
def test_integers_of_a_prefix_are_those_of_the_whole(name: str) -> None:
    parsed = parse_file(golden(name), limits=LIMITS)
    whole = coded_prefix(parsed, parsed.payload_size)
    assert whole.missing is None
    before = -1
    for size in range(0, parsed.payload_size, 1 + parsed.payload_size // 40):
        prefix = coded_prefix(parsed, size)
        assert prefix.missing is not None
        known = ~prefix.missing.unknown
        assert known.sum() >= before
        before = known.sum()
        assert np.array_equal(prefix.integers[known], whole.integers[known])
    assert before > 0 or parsed.payload_size < 12


@ignoring
@pytest.mark.parametrize(
    "name",
    [
        "one-pixel",
        "rgb-24x24",
        "grey-17x9",
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("smaller-47x36", "regions-first-112x80")),
    ],
)
def test_every_prefix_gives_a_picture_or_an_error(name: str) -> None:
    """A picture from the end of the header on; the error of before without ``partial``."""
    data = golden(name)
    parsed = parse_file(data, limits=LIMITS)
    for size in range(len(data) + 1):
        prefix = data[:size]
        if size < parsed.payload_start:
            with pytest.raises(TruncatedError):
                OpenedFile.of(prefix, PARTIAL)
            continue
        opened = OpenedFile.of(prefix, PARTIAL)
        assert opened.latents.latents.shape == opened.latents.conditional_mean.shape
        for array in (opened.latents.latents, opened.latents.log_step, opened.latents.noise):
            assert np.isfinite(array).all()
        if opened.fraction < 1:
            assert opened.fraction > 0
            with pytest.raises(TruncatedError):
                OpenedFile.of(prefix, replace(PARTIAL, partial=False))
        else:  # the end of the file, or an end between or within ancillary chunks that looks like it
            assert size >= parsed.payload_start + parsed.payload_size
            OpenedFile.of(prefix, replace(PARTIAL, partial=False))


@ignoring
@pytest.mark.parametrize("name", ["one-pixel", "rgb-24x24"])
def test_pixels_of_every_prefix(name: str) -> None:
    data = golden(name)
    info = calotype.read_info(data)
    for size in range(parse_file(data, limits=LIMITS).payload_start, len(data)):
        image = calotype.decode(data[:size], PARTIAL)
        assert (image.mode, image.size) == (info.mode, (info.width, info.height))
        assert image.info["partial"] == size / len(data)


def test_a_partial_picture_says_so_and_a_whole_one_does_not() -> None:
    data = golden("rgb-24x24")
    with pytest.warns(PartialPictureWarning, match=r"at least 9 bytes after the first 30 are missing"):
        image = calotype.decode(data[:30], PARTIAL)
    assert image.info["partial"] == 30 / len(data)
    with pytest.warns(PartialPictureWarning):
        calotype.decode(data[:30], PARTIAL, as_array=True)
    assert issubclass(PartialPictureWarning, CalotypeWarning)
    whole = calotype.decode(data, PARTIAL)  # warnings are errors
    assert "partial" not in whole.info
    assert np.array_equal(np.asarray(whole), calotype.decode(data, model="tiny", as_array=True))
    with pytest.raises(TruncatedError):
        calotype.decode(data[:30], model="tiny")
    wrong = bytearray(data)
    wrong[len(data) - parse_file(data, limits=LIMITS).payload_size - 1] ^= 1  # of the checksum
    with pytest.raises(ChecksumError):
        calotype.decode(bytes(wrong), PARTIAL)


def test_what_the_decoder_is_told_where_nothing_is_known() -> None:
    data = golden("coarse-105x70")
    parsed = parse_file(data, limits=LIMITS)
    size = parsed.payload_size // 2
    prefix = coded_prefix(parsed, size)
    with pytest.warns(PartialPictureWarning):
        inputs = OpenedFile.of(data[: parsed.payload_start + size], PARTIAL).latents
    whole = OpenedFile.of(data, PARTIAL).latents
    assert prefix.missing is not None
    unknown, mean, scale = prefix.missing.unknown, prefix.missing.mean / 256, prefix.missing.scale
    assert 0 < unknown.sum() < unknown.size
    for name in ("latents", "conditional_mean"):
        assert np.array_equal(getattr(inputs, name)[unknown], mean[unknown])
        assert np.array_equal(getattr(inputs, name)[~unknown], getattr(whole, name)[~unknown])
    nominal = parsed.header.level / 16 - 5
    step = np.where(unknown, np.maximum(nominal, scale / 16 - 6.5 + 0.5 * np.log2(12)), nominal)
    assert np.allclose(inputs.log_step, step.mean(0, keepdims=True))
    assert (inputs.log_step >= whole.log_step).all()
    levels = np.full(unknown.shape[1:], parsed.header.level)
    assert np.array_equal(log_step_map(levels), whole.log_step)
    none = replace(prefix.missing, unknown=np.zeros_like(unknown))
    codes = parsed.header.noise
    assert np.allclose(noise_deviations(codes, levels, none), noise_deviations(codes, levels))
    every = noise_deviations(codes, levels, replace(prefix.missing, unknown=np.ones_like(unknown)))
    assert np.allclose(every, np.sqrt((4.0 ** (scale / 16 - 6.5)).mean((1, 2))))


@ignoring
def test_what_stands_behind_the_payload_may_be_missing() -> None:
    data = golden("rgba-40x24")
    parsed = parse_file(data, limits=LIMITS)
    end = parsed.payload_start + parsed.payload_size
    whole = calotype.decode(data, PARTIAL)
    early = calotype.decode(data[: end + 3], PARTIAL)
    assert early.mode == "RGBA"
    assert (np.asarray(early)[..., 3] == 255).all()
    assert 0 < early.info["partial"] < 1
    critical = end + sum(len(write_chunk(chunk)) for chunk in parsed.chunks if chunk.critical)
    later = calotype.decode(data[: critical + 20], PARTIAL)
    assert np.array_equal(np.asarray(later)[..., 3], np.asarray(whole)[..., 3])
    assert "icc_profile" not in later.info and "icc_profile" in whole.info
    assert 0 < later.info["partial"] < 1
    # The latents have arrived: they are compared with their checksum.
    wrong = bytearray(data[: critical + 20])
    wrong[parsed.payload_start - 1] ^= 1
    with pytest.raises(ChecksumError):
        calotype.decode(bytes(wrong), PARTIAL)


@ignoring
def test_regions_behind_the_payload_are_waited_for() -> None:
    data = golden("regions-112x80")
    parsed = parse_file(data, limits=LIMITS)
    end = parsed.payload_start + parsed.payload_size
    for size in (parsed.payload_start, end - 1, end, len(data) - 1):
        with pytest.raises(TruncatedError, match="REGIONS"):
            calotype.decode(data[:size], PARTIAL)
    first = golden("regions-first-112x80")
    assert len(first) == len(data)
    assert parse_file(first, limits=LIMITS, strict=True).payload == parsed.payload
    assert np.array_equal(
        calotype.decode(first, model="tiny", as_array=True),
        calotype.decode(data, model="tiny", as_array=True),
    )
    assert first_picture_size(parsed) == len(data)
    assert first_picture_size(parse_file(first, limits=LIMITS)) < len(first)


def test_what_may_stand_before_the_payload() -> None:
    data = golden("regions-first-112x80")
    parsed = parse_file(data, limits=LIMITS)
    (chunk,) = parsed.chunks
    packed = write_chunk(chunk)
    position = parsed.payload_start - len(packed)
    assert data[position : parsed.payload_start] == packed
    damaged = bytearray(data)
    damaged[position + 3] ^= 1
    with pytest.raises(ChecksumError, match="REGIONS"):
        calotype.decode(bytes(damaged), PARTIAL)
    other = write_chunk(Chunk(0x7F, chunk.data))
    with pytest.raises(FormatError, match="REGIONS"):
        parse_file(data[:position] + other + data[position + len(packed) :], limits=LIMITS)
    with pytest.raises(FormatError, match="second"):
        parse_file(data + packed, limits=LIMITS)
    with pytest.raises(LimitError, match="REGIONS"):
        parse_file(data, limits=Limits(max_chunk_bytes=3))
    with pytest.raises(TruncatedError, match="REGIONS"):
        parse_file(data[: parsed.payload_start - 1], limits=LIMITS, partial=True)
    with pytest.raises(ValueError, match="regions_first"):
        replace(parsed.header, regions=False)
    again = serialise_file(parsed.header, parsed.payload, parsed.checksum, parsed.chunks)
    assert again == data


@pytest.mark.slow
def test_regions_of_new_files_stand_before_the_payload() -> None:
    with Image.open(ROOT / "samples" / "astronaut.png") as image:
        photo = image.convert("RGB").crop((130, 0, 330, 200))
    data = calotype.encode(photo, quality=15, effort=5)
    info = calotype.read_info(data)
    assert [chunk.name for chunk in info.chunks] == ["REGIONS"]
    assert parse_file(data, limits=LIMITS).header.regions_first


@ignoring
def test_the_palette_has_no_prefixes() -> None:
    data = golden("palette-70x50")
    with pytest.raises(TruncatedError, match="palette"):
        calotype.decode(data[:-1], PARTIAL)
    assert "partial" not in calotype.decode(data, PARTIAL).info
    arriving = ProgressiveDecoder(model="tiny")
    arriving.feed(data[:100])
    with pytest.raises(TruncatedError, match="palette"):
        arriving.picture()
    arriving.feed(data[100:])
    assert "partial" not in arriving.picture().info
    assert first_picture_size(parse_file(data, limits=LIMITS)) == len(data)


@ignoring
@pytest.mark.parametrize(
    "name", ["rgb-24x24", "rgba-40x24", "regions-112x80", "regions-first-112x80", "grey-17x9"]
)
@pytest.mark.parametrize("pieces", [1, 7, 20])
def test_pieces_give_the_pictures_of_prefixes(name: str, pieces: int) -> None:
    data = golden(name)
    arriving = ProgressiveDecoder(model="tiny")
    assert arriving.fraction == 0
    size = -(-len(data) // pieces)
    parsed = parse_file(data, limits=LIMITS)
    for begin in range(0, len(data), size):
        before = arriving.fraction
        arriving.feed(data[begin : begin + size])
        assert 0 <= arriving.fraction <= 1
        # It falls only when a chunk begins to arrive, whose length nobody knew before.
        behind = begin + size > parsed.payload_start + parsed.payload_size
        assert arriving.fraction >= before or behind
        prefix = data[: begin + size]
        try:
            expected = calotype.decode(prefix, PARTIAL)
        except TruncatedError as error:
            with pytest.raises(TruncatedError) as refused:
                arriving.picture()
            assert str(refused.value) == str(error)
            continue
        image = arriving.picture()
        assert np.array_equal(np.asarray(image), np.asarray(expected))
        assert image.info == expected.info
        assert image.info.get("partial", 1.0) == arriving.fraction
    assert arriving.fraction == 1
    assert "partial" not in arriving.picture().info


def test_twenty_pieces_cost_what_one_decode_costs(monkeypatch: pytest.MonkeyPatch) -> None:
    channels: list[int] = []
    original = SiteNet.predict
    monkeypatch.setattr(SiteNet, "predict", lambda *given: channels.append(given[1]) or original(*given))
    data = golden("fine-64x64")
    decode_latents(parse_file(data, limits=LIMITS))
    once = len(channels)
    arriving = ProgressiveDecoder(model="tiny")
    size = -(-len(data) // 20)
    for begin in range(0, len(data), size):
        arriving.feed(data[begin : begin + size])
    assert once == 40
    assert len(channels) - once == once  # at most 1.5 times would do
    arriving.picture()
    assert len(channels) == 2 * once


def test_an_error_stays() -> None:
    data = bytearray(golden("rgb-24x24"))
    start = parse_file(bytes(data), limits=LIMITS).payload_start
    data[start : start + 5] = bytes(5)  # no coder state
    arriving = ProgressiveDecoder()
    arriving.feed(data[:start])
    with pytest.raises(ChecksumError):
        arriving.feed(data[start:])
    for again in (arriving.picture, lambda: arriving.feed(b""), lambda: arriving.fraction):
        with pytest.raises(ChecksumError):
            again()
    arriving = ProgressiveDecoder(limits=Limits(max_pixels=100))
    with pytest.raises(LimitError):
        arriving.feed(golden("rgb-24x24"))
    arriving = ProgressiveDecoder()
    arriving.feed(memoryview(golden("rgb-24x24")[:9]))
    assert arriving.fraction == 0
    with pytest.raises(TruncatedError):
        arriving.picture()
    with pytest.raises(TypeError, match="data"):
        arriving.feed("text")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="codec"):
        ProgressiveDecoder(codec=3)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        ProgressiveDecoder(no_such=3)


@ignoring
@settings(deadline=None, max_examples=15, derandomize=True)
@given(st.data())
def test_any_piece_of_any_picture(data: st.DataObject) -> None:
    width, height = data.draw(st.integers(1, 24)), data.draw(st.integers(1, 24))
    mode = data.draw(st.sampled_from(["RGB", "L", "RGBA"]))
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    plain = rng.integers(0, 256, (height, width, 4), np.uint8)
    photo = Image.fromarray(plain).convert(mode)
    file = calotype.encode(photo, model="tiny", effort=1, quality=data.draw(st.integers(0, 100)))
    cut = data.draw(st.integers(0, len(file) - 1))
    try:
        image = calotype.decode(file[:cut], PARTIAL)
    except TruncatedError:
        assert cut < parse_file(file, limits=LIMITS).payload_start
        return
    assert image.size == photo.size
    assert 0 < image.info["partial"] < 1


@ignoring
@pytest.mark.slow
@pytest.mark.parametrize("name", ["coffee.png"])
def test_more_of_a_file_is_a_better_picture(name: str) -> None:
    with Image.open(ROOT / "samples" / name) as image:
        photo = image.convert("RGB").resize((256, 256))
    data = calotype.encode(photo, quality=50, effort=3)
    truth = np.asarray(photo).astype(float)
    errors = []
    for share in (0.1, 0.25, 0.5, 0.75, 1):
        pixels = calotype.decode(data[: round(len(data) * share)], partial=True, as_array=True)
        errors.append(np.square(pixels - truth).mean())
    psnr = 10 * np.log10(255**2 / np.array(errors))
    assert (np.diff(psnr) > 0.3).all(), psnr


@pytest.fixture
def pillow() -> Iterator[None]:
    calotype.register_pillow()
    yield
    for registry in (Image.OPEN, Image.SAVE, Image.MIME):
        registry.pop(FORMAT, None)
    Image.EXTENSION.pop(".calo", None)
    Image.ID.remove(FORMAT)


@pytest.mark.usefixtures("pillow")
def test_pillow_loads_truncated_images_if_told_to(monkeypatch: pytest.MonkeyPatch) -> None:
    data = golden("rgb-24x24")
    with Image.open(io.BytesIO(data[:30])) as image, pytest.raises(OSError, match="ends after 30 bytes"):
        image.load()
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    with Image.open(io.BytesIO(data[:30])) as image:
        with pytest.warns(PartialPictureWarning):
            image.load()
        assert image.info["partial"] == 30 / len(data)
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        assert "partial" not in image.info


@settings(deadline=None, max_examples=25, derandomize=True)
@given(data=st.data())
def test_damaged_prefixes_are_refused_or_give_a_picture(data: st.DataObject) -> None:
    """What was changed cannot be told of a part; it must be an error or a picture, and the same in pieces."""
    sys.path.insert(0, str(ROOT / "fuzz"))
    one_input = importlib.import_module("harness_prefix").one_input
    name = data.draw(st.sampled_from(["rgb-24x24", "grey-17x9", "one-pixel", "smaller-47x36"]))
    content = bytearray(golden(name))
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(content)))
    one_input(bytes([data.draw(st.integers(0, 255))]) + bytes(content[:cut]))
