"""What stage 2 minimises: distortion, rate, likeness to TAESD's latents, and what a discriminator sees."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Callable
from typing import Any

import torch
import torch._functorch.config
from assets import Lpips
from discriminator import Discriminator, discriminator_loss, generator_loss
from lattice import Lattice, Pass
from losses import Vgg, feature_distance, latent_distance, visible_faults, wasserstein
from quantise import random_lambdas, random_levels
from torch import Tensor, nn
from weave import weave

STEPS_OF_A_PASS = 40
"""Coding steps of the context model: ten sites of four channels."""

FINE = 60
"""Below this level the latents say what TAESD's decoder shows of them, and its picture is the aim."""

BALANCE_EVERY = 25
"""Training steps between measurements of the gradients that weigh the losses."""

PARTS = {"wasserstein": 0.8, "features": 0.5}
"""Norm of each loss's gradient in the pixels, relative to that of L1 and LPIPS together."""


class CodingPass:
    """The context model's coding pass without gradients.

    On CUDA it is captured as a graph, for it launches thousands of small kernels.
    """

    def __init__(self, lattice: Lattice) -> None:
        self._lattice = lattice
        self._graphs: dict[torch.Size, tuple[Any, tuple[Tensor, ...], Pass]] = {}

    @torch.no_grad()
    def __call__(self, latents: Tensor, levels: Tensor, lambda_: Tensor, known: Tensor) -> Pass:
        inputs = (latents.detach().contiguous(), levels, lambda_, known)
        if latents.device.type != "cuda":
            return self._lattice.coding_pass(*inputs)
        if latents.shape not in self._graphs:
            self._graphs[latents.shape] = self._captured(inputs)
        graph, held, found = self._graphs[latents.shape]
        for place, value in zip(held, inputs, strict=True):
            place.copy_(value)
        graph.replay()
        return Pass(*(getattr(found, name).clone() for name in Pass.__dataclass_fields__))

    def _captured(self, inputs: tuple[Tensor, ...]) -> tuple[Any, tuple[Tensor, ...], Pass]:
        held = tuple(value.clone() for value in inputs)
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(2):
                self._lattice.coding_pass(*held)
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            found = self._lattice.coding_pass(*held)
        return graph, held, found


