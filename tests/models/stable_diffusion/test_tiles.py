"""Tiles: exact for local networks, without seams for global ones, smaller when memory is short."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sd_weights import VAE, random_network

from calotype.errors import CalotypeWarning
from calotype.models.stable_diffusion.noise import normal_deviates
from calotype.models.stable_diffusion.tiles import DiffusionTiler, is_out_of_memory

Array = NDArray[np.float32]


def blur(x: Array) -> Array:
    """A local network: every output depends on inputs up to 5 away, and on zeros beyond the border."""
    for axis in (1, 2):
        padded = np.pad(x, [(5, 5) if a == axis else (0, 0) for a in range(3)])
        x = np.stack([np.roll(padded, -i, axis) for i in range(11)]).mean(0).take(range(x.shape[axis]), axis)
    return x.astype(np.float32)


def enlarge(x: Array) -> Array:
    return blur(x).repeat(8, 1).repeat(8, 2)


def shrink(x: Array) -> Array:
    return blur(x.reshape(3, x.shape[1] // 8, 8, x.shape[2] // 8, 8).mean((2, 4)))


@pytest.mark.parametrize("size", [(20, 21), (57, 33), (24, 100)])
@pytest.mark.parametrize("overlap", [10, 12])
def test_local_networks_give_the_same_in_tiles(size: tuple[int, int], overlap: int) -> None:
    tiler = DiffusionTiler(24, overlap, 5)
    latents, pixels = normal_deviates(1, (3, *size)), normal_deviates(2, (3, 8 * size[0], 8 * size[1]))
    np.testing.assert_allclose(tiler.denoise(blur, latents), blur(latents), atol=1e-6)
    np.testing.assert_allclose(tiler.decode(enlarge, latents), enlarge(latents), atol=1e-6)
    np.testing.assert_allclose(tiler.encode(shrink, pixels), shrink(pixels), atol=1e-6)


def test_nothing_larger_than_a_tile_is_computed() -> None:
    sizes = []

    def network(x: Array) -> Array:
        sizes.append(x.shape[1:])
        return x

    x = normal_deviates(3, (4, 61, 25))
    np.testing.assert_allclose(DiffusionTiler(32, 8, 2).denoise(network, x), x, atol=1e-6)
    assert set(sizes) == {(32, 25)}
    assert len(sizes) == 3


def seams(picture: Array, cuts: list[int]) -> float:
    """The mean step between neighbouring columns where tiles begin or end, over that everywhere."""
    steps = np.abs(np.diff(picture, axis=2)).mean((0, 1))
    return float(np.mean([steps[cut - 1] for cut in cuts]) / steps.mean())


def test_a_network_with_global_normalisation_shows_no_seams() -> None:
    vae = random_network(VAE, 0)
    smooth = 3 * blur(
        blur(normal_deviates(4, (4, 32, 120)))
    )  # tiles of different means: what GroupNorm answers to

    def decode(x: Array) -> Array:
        with torch.inference_mode():
            pixels: Array = vae.decode(torch.from_numpy(x.copy())[None]).sample[0].numpy()
        return pixels

    whole, blended, butted = decode(smooth), DiffusionTiler(48, 16, 4), DiffusionTiler(48, 16, 8)
    assert np.abs(blended.decode(decode, smooth) - whole).max() > 1e-3  # the tiles do differ
    assert seams(blended.decode(decode, smooth), blended.edges(120, 8)) < 1.1 * seams(
        whole, blended.edges(120, 8)
    )
    assert seams(butted.decode(decode, smooth), butted.edges(120, 8)) > 1.2 * seams(
        whole, butted.edges(120, 8)
    )


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has ..."),
        RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be ..."),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
        RuntimeError("MPS backend out of memory (MPS allocated: 8.98 GB, other allocations: ..."),
        RuntimeError("Invalid buffer size: 16.00 GB"),
    ],
)
def test_tiles_shrink_with_a_warning_when_memory_is_short(error: Exception) -> None:
    freed = []

    def network(x: Array) -> Array:
        if x.shape[1] * x.shape[2] > 40 * 40:
            raise error
        return blur(x)

    tiler = DiffusionTiler(128, 12, 5, "the U-Net", lambda: freed.append(1))
    x = normal_deviates(5, (3, 100, 90))
    with pytest.warns(
        CalotypeWarning, match="the U-Net does not fit in memory: going on with tiles of"
    ) as warned:
        denoised = tiler.denoise(network, x)
    np.testing.assert_allclose(denoised, blur(x), atol=1e-6)
    assert len(warned) == len(freed) == 2
    assert tiler.tile == 25
    tiler.denoise(network, x)  # remembers, and so does not warn again


def test_a_picture_that_never_fits_is_an_error() -> None:
    def network(x: Array) -> Array:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    with pytest.warns(CalotypeWarning), pytest.raises(MemoryError, match="the U-Net does not fit in memory"):
        DiffusionTiler(64, 16, 4, "the U-Net").denoise(network, normal_deviates(1, (1, 64, 64)))


def test_other_errors_pass_at_once() -> None:
    def broken(x: Array) -> Array:
        raise RuntimeError("a shape is wrong")

    network: Callable[[Array], Array] = broken
    with pytest.raises(RuntimeError, match="a shape is wrong"):
        DiffusionTiler(64, 16, 4).denoise(network, normal_deviates(1, (1, 64, 64)))
    assert not is_out_of_memory(ValueError("out of memory"))
