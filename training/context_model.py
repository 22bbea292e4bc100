"""The integer-valued context model in torch, with quantisation in the loop.

Every activation is an integer in [0, 255] or [-127, 127]. Every weight is an int8 times a scale for its
output channel, which is a multiple of 2^-16. The forward pass computes in floating point what
``calotype.entropy`` computes in integers: only the accumulators are rounded differently. docs/format.md
("Context model") specifies the arithmetic.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from quantise import CHANNEL_WEIGHTS, steps_of
from torch import Tensor, nn

ROUNDS = (4, 2, 1)  # the spacing of each finer grid; the base grid has spacing 8
WIDTHS = {8: 16, 4: 48, 2: 64, 1: 96}
HEAD = 48
SITES = ((1, 1), (0, 1), (1, 0))  # the order of the three sites of a grid
CASCADE = (0.5, 0.6, 0.8, 1.0)  # as in calotype.encoding.rdo
ERROR_DIFFUSION_GAIN, MAX_DIFFUSED = 0.5, 0.4  # as in calotype.encoding.rdo; the second in steps
BIAS_UNIT = 64.0
MEAN_LIMIT, SCALE_LIMIT = 2047, 127


def _around(plane: Tensor, y: int, x: int, stride: int) -> Tensor:
    """Returns the sums of the eight neighbours, half a stride away, of a site in float[N, h + 16, w + 16]."""
    height, width = plane.shape[1] - 16, plane.shape[2] - 16
    shifts = [(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1) if dy or dx]
    starts = [(8 + y + dy * stride // 2, 8 + x + dx * stride // 2) for dy, dx in shifts]
    parts = [plane[:, a : a + height - y : stride, b : b + width - x : stride] for a, b in starts]
    return torch.stack(parts).sum(0)


def _offset(distance: Tensor, scale: Tensor, step: Tensor) -> Tensor:
    """Returns the conditional mean of a latent within its step, in steps from the middle of the step.

    It is the mean of a normal distribution truncated to the step, as in ``calotype.latents.reconstruction``.
    ``distance`` is that of the middle from the distribution's mean.
    """
    inverse = torch.exp2(6.5 - scale / 16)
    near = -distance.abs() * inverse  # The lower tail, by symmetry, as in ContextModel._cost.
    half = step * inverse / 2
    low, high = near - half, near + half
    mass = torch.special.ndtr(high) - torch.special.ndtr(low)
    slope = (torch.exp(-low * low / 2) - torch.exp(-high * high / 2)) * 0.39894228
    towards = ((slope / mass.clamp(min=1e-12) - near) / (2 * half)).clamp(-0.5, 0.5)
    towards = torch.where(mass < 1e-6, 0.5, towards)
    return torch.where(distance > 0, -towards, towards)


def _ste(x: Tensor, value: Tensor) -> Tensor:
    return x + (value - x).detach()


class IntConv(nn.Module):
    """Convolution with int8 weights; out = clip(floor(acc * scale + bias + 1/2), low, high)."""

    def __init__(self, cin: int, cout: int, size: int, low: int, high: int, gain: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(cout, cin, size, size) * gain * (2 / (cin * size**2)) ** 0.5)
        self.bias = nn.Parameter(torch.zeros(cout))
        self.low, self.high = low, high

    def quantised(self) -> tuple[Tensor, Tensor]:
        """Returns (integer-valued weights float[O, I, k, k], scale float[O, 1, 1, 1], a multiple of
        2^-16).
        """
        peak = self.weight.detach().abs().amax((1, 2, 3), keepdim=True)
        scale = (peak / 127 * 65536).ceil().clamp(min=1) / 65536
        return (self.weight.detach() / scale).round().clamp(-127, 127), scale

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight
        if weight.requires_grad:  # A frozen model holds rounded weights already: see ``freeze``.
            integer, scale = self.quantised()
            weight = _ste(weight, integer * scale)
        pad = self.weight.shape[-1] // 2
        real = F.conv2d(x, weight, padding=pad).float() + (self.bias * BIAS_UNIT).view(1, -1, 1, 1)
        # A fiftieth of the gradient passes the clip, so that values beyond its limits can return.
        clipped = real.clamp(self.low, self.high)
        return _ste(clipped + 0.02 * (real - clipped), torch.floor(clipped + 0.5))


class Trunk(nn.Module):
    """Maps the planes of the context to features: an entry convolution and two residual pairs."""

    def __init__(self, cin: int, width: int) -> None:
        super().__init__()
        self.enter = IntConv(cin, width, 3, 0, 255)
        self.pairs = nn.ModuleList()
        for _ in range(2 if cin > 2 else 0):
            first, second = IntConv(width, width, 3, 0, 255), IntConv(width, width, 3, -255, 255, 0.3)
            self.pairs.append(nn.ModuleList([first, second]))

    def forward(self, x: Tensor) -> Tensor:
        x = self.enter(x)
        for first, second in self.pairs:  # type: ignore[misc]
            x = (x + second(first(x))).clamp(0, 255)
        return x


class Head(nn.Module):
    """Maps features and the channels that are coded already at a site to (mean, scale) of the next
    channel.
    """

    def __init__(self, width: int, coded: int) -> None:
        super().__init__()
        self.first = IntConv(width + coded, HEAD, 3, 0, 255)
        self.second = IntConv(HEAD, HEAD, 1, 0, 255)
        self.last = IntConv(HEAD, 2, 1, -MEAN_LIMIT, MEAN_LIMIT)
        with torch.no_grad():
            self.last.bias[1] = 92 / BIAS_UNIT

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        out = self.last(self.second(self.first(x)))
        return out[:, 0], out[:, 1].clamp(0, SCALE_LIMIT)


class Site(nn.Module):
    """One site: a trunk over its context, and four heads in channel order."""

    def __init__(self, known: int, width: int) -> None:
        super().__init__()
        self.trunk = Trunk(4 * known + 2, width)
        self.heads = nn.ModuleList(Head(width, channel) for channel in range(4))


class Shape(nn.Module):
    """The residual's density: a zero-mean Gaussian scale mixture that depends on sigma / step."""

    def __init__(self, parts: int = 3) -> None:
        super().__init__()
        self.logit = nn.Parameter(torch.tensor([[1.0, 0.5, -2.0], [0.0, 0.0, 0.0]])[:, :parts])
        self.scale = nn.Parameter(torch.tensor([[-0.3, 0.3, 1.2], [0.0, 0.0, 0.0]])[:, :parts])

    def cdf(self, x: Tensor, octave: Tensor) -> Tensor:
        """Returns P(residual / sigma < x) for sigma / step = 2^octave."""
        t = octave.unsqueeze(-1).clamp(-4, 4) / 4
        weight = (self.logit[0] + t * self.logit[1]).softmax(-1)
        inverse = torch.exp(-(self.scale[0] + t * self.scale[1]))
        return (weight * torch.special.ndtr(x.unsqueeze(-1) * inverse)).sum(-1)


