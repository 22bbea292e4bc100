"""Closed-loop encoding: latents corrected by what the decoder makes of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import calotype
from calotype.container import Coding, Header
from calotype.encoding import closed_loop, pipeline
from calotype.encoding.candidate import Candidate, code_latents
from calotype.encoding.closed_loop import (
    colour_corrected,
    corrected_latents,
    has_visible_tints,
    round_trip_loss,
)
from calotype.encoding.plan import Plan, RateTarget
from calotype.encoding.stages import with_corrected_colours
from calotype.errors import TargetSizeError
from calotype.latents import FINEST, log_step_map
from calotype.models import DecoderInput, load_decoder, load_encoder
from calotype.models.tiling import decode_tiled, encode_tiled
from calotype.options import EncodeOptions

SAMPLE = Path(__file__).parents[2] / "samples" / "astronaut.png"
HEADER = Header(
    coding=Coding.HIERARCHICAL, space=1, context_model=242, encoder=240, width=8, height=8, level=64
)


@pytest.fixture(scope="module")
def photo() -> Image.Image:
    """A part with even areas, a face and a flag."""
    return Image.open(SAMPLE).convert("RGB").crop((64, 0, 320, 256))


def mean_colour_error(data: bytes, source: Image.Image) -> float:
    """Mean absolute error of the colours of 16x16 pixels, in 255ths."""
    error = calotype.decode(data, as_array=True).astype(float) - np.asarray(source)
    return float(np.abs(error.reshape(16, 16, 16, 16, 3).mean((1, 3))).mean())


@pytest.mark.slow
@pytest.mark.parametrize("rate", [{"target_size": 700}, {"target_size": 1500}, {"quality": 20, "scale": 1}])
def test_closed_loop_encoding_reduces_tints(
    photo: Image.Image, rate: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = calotype.encode(photo, **rate)
    monkeypatch.setattr(pipeline, "with_corrected_colours", lambda candidate, *_: candidate)
    blind = calotype.encode(photo, **rate)
    assert mean_colour_error(looked, photo) < 0.8 * mean_colour_error(blind, photo)
    if "quality" in rate:
        assert calotype.read_info(looked).level == calotype.read_info(blind).level
        assert len(looked) < 1.06 * len(blind)
    else:
        assert len(looked) <= rate["target_size"]


@pytest.mark.parametrize(
    ("options", "level", "round_trip", "closed"),
    [
        ({}, 56, False, False),
        ({"quality": 10}, 86, False, True),
        ({"quality": 10, "effort": 4}, 86, False, False),
        ({"quality": 90}, 18, False, False),
        ({"quality": 90, "effort": 7}, 18, True, True),
        ({"target_size": 5000}, 56, True, True),
        ({"bpp": 0.2}, 40, True, True),
        ({"target_size": 5000, "effort": 4}, 56, False, False),
    ],
)
def test_when_the_loop_is_closed(options: dict[str, Any], level: int, round_trip: bool, closed: bool) -> None:
    plan = Plan.of(EncodeOptions(**options), 8, 8)
    assert plan.round_trip is round_trip
    candidate = code_latents(np.zeros((4, 1, 1), np.float32), HEADER, (), RateTarget(level=level), plan.rdo)
    assert (plan.closed_loop and (plan.round_trip or has_visible_tints(candidate))) is closed


def test_the_palette_coding_runs_no_other_stage(photo: Image.Image, monkeypatch: pytest.MonkeyPatch) -> None:
    for stage in ("with_corrected_colours", "optimise_latents", "with_finer_regions", "code_at_best_scale"):
        monkeypatch.setattr(pipeline, stage, lambda *_, **__: pytest.fail("called"))
    calotype.encode(photo, model="tiny", recipe="palette", effort=9)


@pytest.mark.slow
@pytest.mark.parametrize(("rate", "corrected"), [({"quality": 10}, False), ({"target_size": 300}, True)])
def test_a_quality_is_no_target_size_at_any_scale(
    photo: Image.Image, rate: dict[str, int], corrected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Low qualities are coded smaller, to the bytes that they take at full size: that asks for no size."""
    losses = []

    def noted(latents: np.ndarray, *_: object) -> np.ndarray:
        losses.append(latents)
        return np.zeros_like(latents)

    monkeypatch.setattr(closed_loop, "round_trip_loss", noted)
    info = calotype.read_info(calotype.encode(photo, **rate))
    assert info.scaled
    assert bool(losses) is corrected


