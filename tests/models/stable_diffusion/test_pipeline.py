"""Whole files through a tiny pipeline, checked against diffusers itself."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from sd_weights import SCHEDULER, TEXT, write_vae

import calotype
from calotype import experiments
from calotype.container import parse_file
from calotype.decoding import decode_latents
from calotype.encoding import optimise
from calotype.errors import ModelError
from calotype.latents import log_step_map, noise_deviations
from calotype.limits import Limits
from calotype.models import Differentiable, load_decoder, load_encoder
from calotype.models.stable_diffusion.model import DiffusionDecoder
from calotype.models.stable_diffusion.networks import Network
from calotype.models.stable_diffusion.text import encode_empty_prompt
from calotype.options import DiffusionOptions

if TYPE_CHECKING:
    from diffusers import AutoencoderKL, UNet2DConditionModel

Array = NDArray[np.float32]


@pytest.fixture
def options(pipeline: Path) -> DiffusionOptions:
    return DiffusionOptions(weights=str(pipeline), device="cpu", dtype="float32")


@pytest.fixture
def data(photo: NDArray[np.uint8], options: DiffusionOptions) -> bytes:
    return calotype.encode(photo, model="sd-1.5", quality=20, effort=1, diffusion=options)


# Diffusers takes seconds to import, so that only the tests that need it do.


def reference_vae(pipeline: Path) -> AutoencoderKL:
    from diffusers import AutoencoderKL

    config = AutoencoderKL.load_config(pipeline / "vae")
    vae = AutoencoderKL.from_config(config)
    vae.load_state_dict(load_file(pipeline / "vae" / "diffusion_pytorch_model.safetensors"))
    return vae.eval()


def reference_unet(pipeline: Path) -> UNet2DConditionModel:
    from diffusers import UNet2DConditionModel

    unet = UNet2DConditionModel.from_config(UNet2DConditionModel.load_config(pipeline / "unet"))
    unet.load_state_dict(load_file(pipeline / "unet" / "diffusion_pytorch_model.safetensors"))
    return unet.eval()


def test_a_file_goes_there_and_back(data: bytes, photo: NDArray[np.uint8], options: DiffusionOptions) -> None:
    assert calotype.read_info(data).encoder == "sd-1.5"
    first = calotype.decode(data, model="sd-1.5", diffusion=options, as_array=True)
    assert first.shape == photo.shape
    again = calotype.Codec().decode(data, model="sd-1.5", diffusion=options, as_array=True)
    np.testing.assert_array_equal(first, again)


def test_any_decoder_of_the_space_opens_it(data: bytes, photo: NDArray[np.uint8]) -> None:
    assert calotype.decode(data, model="tiny", as_array=True).shape == photo.shape


def test_the_encoder_gives_the_scaled_posterior_mean(pipeline: Path, options: DiffusionOptions) -> None:
    pixels = np.random.default_rng(0).random((3, 64, 48), np.float32)
    with torch.inference_mode():
        moments = reference_vae(pipeline).encode(torch.from_numpy(2 * pixels - 1)[None]).latent_dist
        wanted = moments.mode()[0].numpy() * 0.18215
    np.testing.assert_allclose(load_encoder("sd-1.5", None, options).encode(pixels), wanted, atol=1e-5)


@pytest.mark.parametrize("steps", [1, 3])
def test_decoding_is_diffusers_ddim_from_the_matching_timestep(
    data: bytes, pipeline: Path, options: DiffusionOptions, steps: int
) -> None:
    from diffusers import DDIMScheduler

    parsed = parse_file(data, limits=Limits())
    decoded = decode_latents(parsed)
    latents, levels = decoded.latents, decoded.levels
    noise = np.full(4, float(noise_deviations(parsed.header.noise, levels).max()))
    scheduler = DDIMScheduler.from_config(SCHEDULER, clip_sample=False, set_alpha_to_one=True)
    alphas = scheduler.alphas_cumprod.double()
    start = int((((1 - alphas) / alphas).sqrt() - noise[0]).abs().argmin())
    unet, prompt = (
        reference_unet(pipeline),
        encode_empty_prompt(load_file(pipeline / "text_encoder" / "model.safetensors"), TEXT),
    )
    times = [round(start * (steps - n) / steps) for n in range(steps)]
    with torch.inference_mode():
        x = alphas[start].sqrt().float() * torch.from_numpy(latents)[None]
        for t, after in zip(times, [*times[1:], None], strict=True):
            error = unet(x, t, encoder_hidden_states=torch.from_numpy(prompt)).sample
            clean = (x - (1 - alphas[t]).sqrt().float() * error) / alphas[t].sqrt().float()
            if after is None:
                x = clean
            else:
                x = alphas[after].sqrt().float() * clean + (1 - alphas[after]).sqrt().float() * error
        wanted = reference_vae(pipeline).decode(x / 0.18215).sample[0].numpy() / 2 + 0.5
    decoder = load_decoder("sd-1.5", 1, None, replace(options, steps=steps))
    log_step = np.zeros((1, *latents.shape[1:]), np.float32)
    np.testing.assert_allclose(decoder.decode(latents, log_step, noise), wanted, atol=2e-4)


def test_the_options_of_denoising_change_the_picture(data: bytes, options: DiffusionOptions) -> None:
    def decoded(**fields: object) -> bytes:
        chosen = replace(options, **fields)
        return calotype.decode(data, model="sd-1.5", diffusion=chosen, as_array=True).tobytes()

    plain = decoded(denoise="off")
    assert decoded(steps=0) == plain
    different = [plain, decoded(), decoded(denoise=400), decoded(denoise=400, steps=4)]
    different += [decoded(denoise=400, seed=1), decoded(denoise=400, seed=2)]
    assert len(set(different)) == len(different)
    assert decoded(denoise=400, seed=2) == different[-1]


def test_fine_files_never_touch_the_unet(
    photo: NDArray[np.uint8], pipeline: Path, options: DiffusionOptions, tmp_path: Path
) -> None:
    shutil.copytree(pipeline, tmp_path / "half", ignore=shutil.ignore_patterns("diffusion*unet*", "unet"))
    without = replace(options, weights=str(tmp_path / "half"))
    fine = calotype.encode(photo, model="sd-1.5", quality=100, scale=1, effort=1, diffusion=options)
    whole = calotype.decode(fine, model="sd-1.5", diffusion=options, as_array=True)
    decoded = calotype.decode(fine, model="sd-1.5", diffusion=without, as_array=True)
    np.testing.assert_array_equal(decoded, whole)
    coarse = calotype.encode(photo, model="sd-1.5", quality=0, effort=1, diffusion=options)
    with pytest.raises(ModelError, match=r"holds no unet"):
        calotype.decode(coarse, model="sd-1.5", diffusion=without)


@pytest.mark.parametrize("scale", [0.5, 1.25])
def test_a_picture_coded_at_another_size(
    photo: NDArray[np.uint8], options: DiffusionOptions, scale: float
) -> None:
    data = calotype.encode(photo, model="sd-1.5", scale=scale, effort=1, diffusion=options)
    decoded = calotype.decode(data, model="sd-1.5", diffusion=options, as_array=True)
    assert decoded.shape == photo.shape
    assert calotype.read_info(data).coded_width == round(photo.shape[1] * scale)


def test_another_vae_takes_the_place_of_its_own(
    data: bytes, pipeline: Path, options: DiffusionOptions, tmp_path: Path
) -> None:
    other = replace(options, vae=str(write_vae(tmp_path / "vae", seed=5)))
    own = calotype.decode(data, model="sd-1.5", diffusion=options, as_array=True)
    decoded = calotype.decode(data, model="sd-1.5", diffusion=other, as_array=True)
    assert (decoded != own).any()
    same = replace(options, vae=str(pipeline / "vae"))
    np.testing.assert_array_equal(calotype.decode(data, model="sd-1.5", diffusion=same, as_array=True), own)
    alone = replace(options, weights=other.vae)
    denoised_by_none = calotype.decode(data, model="sd-vae-ft-mse", diffusion=alone, as_array=True)
    undenoised = calotype.decode(data, model="sd-1.5", diffusion=replace(other, denoise="off"), as_array=True)
    np.testing.assert_array_equal(denoised_by_none, undenoised)
    with pytest.raises(ModelError, match="is itself an autoencoder"):
        calotype.decode(data, model="taesd", diffusion=other)
    with pytest.raises(ModelError, match=r"'nope' is neither a model \(sd-1.4, .*\) nor a file"):
        calotype.decode(data, model="sd-1.5", diffusion=replace(options, vae="nope"))


@pytest.mark.parametrize("size", [(1, 1), (8, 8), (23, 9), (600, 40)])
def test_pictures_of_any_size_come_back(size: tuple[int, int], options: DiffusionOptions) -> None:
    rgb = np.random.default_rng(1).integers(0, 256, (*size, 3), np.uint8)
    small = replace(options, tile=256)
    data = calotype.encode(rgb, model="sd-1.5", quality=10, effort=1, diffusion=small)
    assert calotype.decode(data, model="sd-1.5", diffusion=small, as_array=True).shape == rgb.shape


@pytest.mark.parametrize(("dtype", "most"), [("bfloat16", 2.5), ("float16", 0.5)])  # of 8 and of 11 bits
def test_other_dtypes_come_close(data: bytes, options: DiffusionOptions, dtype: str, most: float) -> None:
    exact = calotype.decode(data, model="sd-1.5", diffusion=options, as_array=True).astype(int)
    decoded = calotype.decode(data, model="sd-1.5", diffusion=replace(options, dtype=dtype), as_array=True)
    assert 0 < np.abs(decoded - exact).mean() < most


def test_networks_are_shared_and_released(pipeline: Path, options: DiffusionOptions) -> None:
    import gc

    from calotype.models.stable_diffusion import networks

    gc.collect()
    before = len(networks._loaded)
    decoders = [load_decoder("sd-1.4", 1, None, replace(options, seed=seed)) for seed in (1, 2)]
    load_encoder("sd-1.4", None, options)
    assert len(networks._loaded) <= before + 1
    del decoders
    gc.collect()
    assert len(networks._loaded) <= before


def test_threads_share_one_model(data: bytes, options: DiffusionOptions) -> None:
    codec = calotype.Codec()

    def decoded(_: int) -> bytes:
        return codec.decode(data, model="sd-1.5", diffusion=options, as_array=True).tobytes()

    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(decoded, range(8)))) == 1


def test_a_picture_too_large_for_the_memory_comes_in_smaller_tiles(
    options: DiffusionOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    rgb = np.random.default_rng(2).integers(0, 256, (64, 512, 3), np.uint8)
    data = calotype.encode(rgb, model="sd-1.5", quality=10, scale=1, effort=1, diffusion=options)
    call = Network.__call__

    def short_of_memory(network: Network, function: Any, x: Array) -> Array:
        if x.shape[-1] > 40:
            raise torch.OutOfMemoryError("out of memory")
        return call(network, function, x)

    monkeypatch.setattr(Network, "__call__", short_of_memory)
    with pytest.warns(
        calotype.CalotypeWarning, match="does not fit in memory: going on with tiles"
    ) as warned:
        decoded = calotype.decode(data, model="sd-1.5", diffusion=options, as_array=True)
    assert [str(warning.message).split(" does")[0] for warning in warned] == ["sd-1.5's unet", "sd-1.5's vae"]
    assert decoded.shape == rgb.shape


def test_without_weights_the_command_is_named(data: bytes) -> None:
    for name in ("sd-1.4", "sd-1.5", "sd-vae-ft-mse", "taesd"):
        with pytest.raises(
            ModelError, match=f"^{name} is not on this machine: run 'calotype models fetch {name}'$"
        ):
            calotype.decode(data, model=name)
    with pytest.raises(ModelError, match="no file or folder nowhere"):
        calotype.decode(data, model="sd-1.5", diffusion=DiffusionOptions(weights="nowhere"))


def test_a_device_that_is_not_here(data: bytes, options: DiffusionOptions) -> None:
    absent = "cuda" if not torch.cuda.is_available() else "mps"
    with pytest.raises(ModelError, match=f"the device {absent} is not available here"):
        calotype.decode(data, model="sd-1.5", diffusion=replace(options, device=absent))


@pytest.mark.parametrize(
    "field",
    [
        {"device": "tpu"},
        {"dtype": "int8"},
        {"tile": 100},
        {"tile": 260},
        {"denoise": "on"},
        {"denoise": 1000},
        {"steps": -1},
        {"seed": 1 << 64},
    ],
)
def test_options_out_of_range_are_refused(field: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(field))):
        DiffusionOptions(**field)


def test_the_decoder_can_be_differentiated(
    photo: NDArray[np.uint8], options: DiffusionOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = replace(options, denoise="off")
    decoder = load_decoder("sd-1.5", 1, None, plain)
    assert isinstance(decoder, Differentiable)
    network = decoder.differentiable()
    latents = np.random.default_rng(4).standard_normal((4, 8, 6)).astype(np.float32)
    log_step = np.zeros((1, 8, 6), np.float32)
    z = torch.from_numpy(latents)[None].requires_grad_()
    picture = network(z, torch.from_numpy(log_step)[None], z)
    np.testing.assert_allclose(picture.detach()[0], decoder.decode(latents, log_step, np.zeros(4)), atol=1e-5)
    (slope,) = torch.autograd.grad(picture.square().sum(), z)
    step = 1e-3 * slope / slope.norm()
    change = network(z, None, z + step).square().sum() - network(z, None, z - step).square().sum()
    assert float(change.detach()) == pytest.approx(2e-3 * float(slope.norm()), rel=0.05)
    monkeypatch.setattr(optimise, "MAX_ITERATIONS", 3)
    calls: list[None] = []
    data = calotype.Codec().encode(
        photo,
        model="sd-1.5",
        decoder="sd-1.5",
        target_size=120,
        effort=9,
        diffusion=plain,
        progress=lambda: calls.append(None),
    )
    assert len(data) <= 120 and len(calls) == 3


def test_the_experiment_takes_the_dithering_away_again(
    photo: NDArray[np.uint8], options: DiffusionOptions
) -> None:
    experiment = experiments.run_experiment(photo, experiments.Settings("sd-1.5", diffusion=options))
    by_name = {result.name: result for result in experiment.results}
    for name in ("vae", "bits-8", "zlib-plain", "zlib-dithered"):
        plain, denoised = by_name[name], by_name[f"{name}-denoised"]
        assert denoised.title == f"{plain.title}, denoised" and denoised.size == plain.size
        assert (denoised.rgb != plain.rgb).any()


@pytest.mark.parametrize("denoise", ["off", "auto"])
def test_without_denoising_the_decoder_gets_conditional_means(
    data: bytes, options: DiffusionOptions, denoise: str
) -> None:
    decoder = load_decoder("sd-1.5", 1, None, replace(options, denoise=denoise))
    assert isinstance(decoder, DiffusionDecoder)
    reconstruction = decode_latents(parse_file(data, limits=Limits()))
    log_step = log_step_map(reconstruction.levels)
    noises = np.array([[1e-3] * 4, [0.4] * 4])  # nothing to denoise, and something
    latents, steps, expected = (
        np.stack([part] * 2) for part in (reconstruction.latents, log_step, reconstruction.conditional_mean)
    )
    nothing, something = decoder.denoised(latents, steps, noises, expected)
    assert np.abs(reconstruction.conditional_mean - reconstruction.latents).max() > 0
    np.testing.assert_array_equal(nothing, reconstruction.conditional_mean)
    assert np.array_equal(something, reconstruction.conditional_mean) == (denoise == "off")
