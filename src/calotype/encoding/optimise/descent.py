"""Gradient descent on latents, through the decoder and the entropy model, at constant size.

::

    y ── round ── v ─┬─ decoder ── distortion D ─┐
                     └─ context model ── bits R ─┴─ log D + lambda log R ── gradient of v, taken for that of y

lambda depends on the size: it grows while R is above the budget and shrinks while R is below it. The first
v is that of a finished file. Each v with a smaller distortion, whose actual payload fits, replaces the
best so far.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from calotype.encoding.optimise.distortion import distortion_terms
from calotype.encoding.optimise.rate import DifferentiableRate
from calotype.encoding.rate import SizeTarget, Trial, TrialEncoder
from calotype.entropy import ContextModel
from calotype.latents import SD1, Reconstruction, channel_steps, log_step_map, reconstruct_latents
from calotype.models import TorchDecoder
from calotype.models.onnx_torch import TorchGraph
from calotype.models.windows import equal_parts, tile_windows

__all__ = ["CodedLatents", "LatentDescent"]

_MAX_START_OFFSET = 0.3  # Largest distance, in steps, of the first y from the integers of the file.
_LEARNING_RATE, _MOMENTUM = 0.003, 0.9  # The rate is the root mean square of an update, in steps.
_LAMBDA, _LAMBDA_GAIN, _LAMBDA_DRIFT = 0.3, 40.0, 6.0  # The first value, and exponents of the relative size.
_TILE = 64  # Latents on a side, to bound memory.
_SLACK = 1.003  # The payload is computed if the estimated bits are at most this factor over the budget.


@dataclass(frozen=True, eq=False)
class CodedLatents:
    """Integers int16[4, h, w], the payload that codes them, and their reconstruction by a decoder.

    ``distortion`` is relative to the distortion at the start.
    """

    integers: NDArray[np.int16]
    payload: bytes
    reconstruction: Reconstruction
    distortion: float = 1.0


class LatentDescent:
    """The descent for one picture, at the levels of its file."""

    def __init__(
        self,
        latents: NDArray[np.float32],
        rgb: NDArray[np.uint8],
        levels: NDArray[np.int64],
        model: ContextModel,
        decoder: TorchDecoder,
        lpips: TorchGraph | None = None,
        extension: int = 0,
    ) -> None:
        """``latents`` float32[4, h, w] are those of ``rgb`` uint8[8h, 8w, 3]; ``levels`` is int64[h, w].

        ``lpips`` is the graph of that metric. For ``extension`` see :class:`calotype.models.DecoderInput`.
        """
        self._latents, self._rgb, self._levels, self._model = latents, rgb, levels, model
        self._decoder, self._lpips, self._extension = decoder, lpips, extension
        self._steps = torch.from_numpy(channel_steps(levels).astype(np.float32))
        self._rate = DifferentiableRate(model, levels)

    def run(
        self,
        start: CodedLatents,
        limit: SizeTarget,
        rounds: int,
        seconds: float,
        progress: Callable[[], None],
    ) -> CodedLatents:
        """Returns the best result of ``rounds`` iterations from ``start`` whose file is within ``limit``.

        After ``seconds`` it returns the best result so far. ``progress`` is called after each iteration.
        """
        deadline = time.monotonic() + seconds
        integers = torch.from_numpy(start.integers.astype(np.float32))
        offset = torch.from_numpy(self._latents) / self._steps - integers
        y, momentum = (
            integers + offset.clamp(-_MAX_START_OFFSET, _MAX_START_OFFSET),
            torch.zeros_like(integers),
        )
        best, lambda_ = start, _LAMBDA
        try:
            with torch.no_grad():
                first = integers * self._steps
                errors = torch.stack(list(self._errors(first, self._conditional_mean(first), deadline))).sum(
                    0
                )
                budget = self._rate(first).item()
            weights = 1 / (errors.clamp(min=1e-9) * len(errors))
            for done in range(rounds):
                v = (torch.round(y) * self._steps).requires_grad_()
                distortion = 0.0
                for error in self._errors(v, self._conditional_mean(v), deadline):
                    weighed = error @ weights
                    weighed.backward()
                    distortion += weighed.item()
                bits = self._rate(v)
                (bits_gradient,) = torch.autograd.grad(bits, v)
                size = bits.item()
                if distortion < best.distortion and size <= budget * _SLACK:
                    best = self._coded(v, distortion, limit) or best
                excess = size / budget
                scaled_lambda = lambda_ * excess**_LAMBDA_GAIN
                downhill = -self._steps * (
                    v.grad / max(distortion, 1e-9) + scaled_lambda * bits_gradient / size
                )
                momentum = _MOMENTUM * momentum + downhill / downhill.square().mean().sqrt().clamp(min=1e-20)
                y += _LEARNING_RATE * math.sqrt(1 - done / rounds) * momentum
                lambda_ *= excess**_LAMBDA_DRIFT
                progress()
        except TimeoutError:
            pass
        return best

    def _coded(self, v: Tensor, distortion: float, limit: SizeTarget) -> CodedLatents | None:
        """Codes the dequantised latents ``v``; returns None if its file is over ``limit``."""
        trial = self._trial(v)
        payload = trial.payload()
        if not limit.allows(len(payload)):
            return None
        return CodedLatents(
            trial.integers, payload, reconstruct_latents(trial.coded, self._levels), distortion
        )

    def _trial(self, v: Tensor) -> Trial:
        """Runs the coding pass over the dequantised latents ``v``, which are multiples of their steps
        already."""
        coarsest = int(self._levels.max())
        refinement = coarsest - self._levels
        return TrialEncoder(v.detach().numpy(), self._model, 0.0, refinement=refinement).trial(coarsest)

    def _conditional_mean(self, v: Tensor) -> Tensor:
        """Returns the conditional means for the dequantised latents ``v``; their offset has no gradient."""
        if not self._decoder.wants_conditional_mean:
            return v
        reconstruction = reconstruct_latents(self._trial(v).coded, self._levels)
        return v + torch.from_numpy(reconstruction.conditional_mean - reconstruction.latents)

    def _errors(self, v: Tensor, conditional_mean: Tensor, deadline: float) -> Iterator[Tensor]:
        """Yields the distortion terms of each tile, weighted by its share of the picture.

        Raises ``TimeoutError``.
        """
        by, margin = self._extension, self._decoder.margin
        log_step = torch.from_numpy(log_step_map(self._levels))
        latents, steps, means = (
            _repeat_border_latents(array, by) for array in (v, log_step, conditional_mean)
        )
        rows, columns = (equal_parts(size, _TILE) for size in v.shape[1:])
        for window in tile_windows(rows, columns, margin, border=by):
            if time.monotonic() > deadline:
                raise TimeoutError
            read = (..., *window.read)
            origin = (window.read[0].start, window.read[1].start)
            picture = self._decoder(latents[read], steps[read], means[read], origin)
            shown = window.scaled(SD1.factor)
            wanted = self._rgb[shown.kept].transpose(2, 0, 1)
            reference = torch.from_numpy(wanted.astype(np.float32) / 255)[None]
            share = v[0][window.kept].numel() / v[0].numel()
            yield share * distortion_terms(reference, picture[(..., *shown.inner)], self._lpips)


def _repeat_border_latents(array: Tensor, by: int) -> Tensor:
    """float32[c, h, w] to [1, c, h + 2 by, w + 2 by]: the outermost positions are repeated."""
    return F.pad(array[None], (by, by, by, by), mode="replicate") if by else array[None]