def plain(photo: Image.Image, **options: float) -> tuple[Candidate, np.ndarray, Plan]:
    """Returns a coded candidate of uncorrected latents, and the pixels."""
    rgb = np.asarray(photo.crop((0, 0, 96, 64)))
    latents = encode_tiled(load_encoder("pocket"), rgb)
    plan = Plan.of(EncodeOptions(**options), 96, 64)  # type: ignore[arg-type]
    header = replace(HEADER, width=96, height=64, level=0)
    return code_latents(latents, header, (), plan.rate, plan.rdo), rgb, plan


class Blind:
    """Shows the same whatever it is given."""

    margin = last_margin = 0

    def decode(self, latents: np.ndarray, *_: object) -> np.ndarray:
        return np.full((3, 8 * latents.shape[1], 8 * latents.shape[2]), 0.5, np.float32)


def test_a_file_is_kept_if_no_other_comes_nearer(photo: Image.Image) -> None:
    candidate, rgb, plan = plain(photo, target_size=300)
    assert with_corrected_colours(candidate, rgb, plan, load_encoder("pocket"), Blind()) is candidate


def test_a_file_is_kept_if_others_do_not_fit(photo: Image.Image, monkeypatch: pytest.MonkeyPatch) -> None:
    def too_large(*_: object, **__: object) -> bytes:
        raise TargetSizeError(300, 301)

    candidate, rgb, plan = plain(photo, target_size=300)
    monkeypatch.setattr(Candidate, "recoded", too_large)
    assert (
        with_corrected_colours(candidate, rgb, plan, load_encoder("pocket"), load_decoder("pocket", 1))
        is candidate
    )


def test_half_of_the_colour_error_is_corrected() -> None:
    latents = encode_tiled(load_encoder("pocket"), np.full((64, 64, 3), 120, np.uint8))
    lighter = encode_tiled(load_encoder("pocket"), np.full((64, 64, 3), 140, np.uint8))
    moved = colour_corrected(latents, np.full((3, 8, 8), 20, np.float32))
    centre = (slice(None), 4, 4)
    assert np.linalg.norm((moved - (latents + lighter) / 2)[centre]) < 0.5 * np.linalg.norm(
        (lighter - latents)[centre] / 2
    )


def test_the_round_trip_correction_shows_more_of_the_picture(photo: Image.Image) -> None:
    rgb = np.asarray(photo.crop((64, 64, 192, 192)))
    encoder, decoder = load_encoder("pocket"), load_decoder("pocket", 1)
    exact = encode_tiled(encoder, rgb)

    def decoded(latents: np.ndarray) -> np.ndarray:
        log_step = log_step_map(np.full(latents.shape[1:], FINEST))
        return decode_tiled(decoder, DecoderInput(latents, log_step, np.zeros(4), conditional_mean=latents))

    shown = decoded(exact)
    shown_better = decoded(exact + 0.3 * round_trip_loss(exact, shown, encoder))
    before, after = (((pixels - rgb.astype(float)) ** 2).mean() for pixels in (shown, shown_better))
    assert after < 0.98 * before


class Halves:
    """A model that keeps half of what it is given: grey pixels for the first channel, and back."""

    margin = last_margin = 0

    def encode(self, pixels: np.ndarray) -> np.ndarray:
        return np.repeat(pixels[:1, ::8, ::8] - 0.5, 4, 0).astype(np.float32)

    def decode(self, latents: np.ndarray, *_: object) -> np.ndarray:
        return (latents[:3] / 2 + 0.5).repeat(8, 1).repeat(8, 2)


def test_a_round_trip_takes_half_of_the_latents() -> None:
    latents, model = np.full((4, 3, 5), 0.2, np.float32), Halves()
    pixels = (255 * model.decode(latents)).round().astype(np.uint8).transpose(1, 2, 0)
    assert round_trip_loss(latents, pixels, model) == pytest.approx(0.2 - 0.1, abs=1 / 255)


@pytest.mark.parametrize(("level", "share"), [(8, 0.3), (76, 0.3), (84, 0.15), (92, 0.0), (104, 0.0)])
def test_coarse_latents_are_corrected_less(level: int, share: float, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = Plan.of(EncodeOptions(quality=50, effort=7), 16, 16)
    header = replace(HEADER, width=16, height=16)
    latents = np.full((4, 2, 2), 0.2, np.float32)
    candidate = code_latents(latents, header, (), RateTarget(level=level), plan.rdo)
    decoded, error = np.full((16, 16, 3), 100, np.uint8), np.full((3, 2, 2), 28, np.float32)
    monkeypatch.setattr(closed_loop, "round_trip_loss", lambda values, *_: np.ones_like(values))
    corrected = corrected_latents(candidate, decoded, error, plan, Halves())
    assert corrected - colour_corrected(latents, error) == pytest.approx(share, abs=1e-6)
