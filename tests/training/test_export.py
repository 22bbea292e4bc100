"""The exported models compute in integers what training computes in floating point."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from context_model import CASCADE, ERROR_DIFFUSION_GAIN, ContextModel, Shape
from export_entropy import export, frequencies
from export_networks import export as export_network
from nets import Decoder
from quantise import CHANNEL_OFFSETS, steps_of
from restore import restored, restored_context_model
from rounding import rounded_weights, weight_scale

from calotype.encoding.plan import EFFORTS
from calotype.encoding.rate import TrialEncoder
from calotype.encoding.rdo import CASCADES
from calotype.entropy import read_context_model
from calotype.latents import CHANNEL_OFFSETS as SHIPPED_OFFSETS
from calotype.latents import reconstruct_latents, step_of_level
from calotype.models.grain import grain_noise
from calotype.models.onnx_model import OnnxDecoder


@pytest.fixture(scope="module")
def context_model() -> ContextModel:
    """Random, with predictions that are wide enough for unit latents."""
    torch.manual_seed(5)
    model = ContextModel().requires_grad_(False)
    for site in [model.base, *(net for nets in model.rounds for net in nets)]:
        for head in site.heads:
            head.last.weight *= 0.1
            head.last.bias[1] = 104 / 64
    return model.freeze()


@pytest.fixture(scope="module")
def latents() -> np.ndarray:
    return np.random.default_rng(8).normal(size=(4, 32, 40)).astype(np.float32)


@pytest.mark.parametrize("lambda_", [0.0, 0.1])
def test_the_shipped_model_is_the_trained_one(
    context_model: ContextModel, latents: np.ndarray, tmp_path: Path, lambda_: float
) -> None:
    export(context_model, tmp_path / "model.npz")
    shipped = read_context_model((tmp_path / "model.npz").read_bytes())
    for level in (40, 64, 90):
        feedback = ERROR_DIFFUSION_GAIN if lambda_ else 0.0
        trial = TrialEncoder(latents, shipped, lambda_, error_diffusion=feedback).trial(level, lambda_)
        multiplier = torch.tensor([lambda_]) if lambda_ else None
        coded = context_model.coding_pass(torch.from_numpy(latents)[None], torch.tensor([level]), multiplier)
        # Means are rounded to a sixteenth of a step and probabilities to 2**-16 when shipped.
        assert trial.bits == pytest.approx(float(context_model.bits(coded.coded, coded).sum()), rel=0.01)
        shipped_pass = reconstruct_latents(trial.result, np.full((32, 40), level))
        same = np.isclose(shipped_pass.latents, coded.coded[0].numpy(), atol=1e-4)
        assert same.mean() > (0.999 if not lambda_ else 0.97)
        apart = np.abs(shipped_pass.conditional_mean - coded.expected[0].numpy())[same]
        assert apart.mean() < 0.02 * step_of_level(level)


def test_missing_integers_take_their_predicted_mean(context_model: ContextModel, latents: np.ndarray) -> None:
    picture, level = torch.from_numpy(latents)[None], torch.tensor([64])
    whole = context_model.coding_pass(picture, level)
    part = context_model.coding_pass(picture, level, known=torch.tensor([4]))  # the base grid only
    base = (..., slice(None, None, 8), slice(None, None, 8))
    assert torch.equal(part.coded[base], whole.coded[base])
    assert torch.equal(part.log_step[base], whole.log_step[base])
    rest = torch.ones_like(part.coded, dtype=torch.bool)
    rest[base] = False
    assert torch.equal(part.coded[rest], (part.means / 256)[rest])
    assert torch.equal(part.expected[rest], part.coded[rest])
    assert (part.log_step >= whole.log_step).all() and (part.log_step > whole.log_step).any()


def test_the_shipped_model_can_be_trained_on(
    context_model: ContextModel, latents: np.ndarray, tmp_path: Path
) -> None:
    export(context_model, tmp_path / "model.npz")
    again = ContextModel().requires_grad_(False)
    again.load_state_dict(restored_context_model(tmp_path / "model.npz"))
    level, picture = torch.tensor([64]), torch.from_numpy(latents)[None]
    coded, coded_again = (model.coding_pass(picture, level) for model in (context_model, again))
    assert torch.equal(coded.coded, coded_again.coded)
    bits, bits_again = (
        float(model.bits(result.coded, result).sum())
        for model, result in ((context_model, coded), (again, coded_again))
    )
    assert bits_again == pytest.approx(bits, rel=2e-3)


def test_training_quantises_as_the_codec_does() -> None:
    assert EFFORTS[5].rdo.error_diffusion == ERROR_DIFFUSION_GAIN
    assert CASCADES[0] == CASCADE


def test_frequencies_follow_the_density() -> None:
    table = frequencies(Shape()).astype(float) / 65536
    assert np.allclose(table.sum(-1), 1)
    unit = table[32, 8]  # sigma of about one step, the mean on an integer
    assert unit[20] == unit.max() and np.allclose(unit[:20], unit[40:20:-1], atol=2e-4)
    assert 0.25 < unit[20] < 0.6


def test_training_and_codec_share_the_quantiser() -> None:
    assert CHANNEL_OFFSETS == SHIPPED_OFFSETS
    assert float(steps_of(torch.tensor([57]))[0]) == pytest.approx(step_of_level(57))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
def test_networks_ship_with_eight_bit_weights(tmp_path: Path) -> None:
    torch.manual_seed(6)
    network = Decoder((32, 32, 16, 16), (1, 2, 1, 1))
    for parameter in network.parameters():
        if parameter.ndim == 1:  # biases: those that are all zero would be stored once
            torch.nn.init.normal_(parameter, std=0.02)
    latents, log_step = torch.randn(1, 4, 12, 10), torch.full((1, 1, 12, 10), -1.0)
    noise = torch.from_numpy(grain_noise((3, 40), 12, 10))[None]
    with torch.inference_mode():
        wanted = network(latents, log_step, latents, noise)[0].numpy()
    path = tmp_path / "decoder.onnx"
    inputs = {"latents": latents, "log_step": log_step, "conditional_mean": latents, "grain": noise}
    export_network(network, "decoder", inputs, "pixels", path)
    assert path.stat().st_size < 1.5 * sum(p.numel() for p in network.parameters())
    decoder = OnnxDecoder(path.read_bytes(), margin=8)
    shown = decoder.decode(latents[0].numpy(), log_step[0].numpy(), np.zeros(4), origin=(3, 40))
    assert 0 < np.abs(shown - wanted).max() < 0.02
    assert not np.isclose(wanted.std(), 0, atol=0.02)
    for name, weights in restored(path).items():  # and training can continue from the shipped file
        exact = network.state_dict()[name]
        assert (weights - exact).abs().max() <= max(exact.abs().max() / 254, 1e-3) * 1.01


def test_most_of_the_decoder_ships_with_coarse_weights_that_training_knows() -> None:
    torch.manual_seed(8)
    sides = {"large": (128, 128), "medium": (96, 96), "small": (64, 64)}
    network = torch.nn.ModuleDict({name: torch.nn.Conv2d(*side, 3) for name, side in sides.items()})
    rounded = rounded_weights(network, "decoder")
    for name, steps in (("large", 8), ("medium", 16), ("small", 127 / 3**0.5)):
        exact = network.get_parameter(f"{name}.weight").detach()
        integers = rounded[f"{name}.weight"].detach() / weight_scale(exact, "decoder")
        assert (integers - integers.round()).abs().max() < 1e-2 and integers.abs().max() < 127.5
        assert float(integers.std()) == pytest.approx(steps, rel=0.05)  # uniform weights reach 3**0.5 of it
    # Gradients pass straight through; another part keeps its precision.
    rounded["large.weight"].sum().backward()
    assert torch.equal(network["large"].weight.grad, torch.ones_like(network["large"].weight))
    fine = rounded_weights(network, "encoder")["large.weight"] - network["large"].weight
    coarse = rounded["large.weight"] - network["large"].weight
    assert fine.detach().square().mean() < 0.2 * coarse.detach().square().mean()


def test_code_lengths_of_known_integers_are_those_of_a_coding_pass(latents: np.ndarray) -> None:
    torch.manual_seed(9)
    model = ContextModel().freeze()
    levels = torch.tensor([70])
    coded = model.coding_pass(torch.from_numpy(latents)[None], levels, torch.tensor([0.05]))
    assert torch.allclose(model.code_lengths(coded.coded, levels), model.bits(coded.coded, coded), atol=1e-5)


def test_a_fixed_copy_follows_the_model_that_is_trained() -> None:
    torch.manual_seed(10)
    trained, fixed = ContextModel(), ContextModel().freeze()
    pointers = [p.data_ptr() for p in fixed.parameters()]
    fixed.follow(trained)
    assert pointers == [p.data_ptr() for p in fixed.parameters()]  # a captured graph reads the same memory
    wanted = trained.freeze().state_dict()
    assert all(torch.equal(value, wanted[name]) for name, value in fixed.state_dict().items())
