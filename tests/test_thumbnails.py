"""Thumbnails, and the network that makes small pictures."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from golden_files import golden, ignoring_warnings
from PIL import Image
from view_samples import TINY, photograph, psnr

import calotype
from calotype import DecodeOptions
from calotype.errors import BoxError, ModelError, TruncatedError
from calotype.models import load_thumbnail_network
from calotype.models.thumbnail import ThumbnailNetwork

# Thumbnails


@pytest.mark.parametrize(
    ("size", "box", "reduce", "expected"),
    [
        (64, None, 1, (64, 48)),
        ((20, 100), None, 8, (20, 15)),
        (12, None, 16, (12, 9)),
        (1, None, 16, (1, 1)),
        (1000, None, 1, (200, 150)),
        ((1000, 100), None, 1, (133, 100)),
        (10, (3, 5, 119, 90), 8, (10, 7)),
    ],
)
def test_thumbnails(
    size: Any,
    box: Any,
    reduce: int,
    expected: tuple[int, int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = calotype.encode(photograph(200, 150), effort=1, **TINY)
    options: list[DecodeOptions] = []
    original = calotype.Codec.decode
    monkeypatch.setattr(
        calotype.Codec,
        "decode",
        lambda self, data, given: options.append(given) or original(self, data, given),
    )
    image = calotype.thumbnail(data, size, box=box, **TINY)
    assert image.size == expected
    assert [given.reduce for given in options] == [reduce]


def test_a_thumbnail_shows_what_the_picture_shows() -> None:
    photo = photograph(203, 150)
    data = calotype.encode(photo, effort=1, quality=60)
    for size, box in ((12, None), (25, None), (7, (40, 10, 160, 131))):
        image = calotype.thumbnail(data, size, box=box)
        wanted = photo.resize(image.size, Image.Resampling.BOX, box=box)
        assert psnr(image, wanted) > 19
    whole = calotype.decode(data)
    assert np.array_equal(np.asarray(calotype.thumbnail(data, 300)), np.asarray(whole))


@pytest.mark.parametrize("size", [0, (3, 0), (3,), (1, 2, 3), 2.5, (3, 2.5), "9", None, True])
def test_thumbnails_of_no_size(size: Any) -> None:
    with pytest.raises((TypeError, ValueError), match="size"):
        calotype.thumbnail(golden("rgb-24x24"), size)


def test_the_reduction_of_a_thumbnail_is_not_chosen() -> None:
    with pytest.raises(ValueError, match="reduce"):
        calotype.thumbnail(golden("rgb-24x24"), 3, reduce=8)
    with pytest.raises(BoxError):
        calotype.thumbnail(golden("rgb-24x24"), 3, box=(0, 0, 30, 30))


@ignoring_warnings
def test_a_partial_thumbnail_says_so() -> None:
    data = golden("fine-64x64")
    with pytest.raises(TruncatedError):
        calotype.thumbnail(data[:200], 8)
    assert calotype.thumbnail(data[:200], 3, partial=True).info["partial"] == 200 / len(data)


# The network


def test_strips_and_parts_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    network = load_thumbnail_network(1)
    rng = np.random.default_rng(2)
    mean = rng.normal(size=(4, 33, 21)).astype(np.float32)
    log_step = np.full((1, 33, 21), -1, np.float32)
    whole = network.picture(mean, log_step, 1, (slice(0, 33), slice(0, 21)))
    monkeypatch.setattr("calotype.models.thumbnail._STRIP_POSITIONS", 50)
    strips = network.picture(mean, log_step, 1, (slice(0, 33), slice(0, 21)))
    assert np.abs(strips.astype(int) - whole).max() <= 1
    part = network.picture(mean, log_step, 1, (slice(0, 5), slice(20, 21)))
    assert np.abs(part.astype(int) - whole[:5, 20:]).max() <= 1


def test_a_file_that_is_no_network_is_refused() -> None:
    with pytest.raises(ModelError, match="damaged"):
        ThumbnailNetwork(b"no archive")
