"""Each loss is sensitive to the errors that it is for."""

from __future__ import annotations

import pytest
import torch
from discriminator import Discriminator, adversarial_loss, hinge_loss
from losses import feature_distance, latent_distance, visible_faults, wasserstein

WIDTHS = (8, 16, 16, 32, 32)


def features(seed: int, scale: float = 1.0) -> list[torch.Tensor]:
    """As VGG16's: five stages, each at half the size of the one before."""
    noise = torch.Generator().manual_seed(seed)
    return [
        torch.rand(2, width, 64 >> stage, 64 >> stage, generator=noise) * scale
        for stage, width in enumerate(WIDTHS)
    ]


def test_texture_of_the_same_statistics_is_near_and_blur_is_far() -> None:
    original, other = features(1), features(2)
    blurred = [f.mean((2, 3), keepdim=True).expand_as(f) for f in original]
    assert float(wasserstein(original, original)) == pytest.approx(0, abs=1e-6)
    assert float(wasserstein(other, original)) < 0.5 * float(wasserstein(blurred, original))
    # ... while a distance at each position prefers the blur.
    assert float(feature_distance(blurred, original)) < float(feature_distance(other, original))


def test_tints_and_grids_cost_more_than_noise_of_their_size() -> None:
    torch.manual_seed(5)
    pixels = torch.rand(2, 3, 64, 64)
    grid = torch.randn(1, 3, 8, 8).repeat(1, 1, 8, 8)
    noise = torch.randn(2, 3, 64, 64)
    losses = [float(visible_faults(pixels, pixels + 0.02 * e)) for e in (noise, grid, torch.ones(1))]
    assert losses[0] < 0.5 * min(losses[1:])


def test_latents_of_another_colour_are_far() -> None:
    torch.manual_seed(6)
    latents = torch.randn(4, 4, 8, 8)
    noise = 0.1 * torch.randn(4, 4, 8, 8)
    shifted = latents + 0.1
    assert float(latent_distance(shifted, latents)) > 3 * float(latent_distance(latents + noise, latents))


def test_a_discriminator_learns_to_distinguish_and_its_gradient_misleads_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("losses.Vgg.WIDTHS", WIDTHS)
    torch.manual_seed(7)
    discriminator = Discriminator(8)
    real, fake = torch.rand(4, 3, 64, 64), (torch.rand(4, 3, 64, 64) * 0.2).requires_grad_()
    condition = torch.zeros(4, 4, 8, 8), torch.zeros(4, 1, 8, 8)
    stages = [torch.zeros(4, width, 64 >> stage, 64 >> stage) for stage, width in enumerate(WIDTHS)]
    optimiser = torch.optim.Adam(discriminator.parameters(), 3e-3, betas=(0.0, 0.99))
    losses = []
    for _ in range(40):
        loss = hinge_loss(
            discriminator(real, stages, *condition), discriminator(fake.detach(), stages, *condition)
        )
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] - 0.1  # one part of five sees the pixels, the features are all alike
    before = adversarial_loss(discriminator(fake, stages, *condition))
    (gradient,) = torch.autograd.grad(before, fake)
    after = adversarial_loss(discriminator(fake - 0.05 * gradient.sign(), stages, *condition))
    assert after.item() < before.item()
