"""Pictures of a few pixels have the colours that they should have."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import calotype
from calotype.container import Header, parse_file
from calotype.encoding.candidate import code_latents
from calotype.encoding.plan import Plan, RateTarget
from calotype.encoding.prepare import MAX_EXTENDED_SIDE, PreparedPicture
from calotype.encoding.stages import with_solved_colours
from calotype.limits import Limits
from calotype.options import EncodeOptions

SIZES = [(1, 1), (1, 2), (3, 1), (7, 8), (8, 8), (9, 17), (24, 24), (32, 5), (32, 32)]
COLOURS = list(product((0, 128, 255), repeat=3))


@pytest.fixture(scope="module")
def codec() -> calotype.Codec:
    return calotype.Codec(threads=1)


def worst(codec: calotype.Codec, colour: tuple[int, ...], size: tuple[int, int]) -> int:
    picture = Image.new("RGB", size, colour)
    decoded = codec.decode(codec.encode(picture, quality=90)).convert("RGB")
    return int(np.abs(np.asarray(decoded).astype(int) - colour).max())


class Linear:
    """A model whose colours are the first three channels."""

    margin = last_margin = 0

    def encode(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.zeros((4, pixels.shape[1] // 8, pixels.shape[2] // 8), np.float32)

    def decode(self, latents: NDArray[np.float32], *_: object) -> NDArray[np.float32]:
        return (latents[:3] + 0.5).repeat(8, 1).repeat(8, 2)


@pytest.mark.parametrize(
    ("options", "rate", "scale", "level"),
    [
        ({"quality": 90}, RateTarget(level=18), 64, 18),
        ({"quality": 90}, RateTarget(size=60), 88, 18),  # from the scale that takes as many bytes
        ({"target_size": 60}, RateTarget(size=60), 88, None),
    ],
)
def test_solving_keeps_to_the_rate(
    options: dict[str, int], rate: RateTarget, scale: int, level: int | None
) -> None:
    header = Header(coding=0, space=1, context_model=242, encoder=240, width=64, height=64, level=0)
    picture = PreparedPicture(np.full((64, 64, 3), 220, np.uint8), header, (), Limits(), False)
    plan = Plan.of(EncodeOptions(**options), 64, 64)  # type: ignore[arg-type]
    latents = Linear().encode(picture.pixels(picture.at(scale)).transpose(2, 0, 1))
    candidate = code_latents(latents, picture.at(scale), (), rate, plan.rdo)
    solved = with_solved_colours(candidate, picture, plan, Linear(), Linear())
    assert solved is not candidate
    if level is None:
        assert solved.size <= 60 and solved.header.scale == scale
    else:
        assert (solved.header.level, solved.header.scale) == (level, 64)


def test_one_colour_comes_back(codec: calotype.Codec) -> None:
    assert worst(codec, (60, 90, 150), (9, 17)) <= 8


@pytest.mark.slow
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("colour", [(128, 128, 128), (200, 120, 40), (60, 90, 150), (20, 60, 30)])
def test_one_colour_of_any_size_comes_back(
    codec: calotype.Codec, colour: tuple[int, ...], size: tuple[int, int]
) -> None:
    assert worst(codec, colour, size) <= 8


@pytest.mark.slow
@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize("side", [1, 8, 17])
def test_every_corner_of_the_colour_cube_comes_back(
    codec: calotype.Codec, colour: tuple[int, ...], side: int
) -> None:
    assert worst(codec, colour, (side, side)) <= 8


@pytest.mark.slow
def test_colours_side_by_side(codec: calotype.Codec) -> None:
    """Each half is what it is, but for what the networks blur."""
    picture = np.zeros((32, 32, 3), np.uint8)
    picture[:, :16], picture[:, 16:] = (200, 60, 50), (40, 90, 170)
    decoded = codec.decode(codec.encode(picture, quality=90), as_array=True).astype(int)
    for part in (np.s_[:, :12], np.s_[:, 20:]):
        assert np.abs((decoded - picture)[part].mean((0, 1))).max() <= 8


@pytest.mark.parametrize("side", [MAX_EXTENDED_SIDE, MAX_EXTENDED_SIDE + 1])
def test_only_small_pictures_are_extended(side: int) -> None:
    data = calotype.encode(np.zeros((side, 100, 3), np.uint8), model="tiny")
    assert parse_file(data, limits=Limits()).header.extended is (side == MAX_EXTENDED_SIDE)
    palette = calotype.encode(np.zeros((side, 100, 3), np.uint8), model="tiny", recipe="palette")
    assert not parse_file(palette, limits=Limits()).header.extended
