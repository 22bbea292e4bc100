"""Files with patches: what is laid over the picture, and what happens to patches that cannot be used."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from golden_files import golden
from numpy.typing import NDArray
from view_samples import TINY, photograph, pixels

import calotype
from calotype.container import (
    Chunk,
    ChunkType,
    PatchCodec,
    Patches,
    Rectangle,
    atlas_rows,
    pack_patches,
    parse_file,
    serialise_file,
    unpack_patches,
)
from calotype.decoding.patches import DecodedPatches, patch_weights
from calotype.decoding.view import DecodedView
from calotype.encoding.patch_coding import atlas_pixels, code_patches
from calotype.errors import CalotypeWarning, FormatError, UnsupportedError
from calotype.imaging import still
from calotype.limits import Limits

PLAIN = calotype.encode(photograph(64, 40), effort=1, **TINY)
SIZE = (64, 40)


def with_patches(data: bytes, patches: bytes) -> bytes:
    parsed = parse_file(data, limits=Limits())
    chunks = (Chunk(ChunkType.PATCHES, patches), *parsed.chunks)
    return serialise_file(parsed.header, parsed.payload, parsed.checksum, chunks)


def decoded(
    rectangles: tuple[Rectangle, ...], atlas: NDArray[np.uint8], *, luma: bool = False, feather: int = 0
) -> DecodedPatches:
    return DecodedPatches(Patches(PatchCodec.VP8, luma, feather, rectangles, b""), SIZE, atlas)


def view(box: tuple[int, int, int, int] | None = None, reduce: int = 1) -> DecodedView:
    options = calotype.DecodeOptions(box=box, reduce=reduce)
    return DecodedView.of(parse_file(PLAIN, limits=Limits()).header, options)


def test_weights_rise_from_the_edges_but_not_from_those_of_the_picture() -> None:
    weights = patch_weights((3, 0, 10, 6), SIZE, 4)
    assert weights[0].tolist() == [32, 96, 160, 224, 256, 256, 224, 160, 96, 32]
    assert weights[:, 4].tolist() == [256, 256, 224, 160, 96, 32]
    assert weights[5, 0] == (32 * 32 + 128) // 256
    assert (patch_weights((3, 0, 10, 6), SIZE, 0) == 256).all()
    assert (patch_weights((0, 0, 64, 40), SIZE, 63) == 256).all()


def test_a_patch_replaces_what_is_under_it() -> None:
    under = np.full((40, 64, 3), 100, np.uint8)
    atlas = np.full((16, 10, 3), (0, 50, 255), np.uint8)
    shown = decoded(((5, 7, 10, 8), (60, 36, 4, 4)), atlas, feather=2).laid_over(under, view())
    assert shown[0, 0].tolist() == [100] * 3
    assert shown[10, 8].tolist() == [0, 50, 255]
    assert shown[10, 5].tolist() == [75, 88, 139]  # 100 less 100 · 64 / 256, and so on, rounded
    assert shown[39, 63].tolist() == [0, 50, 255]
    assert (under == 100).all()


def test_a_patch_of_luma_keeps_the_colours() -> None:
    under = np.full((40, 64, 3), (200, 100, 50), np.uint8)  # a luma of 124
    atlas = np.full((8, 10, 3), 94, np.uint8)
    shown = decoded(((5, 7, 10, 8),), atlas, luma=True).laid_over(under, view())
    assert shown[7, 5].tolist() == [170, 70, 20]
    dark = decoded(((5, 7, 10, 8),), atlas * 0, luma=True).laid_over(under, view())
    assert dark[7, 5].tolist() == [76, 0, 0]


def test_later_patches_lie_over_earlier_ones() -> None:
    atlas = np.concatenate([np.full((8, 8, 3), 10, np.uint8), np.full((8, 8, 3), 20, np.uint8)])
    under = np.zeros((40, 64, 3), np.uint8)
    shown = decoded(((0, 0, 8, 8), (4, 4, 8, 8)), atlas).laid_over(under, view())
    assert (shown[0, 0, 0], shown[5, 5, 0], shown[11, 11, 0], shown[12, 12, 0]) == (10, 20, 20, 0)


@pytest.mark.parametrize("luma", [False, True])
@pytest.mark.parametrize("reduce", [8, 16])
def test_reduced_pictures_get_the_mean_of_a_patch(reduce: int, luma: bool) -> None:
    rng = np.random.default_rng(2)
    rectangles = ((3, 2, 30, 21), (40, 20, 24, 20), (9, 0, 1, 1))
    atlas = rng.integers(80, 170, (24 + 24 + 1, 30, 3)).astype(np.uint8)
    patches = decoded(rectangles, atlas, luma=luma, feather=3)
    under = np.full((40, 64, 3), 120, np.uint8)
    expected = calotype.imaging.reduce_plane(patches.laid_over(under, view())[..., 1], reduce)
    small = np.full((-(-40 // reduce), -(-64 // reduce), 3), 120, np.uint8)
    found = patches.laid_over(small, view(reduce=reduce))[..., 1]
    assert np.abs(found.astype(int) - expected).max() <= 1
    assert (found != 120).any()


def test_the_picture_shows_the_patches_of_its_file() -> None:
    data = golden("patches-96x72")
    parsed = parse_file(data, limits=Limits())
    packed = parsed.chunk(ChunkType.PATCHES)
    assert packed is not None
    patches = unpack_patches(packed, 96, 72)
    plain = pixels(serialise_file(parsed.header, parsed.payload, parsed.checksum))
    changed = np.abs(pixels(data) - plain).sum(-1) > 0
    inside = np.zeros_like(changed)
    for left, top, width, height in patches.rectangles:
        inside[top : top + height, left : left + width] = True
        assert changed[top : top + height, left : left + width].mean() > 0.7
    assert not changed[~inside].any()


def test_code_patches_brings_back_the_pixels() -> None:
    rgb = np.asarray(photograph(64, 40))
    rectangles = ((5, 3, 20, 17), (40, 30, 24, 10))
    atlas = atlas_pixels(rgb, rectangles)
    assert atlas_rows(rectangles) == [0, 24]
    assert np.array_equal(atlas[24:34], rgb[30:40, 40:64])
    assert np.array_equal(atlas[20, :20], rgb[19, 5:25])
    for codec in PatchCodec:
        patches = code_patches(rgb, rectangles, 90, luma=False, feather=0, codec=codec)
        assert patches.codec == codec
        shown = pixels(with_patches(PLAIN, pack_patches(patches)))
        for left, top, width, height in rectangles:
            part = np.s_[top : top + height, left : left + width]
            assert np.abs(shown[part] - rgb[part]).mean() < 8


def test_the_encoder_takes_vp8_where_pillow_lacks_av1(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("calotype.encoding.patch_coding.has_av1", lambda: False)
    rgb = np.asarray(photograph(64, 40))
    patches = code_patches(rgb, ((5, 3, 20, 17),), 90, luma=True, feather=0)
    assert patches.codec == PatchCodec.VP8


def test_patches_that_cannot_be_used_are_left_out_with_a_warning() -> None:
    rgb = np.asarray(photograph(64, 40))
    good = code_patches(rgb, ((5, 3, 20, 17),), 40, luma=False, feather=0)
    for patches in (
        replace(good, rectangles=((60, 3, 20, 17),)),
        replace(good, rectangles=((0, 0, 64, 40), (0, 0, 1, 1))),
        replace(good, atlas=good.atlas[:9]),
        replace(good, atlas=b""),
    ):
        data = with_patches(PLAIN, pack_patches(patches))
        with pytest.warns(CalotypeWarning, match="PATCHES"):
            assert np.array_equal(pixels(data), pixels(PLAIN))
        with pytest.raises(FormatError):
            pixels(data, strict=True)


def test_a_pillow_without_the_codec_shows_the_picture_without_patches(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rgb = np.asarray(photograph(64, 40))
    data = with_patches(PLAIN, pack_patches(code_patches(rgb, ((5, 3, 20, 17),), 40, luma=False, feather=0)))
    monkeypatch.setattr(still, "has_av1", lambda: False)
    with pytest.warns(CalotypeWarning, match="without AVIF"):
        assert np.array_equal(pixels(data), pixels(PLAIN))
    with pytest.raises(UnsupportedError, match="without AVIF"):
        pixels(data, strict=True)


def test_a_file_that_arrives_gets_its_patches_once_they_are_there() -> None:
    data = golden("patches-vp8-66x41")
    start = data[:-1]
    with pytest.warns(calotype.PartialPictureWarning):
        early = pixels(start, partial=True)
    reader = calotype.ProgressiveDecoder(**TINY)
    reader.feed(start)
    with pytest.warns(calotype.PartialPictureWarning):
        assert np.array_equal(np.asarray(reader.picture()), early)
    reader.feed(data[-1:])
    assert np.array_equal(np.asarray(reader.picture()), pixels(data))
    assert (early != pixels(data)).any()
