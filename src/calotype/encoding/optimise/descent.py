"""Gradient descent on the latents of one picture, through the decoder and the context model.

::

    unquantised latents y ─ round ─ dequantised latents ─┬─ decoder ─────── distortion D ─┐
             ▲                                           └─ context model ─ bits R ───────┤
             └─────── update against the gradient of  log D + w log R ────────────────────┘

Rounding has no useful gradient. The gradient with respect to the dequantised latents is therefore applied to
the unquantised ones (straight-through estimator). The logarithms make both terms relative: the rate weight w
weighs a per cent of bits against a per cent of distortion.

The descent starts from a candidate that was coded before, and its bits are the budget. The rate weight grows
while R exceeds the budget and shrinks while R is below it, so that the size stays about constant. An iterate
with less distortion than the best one so far is entropy-coded, and replaces it if the file is small enough.
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

from calotype.encoding.optimise.differentiable_rate import DifferentiableRate
from calotype.encoding.optimise.distortion import Distortion, Reference
from calotype.encoding.rate import SizeTarget, Trial, TrialEncoder
from calotype.entropy import ContextModel
from calotype.latents import SD1, Reconstruction, channel_steps, log_step_map, reconstruct_latents
from calotype.models import TorchDecoder
from calotype.models.windows import Window, equal_parts, tile_windows

__all__ = ["CodedLatents", "LatentDescent"]

_MAX_START_OFFSET = 0.3
"""The largest distance, in steps, between the first unquantised latents and the integers of the start. The
integers of the RDO quantiser may be further away."""

_LEARNING_RATE, _MOMENTUM = 0.003, 0.9
"""The root mean square of the first update, in quantiser steps, and the decay of the momentum."""

_FIRST_RATE_WEIGHT = 0.3
"""The initial rate weight: per cent of distortion for a per cent of bits."""

_RATE_WEIGHT_GAIN, _RATE_WEIGHT_DRIFT = 40.0, 6.0
"""Exponents of bits / budget. With the first one the rate weight reacts within an iteration; with the second
one it adapts from one iteration to the next."""

_MAX_ESTIMATED_EXCESS = 1.003
"""An iterate is entropy-coded if its estimated bits are at most this factor of the budget."""

_TILE = 80
"""The side of a tile's kept part in latent positions. Tiles bound the memory that gradients take; a
picture of 512x512 fits into one even at the scale 9/8."""

_KEPT_REFERENCES = 8
"""The number of tiles whose originals are kept with their activations: about 20 MB for each."""


@dataclass(frozen=True, eq=False)
class CodedLatents:
    """Integers int16[4, h, w], the payload that codes them, and their reconstruction by a decoder.

    ``distortion`` is relative to that of the start of the descent.
    """

    integers: NDArray[np.int16]
    payload: bytes
    reconstruction: Reconstruction
    distortion: float = 1.0


class LatentDescent:
    """The descent for one picture at fixed levels."""

    def __init__(
        self,
        latents: NDArray[np.float32],
        rgb: NDArray[np.uint8],
        levels: NDArray[np.int64],
        model: ContextModel,
        decoder: TorchDecoder,
        distortion: Distortion,
        extension: int = 0,
    ) -> None:
        """``latents`` float32[4, h, w] are those of ``rgb`` uint8[8h, 8w, 3]; ``levels`` is int64[h, w].

        For ``extension`` see :class:`calotype.models.DecoderInput`.
        """
        self._latents, self._rgb, self._levels, self._model = latents, rgb, levels, model
        self._decoder, self._measure, self._extension = decoder, distortion, extension
        self._references: dict[tuple[int, int], Reference] = {}
        self._steps = torch.from_numpy(channel_steps(levels).astype(np.float32))
        self._rate = DifferentiableRate(model, levels)

    def run(
        self,
        start: CodedLatents,
        limit: SizeTarget,
        iterations: int,
        seconds: float,
        progress: Callable[[], None],
    ) -> CodedLatents:
        """Returns the best result of ``iterations`` iterations from ``start`` whose file is within ``limit``.

        After ``seconds`` it returns the best result so far. ``progress`` is called after each iteration.
        """
        deadline = time.monotonic() + seconds
        best, rate_weight = start, _FIRST_RATE_WEIGHT
        unquantised = self._first_latents(start)
        momentum = torch.zeros_like(unquantised)
        try:
            weights, budget = self._weights_and_budget(start, deadline)
            for iteration in range(iterations):
                dequantised = (torch.round(unquantised) * self._steps).requires_grad_()
                distortion, distortion_gradient = self._distortion(dequantised, weights, deadline)
                bits, bits_gradient = self._bits(dequantised)
                if distortion < best.distortion and bits <= budget * _MAX_ESTIMATED_EXCESS:
                    best = self._coded_within(limit, dequantised, distortion) or best
                relative_bits = bits / budget
                # The gradients of the two logarithms; the rate weight is that for the bits of this iteration.
                gradient = (
                    distortion_gradient / max(distortion, 1e-9)
                    + rate_weight * relative_bits**_RATE_WEIGHT_GAIN * bits_gradient / bits
                )
                direction = -self._steps * gradient
                root_mean_square = direction.square().mean().sqrt().clamp(min=1e-20)
                momentum = _MOMENTUM * momentum + direction / root_mean_square
                unquantised += _LEARNING_RATE * math.sqrt(1 - iteration / iterations) * momentum
                rate_weight *= relative_bits**_RATE_WEIGHT_DRIFT
                progress()
        except TimeoutError:
            pass
        return best

    def _first_latents(self, start: CodedLatents) -> Tensor:
        """Returns the encoder's latents in steps, kept near the integers of ``start``: float32[4, h, w]."""
        integers = torch.from_numpy(start.integers.astype(np.float32))
        offset = torch.from_numpy(self._latents) / self._steps - integers
        return integers + offset.clamp(-_MAX_START_OFFSET, _MAX_START_OFFSET)

    def _weights_and_budget(self, start: CodedLatents, deadline: float) -> tuple[Tensor, float]:
        """Returns the weights of the distortion terms, and the bits of ``start``.

        With these weights each term contributes the same to the distortion of ``start``, which is 1. Raises
        ``TimeoutError``.
        """
        dequantised = torch.from_numpy(start.integers.astype(np.float32)) * self._steps
        with torch.no_grad():
            terms = torch.stack(list(self._terms_of_tiles(dequantised, deadline))).sum(0)
            bits = self._rate(dequantised).item()
        return 1 / (terms.clamp(min=1e-9) * len(terms)), bits

    def _distortion(self, dequantised: Tensor, weights: Tensor, deadline: float) -> tuple[float, Tensor]:
        """Returns the weighted distortion of the decoded picture and its gradient, float32[4, h, w].

        Raises ``TimeoutError``.
        """
        distortion, gradient = 0.0, torch.zeros_like(dequantised)
        for terms in self._terms_of_tiles(dequantised, deadline):
            of_tile = terms @ weights
            gradient += torch.autograd.grad(of_tile, dequantised)[0]
            distortion += of_tile.item()
        return distortion, gradient

    def _bits(self, dequantised: Tensor) -> tuple[float, Tensor]:
        """Returns the estimated bits and their gradient, float32[4, h, w]."""
        bits = self._rate(dequantised)
        (gradient,) = torch.autograd.grad(bits, dequantised)
        return bits.item(), gradient

    def _coded_within(self, limit: SizeTarget, dequantised: Tensor, distortion: float) -> CodedLatents | None:
        """Codes the latents; returns None if the file is larger than ``limit``."""
        trial = self._trial(dequantised)
        payload = trial.payload()
        if not limit.allows(len(payload)):
            return None
        return CodedLatents(
            trial.integers, payload, reconstruct_latents(trial.result, self._levels), distortion
        )

    def _trial(self, dequantised: Tensor) -> Trial:
        """Runs the coding pass over latents that are multiples of their steps already."""
        coarsest = int(self._levels.max())
        refinement = coarsest - self._levels
        encoder = TrialEncoder(dequantised.detach().numpy(), self._model, 0.0, refinement=refinement)
        return encoder.trial(coarsest)

    def _conditional_mean(self, dequantised: Tensor) -> Tensor:
        """Returns the conditional means of the latents; their offset from the latents has no gradient."""
        if not self._decoder.wants_conditional_mean:
            return dequantised
        reconstruction = reconstruct_latents(self._trial(dequantised).result, self._levels)
        return dequantised + torch.from_numpy(reconstruction.conditional_mean - reconstruction.latents)

    def _terms_of_tiles(self, dequantised: Tensor, deadline: float) -> Iterator[Tensor]:
        """Yields the distortion terms of each tile, weighted by its fraction of the picture's area.

        Raises ``TimeoutError`` after ``deadline``.
        """
        extension, margin = self._extension, self._decoder.margin
        log_step = torch.from_numpy(log_step_map(self._levels))
        latents, steps, means = (
            _repeat_border_latents(array, extension)
            for array in (dequantised, log_step, self._conditional_mean(dequantised))
        )
        rows, columns = (equal_parts(size, _TILE) for size in dequantised.shape[1:])
        for window in tile_windows(rows, columns, margin, border=extension):
            if time.monotonic() > deadline:
                raise TimeoutError
            read = (..., *window.read)
            origin = (window.read[0].start, window.read[1].start)
            decoded = self._decoder(latents[read], steps[read], means[read], origin)
            inner = window.scaled(SD1.factor).inner
            terms = self._measure.terms(self._reference_of(window), decoded[(..., *inner)])
            yield dequantised[0][window.kept].numel() / dequantised[0].numel() * terms

    def _reference_of(self, window: Window) -> Reference:
        """Returns what the decoded tile is compared with; that of the first few tiles is kept."""
        kept = window.scaled(SD1.factor).kept
        place = kept[0].start, kept[1].start
        if place in self._references:
            return self._references[place]
        original = self._rgb[kept].transpose(2, 0, 1).astype(np.float32) / 255
        reference = self._measure.reference(torch.from_numpy(original)[None])
        if len(self._references) < _KEPT_REFERENCES:
            self._references[place] = reference
        return reference


def _repeat_border_latents(array: Tensor, by: int) -> Tensor:
    """Repeats the outermost positions of float32[c, h, w] to float32[1, c, h + 2 by, w + 2 by]."""
    return F.pad(array[None], (by, by, by, by), mode="replicate") if by else array[None]
