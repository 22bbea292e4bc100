"""The palette coding of 2022, step by step, and its payload when it is damaged or hostile."""

from __future__ import annotations

import tracemalloc
import zlib
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from calotype.errors import ChecksumError, FormatError, TruncatedError
from calotype.latents import palette


@pytest.fixture(scope="module")
def latents() -> NDArray[np.float32]:
    """What a 512x512 photograph might give: smooth, with noise, about unit variance."""
    y, x, c = np.mgrid[:64, :64, :4].astype(np.float32)
    noise = np.random.default_rng(0).normal(0, 0.4, (64, 64, 4))
    return np.asarray((np.sin(x / (5 + c)) + np.cos(y / 9) + noise).transpose(2, 0, 1), np.float32)


def integers(pixels: NDArray[np.uint8]) -> NDArray[np.int16]:
    return pixels.transpose(2, 0, 1).astype(np.int16)


def packed(pixels: NDArray[np.uint8]) -> bytes:
    colours = palette.choose_palette(pixels)
    return palette.pack_palette_payload(colours, palette.dither_to_palette(pixels, colours))


def test_eight_bits_lose_at_most_half_a_step(latents: NDArray[np.float32]) -> None:
    back = palette.latents_from_bytes(integers(palette.latents_to_bytes(latents)))
    assert np.abs(back - latents).max() <= 0.18215**2 / 2 * 1.001


def test_eight_bits_are_those_of_the_article() -> None:
    """uint8(255 clamp(z / (255 * 0.18215) + 1/2) + 1/2), for latents that are not yet scaled."""
    unscaled = np.random.default_rng(1).normal(0, 9, (4, 30, 30))
    expected = ((unscaled / (255 * 0.18215) + 0.5).clip(0, 1) * 255 + 0.5).astype(np.uint8)
    integers = palette.latents_to_bytes((unscaled * 0.18215).astype(np.float32))
    assert np.mean(integers != expected.transpose(1, 2, 0)) < 1e-3  # float32 latents, ties
    assert integers.min() == 0 and integers.max() == 255


def test_dequantised_latents_are_exact() -> None:
    scaled = palette.latents_from_bytes(np.arange(256))
    expected = [Fraction((2 * i - 255) * 331786225, 2 * 10**10) for i in range(256)]
    assert np.array_equal(scaled, np.array([float(value) for value in expected]).astype(np.float32))
    assert scaled[255].tolist() == 4.230274200439453


def test_size_at_512_is_that_of_palette_and_indices(latents: NDArray[np.float32]) -> None:
    data = packed(palette.latents_to_bytes(latents))
    assert 4500 < len(data) <= 5120
    assert len(zlib.decompress(data)) == 1024 + 4096


def test_few_colours_are_kept_exactly() -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (4, 6, 4)).astype(np.uint8)
    assert np.array_equal(palette.unpack_palette_payload(packed(pixels), 4, 6), integers(pixels))


def test_k_means_beats_the_cut_it_starts_from(
    latents: NDArray[np.float32], monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels = palette.latents_to_bytes(latents)

    def error() -> float:
        colours = palette.choose_palette(pixels)
        return float(
            ((colours[palette.nearest_in_palette(pixels, colours)].astype(float) - pixels) ** 2).mean()
        )

    after = error()
    monkeypatch.setattr(palette, "_MAX_ITERATIONS", 0)
    assert after < 0.97 * error()
    assert after < 45  # of a variance of about 1,000


def test_large_pictures_are_sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (40, 50, 4)).astype(np.uint8)
    monkeypatch.setattr(palette, "_MAX_SAMPLED_POSITIONS", 500)
    thinned = pixels.reshape(-1, 4)[::4].reshape(20, 25, 4)
    assert np.array_equal(palette.choose_palette(pixels), palette.choose_palette(thinned))


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (13, 8), (6, 31)])
def test_dithering_is_floyd_and_steinbergs(shape: tuple[int, int]) -> None:
    """The plain loop over the rows, with errors handed on as they arise."""
    rng = np.random.default_rng(3)
    pixels = rng.integers(60, 200, (*shape, 4)).astype(np.uint8)
    colours = rng.integers(40, 220, (256, 4)).astype(np.uint8)[np.arange(256) % 24]
    work = np.pad(pixels.astype(float), ((0, 1), (1, 1), (0, 0)))
    expected = np.empty(shape, np.uint8)
    for y, x in np.ndindex(shape):
        wanted = work[y, x + 1]
        index = expected[y, x] = int(((colours - wanted) ** 2).sum(1).argmin())
        error = (wanted - colours[index]) / 16
        work[y, x + 2] += 7 * error
        work[y + 1, x : x + 3] += np.array([3, 5, 1])[:, None] * error
    indices = palette.dither_to_palette(pixels, colours)
    assert np.array_equal(colours[indices], colours[expected])


def test_dithering_keeps_the_mean_of_every_channel() -> None:
    flat = np.broadcast_to(np.array([40, 100, 200, 130], np.uint8), (32, 32, 4))
    colours = np.zeros((palette.COLOURS, 4), np.uint8)
    colours[1] = 255
    colours[2:] = np.random.default_rng(2).integers(0, 256, (palette.COLOURS - 2, 4))
    mean = colours[palette.dither_to_palette(flat, colours)].reshape(-1, 4).mean(axis=0)
    assert np.abs(mean - flat[0, 0]).max() < 4


def test_without_dithering_the_nearest_colour_is_taken(latents: NDArray[np.float32]) -> None:
    pixels = palette.latents_to_bytes(latents)[:20, :30]
    colours = palette.choose_palette(palette.latents_to_bytes(latents))
    distance = ((pixels[:, :, None].astype(int) - colours.astype(int)) ** 2).sum(-1)
    chosen = palette.nearest_in_palette(pixels, colours)
    assert np.array_equal(
        np.take_along_axis(distance, chosen[..., None].astype(int), 2)[..., 0], distance.min(2)
    )


def test_popular_colours_come_first() -> None:
    indices = np.repeat(np.array([7, 200, 3], np.uint8), [5, 9, 2]).reshape(4, 4)
    colours = np.random.default_rng(0).integers(0, 256, (256, 4)).astype(np.uint8)
    raw = zlib.decompress(palette.pack_palette_payload(colours, indices))
    assert raw[:12] == colours[[200, 7, 3]].tobytes()
    assert np.array_equal(
        palette.unpack_palette_payload(palette.pack_palette_payload(colours, indices), 4, 4),
        integers(colours[indices]),
    )


def test_a_stream_that_inflates_without_end_is_cut_off() -> None:
    bomb = zlib.compress(bytes(20_000_000), 9)
    tracemalloc.start()
    try:
        with pytest.raises(ChecksumError, match="does not end"):
            palette.unpack_palette_payload(bomb, 8, 8)
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()


def test_every_truncation_and_addition_is_an_error(latents: NDArray[np.float32]) -> None:
    data = packed(palette.latents_to_bytes(latents[:, :9, :7]))
    for end in range(len(data)):
        with pytest.raises((TruncatedError, ChecksumError)):
            palette.unpack_palette_payload(data[:end], 9, 7)
    with pytest.raises(ChecksumError):
        palette.unpack_palette_payload(data + b"\0", 9, 7)
    for shape in ((9, 8), (9, 6)):
        with pytest.raises((TruncatedError, ChecksumError)):
            palette.unpack_palette_payload(data, *shape)


@given(st.binary(max_size=60))
def test_any_bytes_give_integers_or_a_format_error(data: bytes) -> None:
    with pytest.raises(FormatError):
        palette.unpack_palette_payload(data, 4, 4)