class Objective:
    """The losses of a batch, for the networks and for the discriminator."""

    def __init__(
        self,
        args: argparse.Namespace,
        nets: nn.Module,
        lattice: Lattice,
        teachers: nn.Module,
        autocast: Callable[[], contextlib.AbstractContextManager[None]],
        device: torch.device,
    ) -> None:
        self.args, self.autocast, self.lattice, self.device = args, autocast, lattice, device
        self.coding_pass = CodingPass(lattice)
        self.vgg = Vgg().to(device, memory_format=torch.channels_last)
        self.lpips = Lpips().to(device)
        self.discriminator = Discriminator(args.width).to(device, memory_format=torch.channels_last)
        self.weights = dict.fromkeys((*PARTS, "likeness"), 0.0)
        self._seen: tuple[Any, ...] | None = None
        every: dict[str, Any] = dict(nets.named_children())
        every |= {"vgg": self.vgg, "teacher_encoder": teachers[0], "teacher_decoder": teachers[1]}
        if args.compile:
            torch._functorch.config.donated_buffer = (
                False  # gradients of parts are asked for before the sum's
            )
            every = {name: torch.compile(net, dynamic=False) for name, net in every.items()}
        self.encoder, self.refiner, self.decoder = (every[n] for n in ("encoder", "refiner", "decoder"))
        self.features = every["vgg"]
        self.teacher_encoder, self.teacher_decoder = every["teacher_encoder"], every["teacher_decoder"]

    def generator(self, pixels: Tensor, done: float, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of a batch and its parts.

        ``pixels`` float32[N, 3, s, s] in [0, 1], s a multiple of 64; ``done`` is the share of the run's time
        that is spent.
        """
        count = len(pixels)
        plain, foreign = count // 2, count // 4
        own = count - foreign  # what the encoder makes: `plain` as it is, the others refined
        watched = max(count // 8, 1)
        levels = random_levels(count, self.device)
        levels[:watched] = torch.randint(24, FINE + 1, (watched,), device=self.device)
        lambdas = random_lambdas(levels)
        known = torch.full((count,), STEPS_OF_A_PASS, device=self.device)
        partial = foreign // 2  # the last ones have only begun to arrive
        known[count - partial :] = torch.randint(2, STEPS_OF_A_PASS, (partial,), device=self.device)

        with self.autocast():
            with torch.set_grad_enabled(done < self.args.fix_encoder_from):
                made = self.encoder(pixels[:own]).float()
            with torch.no_grad():
                taught = self.teacher_encoder(torch.cat([pixels[:foreign], pixels[own:]])).float()
            refined = self._refined(pixels[plain:own], made[plain:], levels[plain:own], lambdas[plain:own])
            latents = torch.cat([made[:plain], refined, taught[foreign:]])
            coded = self.coding_pass(latents, levels, lambdas, known)
            noisy = latents + (coded.coded - latents).detach()
            noisy = torch.where((known < STEPS_OF_A_PASS).view(-1, 1, 1, 1), coded.coded, noisy)
            expected = noisy + (coded.expected - coded.coded)
            shown = self.decoder(noisy, coded.log_step, expected).float()
            wanted = self._wanted(pixels, taught[foreign:], levels, own, partial)
            parts = self._distortion(wanted, shown)
            features, original = self._both_features(shown, wanted)
            parts["wasserstein"] = wasserstein(features, original)
            parts["features"] = feature_distance(features, original)
            told = (coded.expected[:own], coded.log_step[:own])
            if done >= self.args.opponent_from:
                parts["likeness"] = self._likeness(shown[:own], [f[:own] for f in features], told)
                self._seen = (pixels[:own], shown[:own].detach(), features, original, own, told)
        if step % BALANCE_EVERY == 0:
            self._balance(parts, shown)
        ramp = min(
            max((done - self.args.opponent_from) / 0.1 - 1, 0.0), 1.0
        )  # the discriminator learns first
        total = parts["l1"] + parts["lpips"] + parts["faults"] + 3000 * parts["weave"]
        total = total + sum(self.weights[name] * parts[name] for name in PARTS)
        if "likeness" in parts:
            total = total + ramp * self.weights["likeness"] * parts["likeness"]
        if done < self.args.fix_encoder_from:
            parts["match"] = latent_distance(made[:foreign], taught[:foreign])
            parts["by teacher"] = self._by_teacher(pixels[:watched], noisy[:watched])
            total = total + 0.4 * parts["match"] + 0.4 * parts["by teacher"]
        bits = self.lattice.bits(noisy[:own], _first(coded, own)).sum((1, 2, 3)) / pixels[0, 0].numel()
        parts["rate"] = (rate_weight(levels[:own]) * bits).mean()
        return total + parts["rate"], {name: value.detach() for name, value in parts.items()}

    def opponent(self, done: float) -> Tensor | None:
        """The discriminator's loss on what :meth:`generator` has just made; None before its time."""
        if self._seen is None or done < self.args.opponent_from:
            return None
        pixels, shown, features, original, own, told = self._seen
        self._seen = None
        self.discriminator.requires_grad_(True)
        with self.autocast():
            real = self.discriminator(pixels, [f[:own].detach() for f in original], *told)
            fake = self.discriminator(shown, [f[:own].detach() for f in features], *told)
        return discriminator_loss(real, fake)

    def _refined(self, pixels: Tensor, latents: Tensor, levels: Tensor, lambdas: Tensor) -> Tensor:
        """Latents after one round of the refiner, by what the decoder makes of them now."""
        with torch.no_grad():
            known = torch.full_like(levels, STEPS_OF_A_PASS)
            coded = self.coding_pass(latents, levels, lambdas, known)
            shown = self.decoder(coded.coded, coded.log_step, coded.expected).float().clamp(0, 1)
        change = self.refiner(pixels, shown, latents.detach(), coded.expected, coded.log_step)
        return latents + change.float()

    def _wanted(self, pixels: Tensor, taught: Tensor, levels: Tensor, own: int, partial: int) -> Tensor:
        """The aim: the pictures, but of TAESD's latents at fine levels what TAESD's decoder shows of them."""
        whole = len(pixels) - own - partial
        with torch.no_grad():
            theirs = self.teacher_decoder(taught[:whole]).float().clamp(0, 1)
        fine = (levels[own : own + whole] < FINE).view(-1, 1, 1, 1)
        theirs = torch.where(fine, theirs, pixels[own : own + whole])
        return torch.cat([pixels[:own], theirs, pixels[own + whole :]])

    def _distortion(self, wanted: Tensor, shown: Tensor) -> dict[str, Tensor]:
        # LPIPS samples every second pixel and fewer later: always in phase with the latents, it would not see
        # some of the patterns that repeat with them.
        y, x = torch.randint(8, (2,)).tolist()
        perceptual = self.lpips(wanted[:, :, y:, x:], shown[:, :, y:, x:]).mean()
        parts = {"l1": (shown - wanted).abs().mean(), "lpips": perceptual}
        return parts | {"faults": visible_faults(wanted, shown), "weave": weave(shown, wanted)}

    def _both_features(self, shown: Tensor, wanted: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        features = self.features(shown.contiguous(memory_format=torch.channels_last))
        with torch.no_grad():
            original = self.features(wanted.contiguous(memory_format=torch.channels_last))
            if not self.discriminator.calibrated:
                self.discriminator.calibrate(original)
        return features, original

    def _likeness(self, shown: Tensor, features: list[Tensor], told: tuple[Tensor, Tensor]) -> Tensor:
        self.discriminator.requires_grad_(False)
        return generator_loss(self.discriminator(shown, features, *told))

    def _by_teacher(self, pixels: Tensor, noisy: Tensor) -> Tensor:
        """What TAESD's decoder shows of the encoder's own latents: it keeps them in the latent space."""
        with self.autocast():
            foreign = self.teacher_decoder(noisy).float()
            return (foreign - pixels).abs().mean() + self.lpips(pixels, foreign).mean()

    def _balance(self, parts: dict[str, Tensor], shown: Tensor) -> None:
        """Sets each loss's weight by the norm of its gradient in the pixels."""

        def norm(loss: Tensor) -> float:
            (gradient,) = torch.autograd.grad(loss, shown, retain_graph=True)
            return float(gradient.float().norm())

        unit = norm(parts["l1"] + parts["lpips"])
        for name, ratio in {**PARTS, "likeness": self.args.likeness}.items():
            if name in parts:
                weight = ratio * unit / max(norm(parts[name]), 1e-12)
                before = self.weights[name]
                self.weights[name] = weight if before == 0 else before * (weight / before) ** 0.2


def rate_weight(levels: Tensor) -> Tensor:
    """What a bit per pixel may cost in distortion, float32[N]: the slope that the levels have themselves."""
    return (0.3 * 2 ** ((levels - 64) / 8)).clamp(max=2.4)


def _first(coded: Pass, count: int) -> Pass:
    return Pass(*(getattr(coded, name)[:count] for name in Pass.__dataclass_fields__))
