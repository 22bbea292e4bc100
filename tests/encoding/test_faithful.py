"""Files that invent no more than is allowed."""

from __future__ import annotations

import re

import numpy as np
import pytest
from view_samples import photograph

import calotype
from calotype import EncodeOptions
from calotype.container import ChunkType, Patches, parse_file
from calotype.encoding.faithful import (
    coarsest_options,
    finer_options,
    patches_over,
    smaller_options,
    with_patches,
    worst_rectangles,
)
from calotype.errors import InventionError
from calotype.fidelity import Fidelity
from calotype.limits import Limits


def fidelity(*invented: tuple[int, int], size: tuple[int, int] = (100, 70)) -> Fidelity:
    """Scores of blocks, 1 for those at ``invented`` (y, x)."""
    width, height = size
    scores = np.zeros((-(-height // 16), -(-width // 16)), np.float32)
    for place in invented:
        scores[place] = 1
    return Fidelity(width, height, scores, np.zeros_like(scores))


def test_qualities_rise_unless_there_is_a_size() -> None:
    assert [options.quality for options in finer_options(EncodeOptions())] == [None, 65, 80, 100]
    assert [options.quality for options in finer_options(EncodeOptions(quality=70))] == [70, 80, 100]
    assert list(finer_options(EncodeOptions(target_size=900))) == [EncodeOptions(target_size=900)]
    coarsest = coarsest_options(EncodeOptions(bpp=0.5, protect="auto", faithful=0.5))
    assert (coarsest.quality, coarsest.bpp, coarsest.protect) == (0, None, "none")


def test_latents_leave_bytes_to_patches_within_a_size() -> None:
    assert list(smaller_options(EncodeOptions(), None)) == []
    sizes = [options.target_size for options in smaller_options(EncodeOptions(bpp=0.5), 1000)]
    assert sizes == [750, 500]


def test_the_worst_parts_are_rectangles_of_blocks() -> None:
    file = calotype.encode(photograph(100, 70), model="tiny", effort=1)
    assert worst_rectangles(fidelity((0, 0), (0, 1), (4, 6)), 0.5, file) == [(0, 0, 32, 16), (96, 64, 4, 6)]
    assert worst_rectangles(fidelity(), 0.5, file) == []
    assert worst_rectangles(fidelity(*((y, x) for y in range(5) for x in range(4))), 0.5, file) == []
    apart = [(y, x) for y in range(0, 64, 2) for x in range(0, 64, 2)]
    assert worst_rectangles(fidelity(*apart, size=(1024, 1024)), 0.5, file) == []  # too many for one file


def test_patches_of_the_file_stay_beside_those_over_the_worst_parts() -> None:
    picture = photograph(100, 70)
    (patches, *_) = patches_over(np.asarray(picture), [(3, 4, 20, 10)])
    file = with_patches(calotype.encode(picture, model="tiny", effort=1), patches, EncodeOptions())
    assert file is not None
    assert worst_rectangles(fidelity((4, 6)), 0.5, file) == [(96, 64, 4, 6), (3, 4, 20, 10)]
    assert worst_rectangles(fidelity(), 0.5, file) == []


def test_patches_keep_to_the_size_of_the_options() -> None:
    picture = photograph(64, 40)
    file = calotype.encode(picture, model="tiny", effort=1)
    patches = list(patches_over(np.asarray(picture), []))
    assert [len(each.atlas) for each in patches] == sorted(len(each.atlas) for each in patches)
    patched = with_patches(file, patches[0], EncodeOptions())
    assert patched is not None
    assert parse_file(patched, limits=Limits(), strict=True).chunk(ChunkType.PATCHES) is not None
    again = with_patches(patched, patches[0], EncodeOptions(target_size=len(patched)))
    assert again == patched
    assert with_patches(file, patches[0], EncodeOptions(target_size=len(patched) - 1)) is None
    shown = calotype.decode(patched, model="tiny", as_array=True).astype(int)
    assert np.abs(shown - np.asarray(picture)).mean() < 12
    (part,) = {each.rectangles for each in patches_over(np.asarray(picture), [(3, 4, 20, 10)])}
    assert part == ((3, 4, 20, 10),)
    assert isinstance(patches[0], Patches)


@pytest.mark.parametrize("faithful", [-0.1, 1.1, float("nan")])
def test_a_limit_is_between_0_and_1(faithful: float) -> None:
    with pytest.raises(ValueError, match="faithful"):
        EncodeOptions(faithful=faithful)
    with pytest.raises(ValueError, match="palette"):
        EncodeOptions(recipe="palette", faithful=0.5)


@pytest.mark.slow
def test_a_faithful_file_gets_bytes_until_its_invention_is_low_enough() -> None:
    picture = photograph(96, 72)
    plain = calotype.encode(picture, quality=20, effort=1)
    invention = calotype.verify(picture, plain).invention
    assert calotype.encode(picture, quality=20, effort=1, faithful=min(1.0, invention + 0.01)) == plain
    limit = 0.8 * invention
    faithful = calotype.encode(picture, quality=20, effort=1, faithful=limit, record=True)
    assert len(faithful) > len(plain)
    found = calotype.verify(picture, faithful).invention
    assert found <= limit
    scores = re.search(r"invention (0\.\d\d), loss 0\.\d\d ", calotype.decode(faithful).info["provenance"])
    assert scores is not None
    assert float(scores[1]) == pytest.approx(found, abs=0.01)
    assert "invention" not in calotype.decode(plain).info["provenance"]
    size = len(plain) + 20
    with pytest.raises(InventionError, match=rf"within {size} bytes, above 0\.01"):
        calotype.encode(picture, target_size=size, effort=1, faithful=0.01)
