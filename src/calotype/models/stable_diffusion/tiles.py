"""Networks over latents and pictures of any size: overlapping tiles, blended where they overlap.

::

    weight  1 ┤        ┌────────────────┐          positions within ``guard`` of a cut are not used;
              │     ramp                ramp       then a ramp; at the picture's own border there is
            0 ┤guard┘                      └guard  neither, and the weight is 1
              └───────────  tile  ───────────

A convolutional network whose receptive field has a radius of at most ``guard`` gives the untiled result.
One with global normalisation or attention does not; there the ramps blend the tiles.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import product

import numpy as np
from numpy.typing import NDArray

from calotype.errors import CalotypeWarning
from calotype.latents import SD1
from calotype.models.windows import overlapping_parts, tile_windows

__all__ = ["DiffusionTiler", "is_out_of_memory"]

_SIGNS = (
    "out of memory",  # CUDA, MPS
    "can't allocate memory",  # the CPU
    "bad_alloc",  # the CPU's libraries
    "alloc_failed",  # cuBLAS, cuDNN
    "invalid buffer size",  # MPS, for one tensor above what the system allows
)

Array = NDArray[np.float32]
Network = Callable[[Array], Array]


@dataclass
class DiffusionTiler:
    """Runs networks tile by tile. ``tile``, ``overlap`` and ``guard`` are in latent positions.

    The overlap is at least twice the guard. Arrays may have another first axis, for several pictures. If
    memory runs out, the tiler halves the number of pictures at a time, then its tile, down to twice the
    overlap, with a warning. It keeps the smaller values.
    """

    tile: int
    overlap: int
    guard: int
    name: str = "the model"
    _free: Callable[[], None] = field(default=lambda: None)

    def __post_init__(self) -> None:
        self.tile = max(self.tile, 2 * self.overlap)
        self._most: int | None = None

    def together(self, run: Callable[[slice], Array], count: int) -> Array:
        """Calls ``run`` for all ``count`` pictures at once, or for parts of them if memory runs out.

        ``run`` gets a slice of the pictures, and returns its results.
        """
        done: list[Array] = []
        start = 0
        while start < count:
            part = slice(start, min(start + (self._most or count), count))
            try:
                done.append(run(part))
                start = part.stop
                continue
            except Exception as error:
                if not is_out_of_memory(error) or part.stop - start == 1:
                    raise
            self._most = (part.stop - start) // 2
            self._short_of_memory(f"{self._most} at a time")
        return done[0] if len(done) == 1 else np.concatenate(done)

    def encode(self, network: Network, pixels: Array, factor: int = SD1.factor) -> Array:
        """Encodes float32[c, H, W], H and W multiples of ``factor``, to float32[c', H/factor, W/factor]."""
        return self._run(network, pixels, factor, 1)

    def decode(self, network: Network, latents: Array, factor: int = SD1.factor) -> Array:
        """Decodes float32[c, h, w] to float32[c', factor h, factor w]."""
        return self._run(network, latents, 1, factor)

    def denoise(self, network: Network, latents: Array) -> Array:
        """Denoises float32[c, h, w] to the same size."""
        return self._run(network, latents, 1, 1)

    def edges(self, size: int, fine: int = 1) -> list[int]:
        """Returns the positions along an axis of ``size`` latents where tiles begin and end.

        Seams would be visible there. The unit is a sample of the result, of which there are ``fine`` per
        latent.
        """
        parts = self._parts(size)
        return [fine * part.start for part in parts[1:]] + [fine * part.stop for part in parts[:-1]]

    def _run(self, network: Network, x: Array, fine_in: int, fine_out: int) -> Array:
        while True:
            try:
                return self._pass(network, x, fine_in, fine_out)
            except Exception as error:
                if not is_out_of_memory(error) or (x.ndim == 4 and len(x) > 1):
                    raise
                if self.tile <= 2 * self.overlap:
                    raise MemoryError(
                        f"{self.name} does not fit in memory: even in the smallest tiles"
                    ) from error
            side = max(x.shape[-2:]) // fine_in
            self.tile = max(min(self.tile, side) // 2, 2 * self.overlap)
            self._short_of_memory(f"tiles of {SD1.factor * self.tile} pixels")

    def _short_of_memory(self, instead: str) -> None:
        """Handles a lack of memory, outside of the ``except`` block whose traceback holds the tensors to
        free."""
        self._free()
        warnings.warn(
            f"{self.name} does not fit in memory: going on with {instead}", CalotypeWarning, stacklevel=3
        )

    def _pass(self, network: Network, x: Array, fine_in: int, fine_out: int) -> Array:
        height, width = x.shape[-2] // fine_in, x.shape[-1] // fine_in
        rows, columns = self._parts(height), self._parts(width)
        weights = product(self._weights(rows, fine_out), self._weights(columns, fine_out))
        out: Array | None = None
        for window, (down, across) in zip(tile_windows(rows, columns, self.guard), weights, strict=True):
            part = network(x[..., *window.scaled(fine_in).read])
            if part.shape[-2:] == (height * fine_out, width * fine_out):
                return part
            if out is None:
                out = np.zeros((*part.shape[:-2], height * fine_out, width * fine_out), np.float32)
            out[..., *window.scaled(fine_out).read] += part * (down[:, None] * across)
        if out is None:
            raise ValueError(f"an array of shape {x.shape} is empty")
        return out

    def _parts(self, size: int) -> list[slice]:
        """Returns the kept parts of the tiles along an axis of ``size`` latents: without the guard, with
        the ramps.
        """
        return overlapping_parts(size, self.tile, self.overlap, self.guard)

    def _weights(self, parts: list[slice], fine: int) -> list[Array]:
        """Returns the weights of the samples of each tile along an axis, float32[fine * tile].

        At each place they add to 1.
        """
        first, last = parts[0], parts[-1]
        if first is last:
            return [np.ones(first.stop * fine, np.float32)]
        ramp = max(self.overlap - 2 * self.guard, 0) * fine
        inside = np.arange(self.tile * fine) + 0.5 - self.guard * fine
        rising = np.clip(inside / ramp, 0, 1) if ramp else (inside > 0).astype(float)
        total = np.zeros(last.stop * fine)
        weights = []
        for part in parts:
            weight = np.ones(self.tile * fine)
            start = 0
            if part is not first:
                weight *= rising
                start = (part.start - self.guard) * fine
            if part is not last:
                weight *= rising[::-1]
            covered = total[start : start + self.tile * fine]
            covered += weight
            weights.append((weight, covered))
        return [(weight / covered).astype(np.float32) for weight, covered in weights]


def is_out_of_memory(error: BaseException) -> bool:
    """Returns whether an error means that memory ran out; for errors not of torch's own type the text
    decides.
    """
    text = str(error).lower()
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or (isinstance(error, RuntimeError) and any(sign in text for sign in _SIGNS))
    )
