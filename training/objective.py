"""The objective of stage 2: distortion, rate, distance to TAESD's latents, and a discriminator's loss."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch._functorch.config
from assets import Lpips
from context_model import ContextModel, Pass
from discriminator import Discriminator, adversarial_loss, hinge_loss
from losses import Vgg, feature_distance, latent_distance, visible_faults, wasserstein
from periodic_texture import excess_texture
from photographs import even_pixels
from quantise import random_lambdas, random_levels
from rounding import rounded_weights
from torch import Tensor, nn

STEPS_OF_A_PASS = 40
"""The number of predictions of a coding pass: ten sites of four channels."""

ROUNDED_FROM = 0.4
"""The fraction of the time after which the decoder is trained with the weights that are exported."""

FINE = 60
"""Below this level the target for TAESD's latents is the picture by TAESD's decoder."""

BALANCE_EVERY = 25
"""The number of training steps between measurements of the gradients by which losses are weighted."""

PARTS = {"wasserstein": 0.8, "features": 0.5}
"""The norm of each loss's gradient in the pixels, relative to that of L1 and LPIPS together."""


class CodingPass:
    """The context model's coding pass without gradients.

    On CUDA it is captured as a graph, because it launches thousands of small kernels.
    """

    def __init__(self, context_model: ContextModel) -> None:
        self._model = context_model
        self._graphs: dict[torch.Size, tuple[Any, tuple[Tensor, ...], Pass]] = {}

    @torch.no_grad()
    def __call__(self, latents: Tensor, levels: Tensor, lambda_: Tensor, known: Tensor) -> Pass:
        inputs = (latents.detach().contiguous(), levels, lambda_, known)
        if latents.device.type != "cuda":
            return self._model.coding_pass(*inputs)
        if latents.shape not in self._graphs:
            self._graphs[latents.shape] = self._captured(inputs)
        graph, held, result = self._graphs[latents.shape]
        for place, value in zip(held, inputs, strict=True):
            place.copy_(value)
        graph.replay()
        return Pass(*(getattr(result, name).clone() for name in Pass.__dataclass_fields__))

    def _captured(self, inputs: tuple[Tensor, ...]) -> tuple[Any, tuple[Tensor, ...], Pass]:
        held = tuple(value.clone() for value in inputs)
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(2):
                self._model.coding_pass(*held)
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            result = self._model.coding_pass(*held)
        return graph, held, result


@dataclass(frozen=True)
class Batch:
    """A batch: crops, even pictures, and crops of which TAESD's latents are coded.

    ``pixels`` is float32[N, 3, s, s]. ``levels`` and ``lambdas`` [N] are those of the quantiser, and
    ``known`` int64[N] is the number of predictions whose integers have arrived. The first ``plain`` pictures
    are crops. Those from ``plain`` to ``own`` are even; the last ``alike`` of them have latents that are the
    same everywhere. The ``foreign`` ones from ``own`` on have TAESD's latents; the last ``partial`` of them
    have arrived in part only. TAESD's decoder decodes the first ``watched`` as well.
    """

    pixels: Tensor
    levels: Tensor
    lambdas: Tensor
    known: Tensor
    plain: int
    own: int
    foreign: int
    partial: int
    alike: int
    watched: int


