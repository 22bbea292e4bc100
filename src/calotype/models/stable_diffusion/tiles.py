"""Networks over latents and pictures of any size: overlapping tiles, blended where they overlap.

::

    weight  1 ┤        ┌────────────────┐          what lies within ``guard`` of a cut is not used;
              │     ramp                ramp       then a ramp; at the picture's own border there is
            0 ┤guard┘                      └guard  neither, and the weight is 1
              └───────────  tile  ───────────

A convolutional network that sees no further than ``guard`` gives the same tiled as whole. One with global
normalisation or attention does not; there the ramps hide the difference.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from math import ceil

import numpy as np
from numpy.typing import NDArray

from calotype.errors import CalotypeWarning

__all__ = ["Tiler", "is_out_of_memory"]

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
class Tiler:
    """``tile``, ``overlap`` and ``guard`` in latent positions, overlap at least twice the guard.

    Arrays may have a first axis more, for pictures that go through together. Short of memory it halves
    their number, then its tile, down to twice the overlap, with a warning, and keeps it so.
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
        """``run`` of 0 to ``count`` at once, or in parts one after the other if memory is too short for that.

        ``run`` gets the slice of the pictures that it is to take, and gives what becomes of them.
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

    def encode(self, network: Network, pixels: Array, factor: int = 8) -> Array:
        """float32[c, H, W], H and W multiples of ``factor``, to float32[c', H/factor, W/factor]."""
        return self._run(network, pixels, factor, 1)

    def decode(self, network: Network, latents: Array, factor: int = 8) -> Array:
        """float32[c, h, w] to float32[c', factor h, factor w]."""
        return self._run(network, latents, 1, factor)

    def denoise(self, network: Network, latents: Array) -> Array:
        """float32[c, h, w] to the same size."""
        return self._run(network, latents, 1, 1)

    def edges(self, size: int, fine: int = 1) -> list[int]:
        """Where along an axis of ``size`` latents tiles begin and end to count: what seams would show at.

        In samples of the result, ``fine`` to a latent.
        """
        axis = self._axis(size, fine)
        begins = [fine * (start + self.guard) for start, _, _ in axis[1:]]
        return begins + [fine * (stop - self.guard) for _, stop, _ in axis[:-1]]

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
            self._short_of_memory(f"tiles of {8 * self.tile} pixels")

    def _short_of_memory(self, instead: str) -> None:
        """Called outside of the handler: the error's traceback holds the very tensors that must go."""
        self._free()
        warnings.warn(
            f"{self.name} does not fit in memory: going on with {instead}", CalotypeWarning, stacklevel=3
        )

    def _pass(self, network: Network, x: Array, fine_in: int, fine_out: int) -> Array:
        height, width = x.shape[-2] // fine_in, x.shape[-1] // fine_in
        out: Array | None = None
        for top, bottom, rows in self._axis(height, fine_out):
            for left, right, columns in self._axis(width, fine_out):
                window = x[..., top * fine_in : bottom * fine_in, left * fine_in : right * fine_in]
                part = network(window)
                if part.shape[-2:] == (height * fine_out, width * fine_out):
                    return part
                if out is None:
                    out = np.zeros((*part.shape[:-2], height * fine_out, width * fine_out), np.float32)
                target = out[..., top * fine_out : bottom * fine_out, left * fine_out : right * fine_out]
                target += part * (rows[:, None] * columns)
        if out is None:
            raise ValueError(f"an array of shape {x.shape} has nothing to compute")
        return out

    def _axis(self, size: int, fine: int) -> list[tuple[int, int, Array]]:
        """(start, stop, weights float32[fine (stop - start)]) of each tile; at each place they add to 1."""
        if size <= self.tile:
            return [(0, size, np.ones(size * fine, np.float32))]
        count = ceil((size - self.overlap) / (self.tile - self.overlap))
        starts = [round(i * (size - self.tile) / (count - 1)) for i in range(count)]
        ramp = max(self.overlap - 2 * self.guard, 0) * fine
        inside = np.arange(self.tile * fine) + 0.5 - self.guard * fine
        rising = np.clip(inside / ramp, 0, 1) if ramp else (inside > 0).astype(float)
        weights = []
        for start in starts:
            weight = np.ones(self.tile * fine)
            if start > 0:
                weight *= rising
            if start + self.tile < size:
                weight *= rising[::-1]
            weights.append(weight)
        total = np.zeros(size * fine)
        for start, weight in zip(starts, weights, strict=True):
            total[start * fine : (start + self.tile) * fine] += weight
        axis = []
        for start, weight in zip(starts, weights, strict=True):
            share = weight / total[start * fine : (start + self.tile) * fine]
            axis.append((start, start + self.tile, share.astype(np.float32)))
        return axis


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out; but for torch's own type only its text tells."""
    text = str(error).lower()
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or (isinstance(error, RuntimeError) and any(sign in text for sign in _SIGNS))
    )
