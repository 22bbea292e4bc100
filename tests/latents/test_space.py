"""One latent space: TAESD decodes pocket's files, and pocket decodes TAESD's."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from calotype.container import Coding, Header, parse_file
from calotype.decoding import decode_latents
from calotype.encoding import encode_latents
from calotype.latents import SD1, log_step_map, noise_deviations
from calotype.limits import Limits
from calotype.models import DEFAULT_CONTEXT_MODEL, DecoderInput, load_decoder, load_encoder, model_id
from calotype.models.tiling import decode_tiled, encode_tiled
from calotype.models.windows import Area, scale_area
from calotype.options import EncodeOptions

ROOT = Path(__file__).parents[2]
ASSETS = Path(os.environ.get("CALOTYPE_ASSETS", ROOT.parent / "shared"))

pytest.importorskip("torch", reason="torch is not installed: pip install 'calotype[test]'")
if not (ASSETS / "models" / "taesd").is_dir():
    pytest.skip("TAESD is not there: set CALOTYPE_ASSETS", allow_module_level=True)


class Teacher:
    """TAESD as an Encoder and a Decoder."""

    margin = last_margin = 64

    def __init__(self) -> None:
        sys.path.append(str(ROOT / "training"))
        import assets

        self._encoder, self._decoder = assets.taesd_encoder(), assets.taesd_decoder()

    def _run(self, net: Any, x: NDArray[np.float32]) -> NDArray[np.float32]:
        import torch

        with torch.inference_mode():
            out: NDArray[np.float32] = net(torch.from_numpy(np.ascontiguousarray(x))[None])[0].numpy()
        return out

    def encode(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        return self._run(self._encoder, pixels)

    def decode(
        self,
        latents: NDArray[np.float32],
        log_step: NDArray[np.float32],
        noise: NDArray[np.float64],
        expected: NDArray[np.float32],
        origin: tuple[int, int] = (0, 0),
        part: Area | None = None,
    ) -> NDArray[np.float32]:
        pixels = self._run(self._decoder, expected)
        return pixels if part is None else pixels[(..., *scale_area(part, SD1.factor))]


@pytest.fixture(scope="module")
def models() -> dict[str, Any]:
    teacher = Teacher()
    encoders = {"taesd": teacher, "pocket": load_encoder("pocket")}
    return {"encoder": encoders, "decoder": {"taesd": teacher, "pocket": load_decoder("pocket", SD1.id)}}


@pytest.fixture(scope="module")
def photos() -> list[NDArray[np.uint8]]:
    return [
        np.asarray(Image.open(ROOT / "samples" / f"{n}.png").convert("RGB")) for n in ("astronaut", "coffee")
    ]


def psnr(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float:
    return float(10 * np.log10(255**2 / ((a.astype(float) - b) ** 2).mean()))


@pytest.fixture(scope="module")
def latents(models: dict[str, Any], photos: list[NDArray[np.uint8]]) -> dict[str, list[NDArray[np.float32]]]:
    """The latents of the photographs by each encoder."""
    return {name: [encode_tiled(model, rgb) for rgb in photos] for name, model in models["encoder"].items()}


def coded(latents: NDArray[np.float32]) -> DecoderInput:
    """What a decoder reads from a file of 5,000 bytes with these latents."""
    height, width = (SD1.factor * side for side in latents.shape[1:])
    header = Header(
        coding=Coding.HIERARCHICAL,
        space=SD1.id,
        context_model=DEFAULT_CONTEXT_MODEL,
        encoder=model_id("pocket"),
        width=width,
        height=height,
        level=0,
    )
    parsed = parse_file(encode_latents(latents, header, EncodeOptions(target_size=5000)), limits=Limits())
    reconstruction = decode_latents(parsed)
    return DecoderInput(
        reconstruction.latents,
        log_step_map(reconstruction.levels),
        noise_deviations(parsed.header.noise, reconstruction.levels),
        reconstruction.conditional_mean,
    )


@pytest.fixture(scope="module")
def quality(
    models: dict[str, Any],
    photos: list[NDArray[np.uint8]],
    latents: dict[str, list[NDArray[np.float32]]],
) -> Callable[[str, str], float]:
    """Returns the mean PSNR in dB of 5,000-byte files made by one model and opened by the other."""
    inputs = {encoder: [coded(values) for values in of_photos] for encoder, of_photos in latents.items()}

    def mean_psnr(encoder: str, decoder: str) -> float:
        decoded = [decode_tiled(models["decoder"][decoder], values) for values in inputs[encoder]]
        return float(np.mean([psnr(rgb, shown) for rgb, shown in zip(photos, decoded, strict=True)]))

    return mean_psnr


def test_taesd_opens_what_pocket_made(quality: Callable[[str, str], float]) -> None:
    assert quality("pocket", "taesd") > quality("taesd", "taesd") - 0.75


def test_pocket_opens_what_taesd_made(quality: Callable[[str, str], float]) -> None:
    assert quality("taesd", "pocket") > quality("pocket", "pocket") - 1.25


def test_latents_have_the_statistics_of_the_space(latents: dict[str, list[NDArray[np.float32]]]) -> None:
    for wanted, encoded in zip(latents["taesd"], latents["pocket"], strict=True):
        deviation = wanted.std((1, 2))
        assert np.abs((encoded - wanted).mean((1, 2)) / deviation).max() < 0.12
        assert np.abs(encoded.std((1, 2)) / deviation - 1).max() < 0.12
        correlation = [np.corrcoef(encoded[c].ravel(), wanted[c].ravel())[0, 1] for c in range(4)]
        assert min(correlation) > 0.75
