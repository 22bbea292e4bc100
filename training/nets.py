"""The pocket networks in torch, which ``export_networks.py`` converts to the embedded ONNX files.

Encoder and decoder work at half of the size or less: a 3x3 convolution at full size would cost more than all
others together. No operation depends on the whole picture, so that tiles with enough overlap give the same
result as the whole.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

STEP_FEATURES = 4
GRAINS = 4


def _fold(x: Tensor) -> Tensor:
    """Moves blocks of 2x2 pixels to channels, in the memory layout of the convolutions."""
    return nn.functional.pixel_unshuffle(x, 2).contiguous(memory_format=torch.channels_last)


def _unfold(x: Tensor) -> Tensor:
    """Moves channels to blocks of 2x2 pixels, in the memory layout of the convolutions."""
    return nn.functional.pixel_shuffle(x, 2).contiguous(memory_format=torch.channels_last)


class Block(nn.Module):
    """Residual pair of 3x3 convolutions; ``condition`` adds a function of the quantisation step."""

    def __init__(self, width: int, condition: int = 0) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, 1, 1)
        self.second = nn.Conv2d(width, width, 3, 1, 1)
        self.condition = nn.Conv2d(condition, width, 1, bias=False) if condition else None
        nn.init.normal_(self.second.weight, std=0.2 / (3 * width**0.5))
        nn.init.zeros_(self.second.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor, features: Tensor | None = None) -> Tensor:
        hidden = self.first(x)
        if self.condition is not None:
            hidden = hidden + self.condition(features)
        return x + self.second(torch.relu(hidden))


def step_features(log_step: Tensor) -> Tensor:
    """Maps log2 of the step, float[N, 1, h, w], to a piecewise linear basis float[N, 4, h, w]."""
    t = (log_step + 1) / 2
    return torch.cat([t, torch.relu(t + 0.5), torch.relu(t), torch.relu(t - 0.5)], 1)


class Context(nn.Module):
    """Residual blocks at half the resolution of their input: a large receptive field at low cost."""

    def __init__(self, outer: int, inner: int, blocks: int, condition: int = 0) -> None:
        super().__init__()
        self.down = nn.Conv2d(outer, inner, 2, 2)
        self.blocks = nn.ModuleList(Block(inner, condition) for _ in range(blocks))
        self.up = nn.Conv2d(inner, 4 * outer, 1)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor, features: Tensor | None = None) -> Tensor:
        """float[N, outer, h, w], h and w even; ``features`` float[N, condition, h / 2, w / 2]."""
        y = self.down(x)
        for block in self.blocks:
            y = block(y, features)
        return x + _unfold(self.up(y))


class Decoder(nn.Module):
    """Maps dequantised latents, their steps and their conditional means to pixels."""

    def __init__(
        self,
        widths: tuple[int, int, int, int] = (256, 192, 96, 48),
        blocks: tuple[int, int, int, int] = (4, 5, 4, 4),
    ) -> None:
        super().__init__()
        sixteenth, a, b, c = widths
        self.enter = nn.Conv2d(4 + STEP_FEATURES, a, 3, 1, 1)
        self.enter_mean = nn.Conv2d(4, a, 3, 1, 1, bias=False)
        nn.init.zeros_(self.enter_mean.weight)
        self.at_eighth = nn.ModuleList(Block(a, STEP_FEATURES) for _ in range(blocks[1]))
        self.context = Context(a, sixteenth, blocks[0], STEP_FEATURES)
        self.to_quarter = nn.Conv2d(a, 4 * b, 1)
        self.at_quarter = nn.Sequential(*(Block(b) for _ in range(blocks[2])))
        self.to_half = nn.Conv2d(b, 4 * c, 1)
        self.grain = nn.Conv2d(GRAINS, c, 1, bias=False)
        nn.init.normal_(self.grain.weight, std=0.02)
        self.at_half = nn.Sequential(*(Block(c) for _ in range(blocks[3])))
        self.leave = nn.Conv2d(c, 12, 3, 1, 1)

    def forward(
        self, latents: Tensor, log_step: Tensor, conditional_mean: Tensor, grain: Tensor | None = None
    ) -> Tensor:
        """Reconstructs pixels float[N, 3, 8h, 8w], nominally in [0, 1]; h and w are even.

        ``latents`` float[N, 4, h, w] are the integers times their steps, ``log_step`` float[N, 1, h, w] is
        log2 of the step at each position, ``conditional_mean`` float[N, 4, h, w] the mean of the latents
        given their integers. ``grain`` float[N, 4, 4h, 4w] is uniform white noise with a deviation of 1.
        Without it a convolution makes the same texture in every cell of constant latents. None draws random
        noise.
        """
        if grain is None:
            count, _, height, width = latents.shape
            grain = torch.rand(count, GRAINS, 4 * height, 4 * width, device=latents.device)
            grain = (grain - 0.5) * 12**0.5
        features = step_features(log_step)
        x = self.enter(torch.cat([latents, features], 1)) + self.enter_mean(conditional_mean - latents)
        middle = len(self.at_eighth) // 2
        for number, block in enumerate(self.at_eighth):
            if number == middle:
                x = self.context(x, nn.functional.avg_pool2d(features, 2))
            x = block(x, features)
        x = self.at_quarter(_unfold(self.to_quarter(x)))
        x = _unfold(self.to_half(x))
        x = self.at_half(x + self.grain(grain))
        with torch.autocast(x.device.type, enabled=False):  # bfloat16 has fewer levels than the picture.
            return nn.functional.pixel_shuffle(self.leave(x.float()), 2) + 0.5


class Encoder(nn.Module):
    """Maps pixels to latents of the space ``sd1``."""

    def __init__(
        self, widths: tuple[int, int, int] = (48, 96, 192), blocks: tuple[int, int, int] = (3, 5, 8)
    ) -> None:
        super().__init__()
        c, b, a = widths
        self.enter = nn.Conv2d(12, c, 3, 1, 1)
        self.at_half = nn.Sequential(*(Block(c) for _ in range(blocks[0])))
        self.to_quarter = nn.Conv2d(4 * c, b, 1)
        self.at_quarter = nn.Sequential(*(Block(b) for _ in range(blocks[1])))
        self.to_eighth = nn.Conv2d(4 * b, a, 1)
        self.at_eighth = nn.Sequential(*(Block(a) for _ in range(blocks[2])))
        self.leave = nn.Conv2d(a, 4, 3, 1, 1)

    def forward(self, pixels: Tensor) -> Tensor:
        """float32[N, 3, 8h, 8w] in [0, 1] to float32[N, 4, h, w], scaled by 0.18215."""
        x = self.at_half(self.enter(_fold(pixels - 0.5)))
        x = self.at_quarter(self.to_quarter(_fold(x)))
        x = self.at_eighth(self.to_eighth(_fold(x)))
        # The finest steps are smaller than the resolution of bfloat16.
        with torch.autocast(x.device.type, enabled=False):
            return self.leave(x.float())


class PostFilter(nn.Module):
    """Corrects the conditional means of quantised latents for Stable Diffusion's decoder.

    It maps ``latents``, ``log_step`` and ``conditional_mean`` float32[N, 4 (1), h, w], which are the inputs
    of :class:`Decoder`, to the conditional means plus a correction in steps, float32[N, 4, h, w].
    """

    def __init__(self, width: int = 64, blocks: int = 5) -> None:
        super().__init__()
        self.enter = nn.Conv2d(9, width, 3, 1, 1)
        self.blocks = nn.Sequential(*(Block(width) for _ in range(blocks)))
        self.last = nn.Conv2d(width, 4, 3, 1, 1)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)  # type: ignore[arg-type]

    def forward(self, latents: Tensor, log_step: Tensor, conditional_mean: Tensor) -> Tensor:
        step = 2.0**log_step
        offsets = (latents - conditional_mean) / step  # at each level at most half a step
        x = torch.relu(self.enter(torch.cat([offsets, conditional_mean, log_step], 1)))
        return conditional_mean + step * self.last(self.blocks(x))


def grown(old: dict[str, Tensor], net: nn.Module) -> None:
    """Loads the state of a smaller network into ``net``, which then computes nearly the same.

    Each old tensor becomes the leading part of the new one. The weights by which new channels and blocks
    contribute to old channels are zero ("Net2Net", Chen et al., 2016, without noise).
    """
    for name, tensor in net.state_dict().items():
        if name in old and any(a > b for a, b in zip(old[name].shape, tensor.shape, strict=True)):
            raise ValueError(f"{name} of the start is larger, {tuple(old[name].shape)}")
        if name not in old:
            if name.endswith("second.weight"):
                tensor.zero_()
            continue
        part = tuple(slice(min(a, b)) for a, b in zip(old[name].shape, tensor.shape, strict=True))
        if tensor.ndim == 4:
            tensor[part[0], part[1].stop :] = 0
        tensor[part] = old[name][part].to(tensor.dtype)


class FaceFinder(nn.Module):
    """Maps latents of the space ``sd1`` to the odds that a position is within a face, at three scales."""

    def __init__(
        self, widths: tuple[int, int, int] = (32, 48, 64), blocks: tuple[int, int, int] = (1, 2, 3)
    ) -> None:
        super().__init__()
        a, b, c = widths
        self.enter = nn.Conv2d(4, a, 3, 1, 1)
        self.at_eighth = nn.Sequential(*(Block(a) for _ in range(blocks[0])))
        self.to_16th = nn.Conv2d(4 * a, b, 1)
        self.at_16th = nn.Sequential(*(Block(b) for _ in range(blocks[1])))
        self.to_32nd = nn.Conv2d(4 * b, c, 1)
        self.at_32nd = nn.Sequential(*(Block(c) for _ in range(blocks[2])))
        self.back_to_16th = nn.Conv2d(c, 4 * b, 1)
        self.at_16th_again = Block(b)
        self.back_to_eighth = nn.Conv2d(b, 4 * a, 1)
        self.at_eighth_again = Block(a)
        self.leave = nn.Conv2d(a, 1, 3, 1, 1)

    def forward(self, latents: Tensor) -> Tensor:
        """float[N, 4, h, w], h and w multiples of 4, to the logarithm of the odds, float[N, 1, h, w]."""
        x = self.at_eighth(self.enter(latents))
        y = self.at_16th(self.to_16th(_fold(x)))
        z = self.at_32nd(self.to_32nd(_fold(y)))
        y = self.at_16th_again(y + _unfold(self.back_to_16th(z)))
        return self.leave(self.at_eighth_again(x + _unfold(self.back_to_eighth(y))))
