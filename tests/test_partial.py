"""Files that end too early: their pictures are marked as partial, and none is taken for a whole one."""

from __future__ import annotations

import importlib
import io
import sys
from dataclasses import replace

import numpy as np
import pytest
from golden_files import GOLDEN, LIMITS, ROOT, golden, ignoring_warnings
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile

import calotype
from calotype import PartialPictureWarning, ProgressiveDecoder
from calotype.container import Chunk, ParsedFile, parse_file, serialise_file
from calotype.container.chunks import write_chunk
from calotype.decoding import OpenedFile, first_picture_size, region_refinements
from calotype.entropy import IntegerDecoder, PassResult
from calotype.errors import CalotypeWarning, ChecksumError, FormatError, LimitError, TruncatedError
from calotype.latents import CHANNEL_OFFSETS, STEPS, level_map, log_step_map, noise_deviations
from calotype.limits import Limits
from calotype.models import load_context_model

NEWEST = sorted(name for name, path in GOLDEN.items() if path.parts[-3] != "without-context-model")
PARTIAL = calotype.DecodeOptions(model="tiny", partial=True)


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
        known = ~prefix.missing.mask
        assert known.sum() >= before
        before = known.sum()
        assert np.array_equal(prefix.integers[known], whole.integers[known])
    assert before > 0 or parsed.payload_size < 12


@ignoring_warnings
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


@ignoring_warnings
@pytest.mark.parametrize("name", ["one-pixel", "rgb-24x24"])
def test_pixels_of_every_prefix(name: str) -> None:
    data = golden(name)
    info = calotype.read_info(data)
    for size in range(parse_file(data, limits=LIMITS).payload_start, len(data)):
        image = calotype.decode(data[:size], PARTIAL)
        assert (image.mode, image.size) == (info.mode, (info.width, info.height))
        assert image.info["partial"] == size / len(data)


def test_only_partial_pictures_are_marked() -> None:
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


def test_inputs_of_the_decoder_where_integers_are_missing() -> None:
    data = golden("coarse-105x70")
    parsed = parse_file(data, limits=LIMITS)
    size = parsed.payload_size // 2
    prefix = coded_prefix(parsed, size)
    with pytest.warns(PartialPictureWarning):
        inputs = OpenedFile.of(data[: parsed.payload_start + size], PARTIAL).latents
    whole = OpenedFile.of(data, PARTIAL).latents
    assert prefix.missing is not None
    missing, mean, scale = prefix.missing.mask, prefix.missing.mean / 256, prefix.missing.scale
    assert 0 < missing.sum() < missing.size
    for name in ("latents", "conditional_mean"):
        assert np.array_equal(getattr(inputs, name)[missing], mean[missing])
        assert np.array_equal(getattr(inputs, name)[~missing], getattr(whole, name)[~missing])
    nominal = parsed.header.level / 16 - 5
    step = np.where(missing, np.maximum(nominal, scale / 16 - 6.5 + 0.5 * np.log2(12)), nominal)
    assert np.allclose(inputs.log_step, step.mean(0, keepdims=True))
    assert (inputs.log_step >= whole.log_step).all()
    levels = np.full(missing.shape[1:], parsed.header.level)
    assert np.array_equal(log_step_map(levels), whole.log_step)
    none = replace(prefix.missing, mask=np.zeros_like(missing))
    codes = parsed.header.noise
    assert np.allclose(noise_deviations(codes, levels, none), noise_deviations(codes, levels))
    every = noise_deviations(codes, levels, replace(prefix.missing, mask=np.ones_like(missing)))
    assert np.allclose(every, np.sqrt((4.0 ** (scale / 16 - 6.5)).mean((1, 2))))


@ignoring_warnings
def test_chunks_behind_the_payload_may_be_missing() -> None:
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


@ignoring_warnings
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


def test_chunks_that_may_stand_before_the_payload() -> None:
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


@ignoring_warnings
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


@ignoring_warnings
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


@pytest.mark.usefixtures("registered_plugin")
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