@dataclass(frozen=True)
class Pass:
    """The result of a coding pass: float32[N, 4, h, w], except for ``log_step``.

    ``coded`` are the integers times their steps, ``expected`` the conditional mean of the latents given the
    integers; ``log_step`` float32[N, 1, h, w] is log2 of the step or, where no integer has arrived, of a step
    whose rounding noise would have the predicted deviation (the mean over the channels). ``means`` (in 1/256)
    and ``scales`` are the model's predictions, ``step`` float32[N, 4, 1, 1].
    """

    coded: Tensor
    expected: Tensor
    log_step: Tensor
    means: Tensor
    scales: Tensor
    step: Tensor


class ContextModel(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.base = Site(0, WIDTHS[8])
        self.rounds = nn.ModuleList(
            nn.ModuleList(Site(known, WIDTHS[spacing]) for known in (1, 2, 3)) for spacing in ROUNDS
        )
        self.shape = Shape()
        self.register_buffer("channel_weights", CHANNEL_WEIGHTS.clone(), persistent=False)

    def freeze(self) -> ContextModel:
        """Rounds the weights as in the shipped file, and ends their training, which makes coding passes
        cheaper."""
        return self.eval().requires_grad_(False).follow(self)

    @torch.no_grad()
    def follow(self, trained: ContextModel) -> ContextModel:
        """Copies the weights of ``trained``, rounded as in the shipped file, into the present tensors."""
        for layer, other in zip(self.modules(), trained.modules(), strict=True):
            if isinstance(layer, IntConv) and isinstance(other, IntConv):
                integer, scale = other.quantised()
                layer.weight.copy_(integer * scale)
                layer.bias.copy_(other.bias)
        for mine, theirs in zip(self.shape.parameters(), trained.shape.parameters(), strict=True):
            mine.copy_(theirs)
        return self

    @torch.autocast("cuda", enabled=False)
    def coding_pass(
        self,
        latents: Tensor,
        levels: Tensor,
        lambda_: Tensor | None = None,
        known: Tensor | None = None,
    ) -> Pass:
        """Codes latents float32[N, 4, h, w], sides multiples of 8, at ``levels`` int64[N] as the codec does.

        With ``lambda_`` float[N], the Lagrangian multipliers, it uses rate-distortion-optimised quantisation
        and error diffusion as the codec's encoder does; None rounds. ``known`` int64[N] is the number of the
        40 predictions (ten sites of four channels) whose integers have arrived; later latents take their
        predicted mean.
        """
        step = steps_of(levels).view(-1, 1, 1, 1) * self.channel_weights
        level = ((levels.float() - 64) * 2).clamp(-127, 127).view(-1, 1, 1, 1)
        coded, context = torch.zeros_like(latents), torch.zeros_like(latents)
        expected, means, scales = (torch.zeros_like(latents) for _ in range(3))
        log_step = torch.zeros_like(latents)
        nominal = steps_of(levels).log2().view(-1, 1, 1)
        errors = F.pad(
            torch.zeros_like(latents), (8, 8, 8, 8)
        )  # in steps, of the latents that are quantised already
        is_quantised = F.pad(torch.zeros_like(latents[:1, 0]), (8, 8, 8, 8))
        number = 0
        for net, stride, (y, x), before, share in self._sites():
            planes = [context[:, :, dy::stride, dx::stride] for dy, dx in before]
            guide = level.expand_as(latents[:, :1, y::stride, x::stride])
            features = net.trunk(torch.cat([*planes, guide, torch.full_like(guide, 127)], 1))
            neighbours = _around(is_quantised, y, x, stride).clamp(min=1)
            for channel, head in enumerate(net.heads):
                positions = (slice(None), channel, slice(y, None, stride), slice(x, None, stride))
                earlier_channels = context[:, :channel, y::stride, x::stride]
                mean, scale = head(torch.cat([features, earlier_channels], 1))
                size = step[:, channel]
                exact = latents[positions] / size
                if lambda_ is not None:
                    diffused = ERROR_DIFFUSION_GAIN * _around(errors[:, channel], y, x, stride) / neighbours
                    diffused = diffused * (lambda_ > 0).view(-1, 1, 1)
                    exact = exact + diffused.clamp(-MAX_DIFFUSED, MAX_DIFFUSED)
                chosen = torch.round(exact)
                if lambda_ is not None:
                    cost = self._cost(chosen * size, mean / 256, scale, size)
                    other = chosen + torch.where(exact > chosen, 1.0, -1.0)
                    other_cost = self._cost(other * size, mean / 256, scale, size)
                    multiplier = share * lambda_.view(-1, 1, 1)
                    lagrangian = (exact - chosen) ** 2 + multiplier * cost
                    better = (exact - other) ** 2 + multiplier * other_cost < lagrangian
                    chosen = torch.where(better, other, chosen)
                value = chosen * size
                expected_value = value + _offset(value - mean / 256, scale, size) * size
                if lambda_ is not None:
                    error = ((latents[positions] - expected_value) / size).detach()
                    errors[:, channel, 8 + y : -8 : stride, 8 + x : -8 : stride] = error
                log_step[positions] = nominal
                if known is not None:
                    arrived = (known > number).view(-1, 1, 1)
                    value = torch.where(arrived, value, mean / 256)
                    expected_value = torch.where(arrived, expected_value, mean / 256)
                    spread = scale / 16 - 6.5 + 0.5 * math.log2(12)
                    log_step[positions] = torch.where(arrived, nominal, torch.maximum(spread, nominal))
                coded[positions], expected[positions], means[positions], scales[positions] = (
                    value,
                    expected_value,
                    mean,
                    scale,
                )
                context[positions] = torch.floor(value * 16 + 0.5).clamp(-127, 127)
                number += 1
            is_quantised[:, 8 + y : -8 : stride, 8 + x : -8 : stride].fill_(1)
        return Pass(coded, expected, log_step.mean(1, keepdim=True), means, scales, step)

    @torch.autocast("cuda", enabled=False)
    def code_lengths(self, values: Tensor, levels: Tensor) -> Tensor:
        """Returns the ideal code length in bits, float32[N, 4, h, w], of ``values``: integers times their
        steps.

        It equals that of a coding pass over the same integers. It is faster, because all integers are known
        and all sites are computed at once.
        """
        step = steps_of(levels).view(-1, 1, 1, 1) * self.channel_weights
        level = ((levels.float() - 64) * 2).clamp(-127, 127).view(-1, 1, 1, 1)
        context = torch.floor(values * 16 + 0.5).clamp(-127, 127)
        lengths = torch.zeros_like(values)
        for net, stride, (y, x), before, _ in self._sites():
            planes = [context[:, :, dy::stride, dx::stride] for dy, dx in before]
            guide = level.expand_as(values[:, :1, y::stride, x::stride])
            features = net.trunk(torch.cat([*planes, guide, torch.full_like(guide, 127)], 1))
            site = context[:, :, y::stride, x::stride]
            predicted = [head(torch.cat([features, site[:, :n]], 1)) for n, head in enumerate(net.heads)]
            mean, scale = (torch.stack(part, 1) for part in zip(*predicted, strict=True))
            cost = self._cost(values[:, :, y::stride, x::stride], mean / 256, scale, step)
            lengths[:, :, y::stride, x::stride] = cost
        return lengths

    def mean_code_length(self, values: Tensor, levels: Tensor) -> Tensor:
        """Returns the mean of :meth:`code_lengths`, weighted by the square root of the step.

        Without the weights fine levels, whose codes are long, would dominate.
        """
        bits = self.code_lengths(values, levels).mean((1, 2, 3))
        return (bits * (steps_of(levels) / 0.5) ** 0.5).mean()

    def bits(self, values: Tensor, coded: Pass) -> Tensor:
        """Returns the ideal code length in bits, float32[N, 4, h, w], of ``values`` by the predictions of a
        coding pass.
        """
        return self._cost(values, coded.means / 256, coded.scales, coded.step)

    def _sites(self) -> Iterator[tuple[Site, int, tuple[int, int], list[tuple[int, int]], float]]:
        """Yields (network, stride, offset, offsets of its context, factor of lambda) in coding order."""
        yield self.base, 8, (0, 0), [], CASCADE[0]
        for spacing, nets, share in zip(ROUNDS, self.rounds, CASCADE[1:], strict=True):
            known = [(0, 0)]
            for (dy, dx), net in zip(SITES, nets, strict=True):  # type: ignore[arg-type]
                site = (dy * spacing, dx * spacing)
                yield net, 2 * spacing, site, list(known), share
                known.append(site)

    def _cost(self, value: Tensor, mean: Tensor, scale: Tensor, step: Tensor) -> Tensor:
        log_sigma = scale / 16 - 6.5
        inverse = torch.exp2(-log_sigma)
        octave = log_sigma - torch.log2(step)
        delta = value - mean
        # By symmetry the tail that is computed is the lower one, where float32 keeps its precision.
        near = -delta.abs()
        high = self.shape.cdf((near + step / 2) * inverse, octave)
        low = self.shape.cdf((near - step / 2) * inverse, octave)
        return -torch.log2((high - low) * (1 - 2**-11) + 2**-16)
