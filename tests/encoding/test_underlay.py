"""The picture under patches, and the bytes that its latents give back."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from calotype.container import Chunk, ChunkType, PatchCodec, Patches, pack_patches
from calotype.encoding.candidate import Candidate, code_latents
from calotype.encoding.plan import Plan
from calotype.encoding.prepare import PreparedPicture, prepare_picture
from calotype.encoding.underlay import Underlay, pixels_under_patches, smoothed_under
from calotype.imaging import load_picture, luma
from calotype.limits import Limits
from calotype.models import load_encoder
from calotype.models.tiling import encode_tiled
from calotype.options import EncodeOptions

BOX = (40, 24, 72, 32)


def noisy_part() -> NDArray[np.uint8]:
    """An even picture, 160x96, with noise in the middle, of blocks of 4x4 pixels."""
    rgb = np.full((96, 160, 3), (120, 100, 90), np.uint8)
    noise = np.random.default_rng(3).integers(0, 256, (12, 22, 3))
    rgb[16:64, 32:120] = noise.repeat(4, 0).repeat(4, 1)
    return rgb


def candidate_of(rgb: NDArray[np.uint8]) -> tuple[Candidate, PreparedPicture]:
    options = EncodeOptions(quality=40, effort=1, model="tiny")
    picture = prepare_picture(load_picture(rgb, limits=Limits(), strict=True, keep=()), options)
    plan = Plan.of(options, picture.header.width, picture.header.height)
    latents = encode_tiled(load_encoder("tiny", 1), picture.pixels(picture.header))
    return code_latents(latents, picture.header, (), plan.rate, plan.rdo), picture


def test_a_smoothed_part_keeps_its_mean_colours() -> None:
    rgb = noisy_part()
    smooth = smoothed_under(rgb, [BOX], 3)
    left, top, width, height = BOX
    inside = slice(top + 3, top + height - 3), slice(left + 3, left + width - 3)
    brightness = [luma(np.ascontiguousarray(pixels[inside])).std() for pixels in (smooth, rgb)]
    assert brightness[0] < 0.15 * brightness[1]
    assert np.abs(smooth[inside].mean((0, 1)) - rgb[inside].mean((0, 1))).max() < 10
    outside = np.ones(rgb.shape[:2], bool)
    outside[top : top + height, left : left + width] = False
    assert np.array_equal(smooth[outside], rgb[outside])
    corner = (0, 0, 20, 20)
    assert np.array_equal(smoothed_under(rgb, [corner], 3)[:4, :4], rgb[:4, :4])


def test_the_latents_under_a_patch_give_back_their_bytes() -> None:
    candidate, picture = candidate_of(noisy_part())
    underlay = Underlay(candidate, picture, load_encoder("tiny", 1), 3)
    noisy, even = underlay.saved_bytes([BOX, (8, 72, 40, 16)])
    assert abs(even) < 0.1 * noisy
    latents = underlay.latents([BOX])
    coded = code_latents(latents, candidate.header, (), candidate.rate, Plan.of(EncodeOptions(), 8, 8).rdo)
    plain = code_latents(
        candidate.latents, candidate.header, (), candidate.rate, Plan.of(EncodeOptions(), 8, 8).rdo
    )
    assert 0.5 * noisy < plain.size - coded.size < 1.6 * noisy
    far = np.ones(latents.shape[1:], bool)
    far[1:9, 3:16] = False
    assert np.array_equal(latents[:, far], candidate.latents[:, far])


def test_latents_are_to_show_what_lies_under_patches() -> None:
    candidate, picture = candidate_of(noisy_part())
    assert np.array_equal(pixels_under_patches(candidate, picture), picture.rgb)
    patches = Patches(PatchCodec.VP8, False, 3, (BOX,), b"")
    chunks = (Chunk(ChunkType.PATCHES, pack_patches(patches)),)
    smooth = pixels_under_patches(replace(candidate, chunks=chunks), picture)
    assert np.array_equal(smooth, smoothed_under(picture.rgb, [BOX], 3))