class Objective:
    """The losses of the networks, of the discriminator and of the context model, for one batch after
    another.
    """

    def __init__(
        self,
        args: argparse.Namespace,
        nets: nn.Module,
        context_model: ContextModel,
        teachers: nn.Module,
        autocast: Callable[[], contextlib.AbstractContextManager[None]],
        device: torch.device,
    ) -> None:
        self.args, self.autocast, self.context_model, self.device = args, autocast, context_model, device
        self.coding_pass = CodingPass(context_model)
        self.vgg = Vgg().to(device, memory_format=torch.channels_last)
        self.lpips = Lpips().to(device)
        self.discriminator = Discriminator(args.width).to(device, memory_format=torch.channels_last)
        self.weights = dict.fromkeys((*PARTS, "adversarial"), 0.0)
        self._seen: tuple[Any, ...] | None = None
        self._coded: tuple[Tensor, Tensor] | None = None
        networks: dict[str, Any] = dict(nets.named_children())
        networks |= {"vgg": self.vgg, "teacher_encoder": teachers[0], "teacher_decoder": teachers[1]}
        if args.compile:
            torch._functorch.config.donated_buffer = (
                False  # The gradients of the parts are computed before that of their sum.
            )
            networks = {name: torch.compile(net, dynamic=False) for name, net in networks.items()}
        self.encoder, self.decoder = networks["encoder"], networks["decoder"]
        self.features = networks["vgg"]
        self.teacher_encoder, self.teacher_decoder = networks["teacher_encoder"], networks["teacher_decoder"]

    def network_loss(self, pixels: Tensor, done: float, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """Returns the loss of the networks for a batch, and its parts.

        ``pixels`` is float32[N, 3, s, s] in [0, 1], with s a multiple of 64. ``done`` is the fraction of the
        run's time that is spent.
        """
        batch = self._drawn(pixels)
        own, plain = batch.own, batch.plain
        with self.autocast():
            with torch.set_grad_enabled(done < self.args.fix_encoder_from):
                encoded = self.encoder(batch.pixels[:own]).float()
            with torch.no_grad():
                taught = self.teacher_encoder(
                    torch.cat([pixels[: batch.foreign], batch.pixels[own:]])
                ).float()
                alike = encoded[: batch.alike, :, 4:5, 4:5].detach().expand_as(encoded[: batch.alike])
            latents = torch.cat([encoded[: own - batch.alike], alike, taught[batch.foreign :]])
            coded = self.coding_pass(latents, batch.levels, batch.lambdas, batch.known)
            noisy = latents + (coded.coded - latents).detach()
            noisy = torch.where((batch.known < STEPS_OF_A_PASS).view(-1, 1, 1, 1), coded.coded, noisy)
            expected = noisy + (coded.expected - coded.coded)
            shown = self._shown((noisy, coded.log_step, expected), done)
            wanted = self._wanted(batch, latents, taught[batch.foreign :])
            parts = self._distortion(wanted, shown)
            features, original = self._both_features(shown, wanted)
            parts["wasserstein"] = wasserstein(features, original)
            parts["features"] = feature_distance(features, original)
            condition = (coded.expected[:plain], coded.log_step[:plain])
            if done >= self.args.discriminator_from:
                parts["adversarial"] = self._adversarial(
                    shown[:plain], [f[:plain] for f in features], condition
                )
                self._seen = (pixels[:plain], shown[:plain].detach(), features, original, plain, condition)
        if step % BALANCE_EVERY == 0:
            self._balance(parts, shown)
        ramp = min(
            max((done - self.args.discriminator_from) / 0.1 - 1, 0.0), 1.0
        )  # The discriminator is trained for a while before its loss counts.
        total = parts["l1"] + parts["lpips"] + parts["faults"] + 3000 * parts["texture"]
        total = total + sum(self.weights[name] * parts[name] for name in PARTS)
        if "adversarial" in parts:
            total = total + ramp * self.weights["adversarial"] * parts["adversarial"]
        if done < self.args.fix_encoder_from:
            parts["match"] = latent_distance(encoded[: batch.foreign], taught[: batch.foreign])
            parts["by teacher"] = self._by_teacher(pixels[: batch.watched], noisy[: batch.watched])
            total = total + 0.4 * parts["match"] + 0.4 * parts["by teacher"]
        bits = (
            self.context_model.bits(noisy[:plain], _first(coded, plain)).sum((1, 2, 3)) / pixels[0, 0].numel()
        )
        parts["rate"] = (rate_weight(batch.levels[:plain]) * bits).mean()
        self._coded = (
            coded.coded[batch.known == STEPS_OF_A_PASS],
            batch.levels[batch.known == STEPS_OF_A_PASS],
        )
        return total + parts["rate"], {name: value.detach() for name, value in parts.items()}

    def discriminator_loss(self, done: float) -> Tensor | None:
        """Returns the loss of the discriminator on the last batch of :meth:`network_loss`.

        Before the discriminator is trained the result is None.
        """
        if self._seen is None or done < self.args.discriminator_from:
            return None
        pixels, shown, features, original, count, condition = self._seen
        self._seen = None
        self.discriminator.requires_grad_(True)
        with self.autocast():
            features_of_both = [
                torch.cat([a[:count], b[:count]]).detach() for a, b in zip(original, features, strict=True)
            ]
            scores = self.discriminator(
                torch.cat([pixels, shown]), features_of_both, *(torch.cat([t, t]) for t in condition)
            )
        return hinge_loss([s[:count] for s in scores], [s[count:] for s in scores])

    def code_length(self, trained: ContextModel) -> Tensor:
        """Returns the code length of the last batch's integers, in bits per latent, by the trained model."""
        assert self._coded is not None
        return trained.mean_code_length(*self._coded)

    def _drawn(self, pixels: Tensor) -> Batch:
        """Splits a batch into its parts, replaces pixels of the even ones and draws levels."""
        count = len(pixels)
        foreign, even = max(count // 6, 2), max(count // 12, 2)
        own, partial = count - foreign, foreign // 2
        plain, watched = own - even, max(count // 8, 1)
        flat = even_pixels(even, pixels.shape[-1], pixels.device)
        levels = random_levels(count, self.device)
        levels[:watched] = torch.randint(24, FINE + 1, (watched,), device=self.device)
        known = torch.full((count,), STEPS_OF_A_PASS, device=self.device)
        known[count - partial :] = torch.randint(1, STEPS_OF_A_PASS, (partial,), device=self.device)
        return Batch(
            torch.cat([pixels[:plain], flat, pixels[own:]]),
            levels,
            random_lambdas(levels),
            known,
            *(plain, own, foreign, partial, even // 2, watched),
        )

    def _shown(self, inputs: tuple[Tensor, ...], done: float) -> Tensor:
        """Returns the decoder's pictures, towards the end with rounded weights as they are exported."""
        if done < ROUNDED_FROM:
            return self.decoder(*inputs).float()
        return torch.func.functional_call(
            self.decoder, rounded_weights(self.decoder, "decoder"), inputs
        ).float()

    def _wanted(self, batch: Batch, latents: Tensor, taught: Tensor) -> Tensor:
        """Returns the target of the decoder: in general the pixels themselves.

        For latents that are the same everywhere it is the mean colour that TAESD's decoder gives, and for
        TAESD's latents at fine levels the picture of TAESD's decoder.
        """
        own, alike = batch.own, batch.alike
        whole = batch.foreign - batch.partial
        with torch.no_grad():
            shown = (
                self.teacher_decoder(torch.cat([latents[own - alike : own], taught[:whole]]))
                .float()
                .clamp(0, 1)
            )
        colours = shown[:alike].mean((2, 3), keepdim=True).expand_as(shown[:alike])
        fine = (batch.levels[own : own + whole] < FINE).view(-1, 1, 1, 1)
        theirs = torch.where(fine, shown[alike:], batch.pixels[own : own + whole])
        return torch.cat([batch.pixels[: own - alike], colours, theirs, batch.pixels[own + whole :]])

    def _distortion(self, wanted: Tensor, shown: Tensor) -> dict[str, Tensor]:
        # LPIPS samples every second pixel, and fewer in later layers. Without a random shift it would miss
        # some of the patterns that repeat with the latents.
        y, x = torch.randint(8, (2,)).tolist()
        perceptual = self.lpips(wanted[:, :, y:, x:], shown[:, :, y:, x:]).mean()
        parts = {"l1": (shown - wanted).abs().mean(), "lpips": perceptual}
        return parts | {"faults": visible_faults(wanted, shown), "texture": excess_texture(shown, wanted)}

    def _both_features(self, shown: Tensor, wanted: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        features = self.features(shown.contiguous(memory_format=torch.channels_last))
        with torch.no_grad():
            original = self.features(wanted.contiguous(memory_format=torch.channels_last))
            if not self.discriminator.calibrated:
                self.discriminator.calibrate(original)
        return features, original

    def _adversarial(self, shown: Tensor, features: list[Tensor], condition: tuple[Tensor, Tensor]) -> Tensor:
        self.discriminator.requires_grad_(False)
        return adversarial_loss(self.discriminator(shown, features, *condition))

    def _by_teacher(self, pixels: Tensor, noisy: Tensor) -> Tensor:
        """Returns the loss of TAESD's decoder on the encoder's own latents, which keeps them in the latent
        space."""
        with self.autocast():
            foreign = self.teacher_decoder(noisy).float()
            return (foreign - pixels).abs().mean() + self.lpips(pixels, foreign).mean()

    def _balance(self, parts: dict[str, Tensor], shown: Tensor) -> None:
        """Sets each loss's weight by the norm of its gradient in the pixels."""

        def norm(loss: Tensor) -> float:
            (gradient,) = torch.autograd.grad(loss, shown, retain_graph=True)
            return float(gradient.float().norm())

        unit = norm(parts["l1"] + parts["lpips"])
        for name, ratio in {**PARTS, "adversarial": self.args.adversarial}.items():
            if name in parts:
                weight = ratio * unit / max(norm(parts[name]), 1e-12)
                before = self.weights[name]
                self.weights[name] = weight if before == 0 else before * (weight / before) ** 0.2


def rate_weight(levels: Tensor) -> Tensor:
    """Returns the weight of the rate in the loss, float32[N], for a rate in bits per pixel.

    It is proportional to the square of the step, as is the slope of squared error over rate.
    """
    return (0.3 * 2 ** ((levels - 64) / 8)).clamp(max=2.4)


def _first(coded: Pass, count: int) -> Pass:
    return Pass(*(getattr(coded, name)[:count] for name in Pass.__dataclass_fields__))
