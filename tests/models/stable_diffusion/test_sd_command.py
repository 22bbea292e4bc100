"""The commands that concern Stable Diffusion's weights, as users type them."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import huggingface_hub.constants as constants
import numpy as np
import pytest
from fake_hub import FakeHub
from numpy.typing import NDArray
from PIL import Image
from sd_weights import write_vae

import calotype
from calotype.cli import diffusion, main
from calotype.errors import ModelError
from calotype.models.stable_diffusion import fetched_model
from calotype.models.stable_diffusion.catalogue import CATALOGUE, vae_model
from calotype.models.stable_diffusion.networks import Network, choose_backend
from calotype.models.stable_diffusion.selftest import sample_picture, self_test
from calotype.options import DiffusionOptions


@dataclass(frozen=True)
class Done:
    returncode: int
    stdout: str
    stderr: str


Run = Callable[..., Done]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """Runs ``calotype`` with arguments in an empty folder; without ``vae_hub`` no hub can be reached."""
    monkeypatch.chdir(tmp_path)
    serve(monkeypatch, "http://127.0.0.1:9")

    def run(*arguments: str) -> Done:
        capfd.readouterr()
        code = main(arguments)
        said = capfd.readouterr()
        return Done(code, said.out, said.err)

    return run


def serve(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    template = constants.HUGGINGFACE_CO_URL_TEMPLATE.replace(constants.ENDPOINT, address)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "ENDPOINT", address)


@pytest.fixture
def vae_hub(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    hub = FakeHub(write_vae(tmp_path / "repository", seed=2), "stabilityai/sd-vae-ft-mse")
    serve(monkeypatch, hub.address)
    yield hub
    hub.close()


def test_fetch_list_path_verify_and_use(
    vae_hub: FakeHub, run: Run, photo: NDArray[np.uint8], tmp_path: Path
) -> None:
    done = run("models", "fetch", "sd-vae-ft-mse")
    assert done.returncode == 0, done.stderr
    assert "sd-vae-ft-mse: licence MIT" in done.stderr
    assert "2 files, 0.00 GB, from stabilityai/sd-vae-ft-mse" in done.stderr
    assert "every file verified" in done.stderr
    folder = Path(run("models", "path", "sd-vae-ft-mse").stdout.strip())
    assert (folder / "config.json").is_file()
    done = run("models", "verify", "sd-vae-ft-mse")
    assert done.returncode == 0
    assert re.search(
        r"diffusion_pytorch_model\.safetensors: [\d,]+ bytes, sha256 [0-9a-f]{64}: as", done.stdout
    )
    Image.fromarray(photo).save(tmp_path / "in.png")
    options = ("-m", "sd-vae-ft-mse", "--offline", "--dtype", "float32", "--device", "cpu")
    done = run("encode", "-e", "1", *options, "in.png", "a.calo")
    assert done.returncode == 0, done.stderr
    done = run("decode", *options, "--tile", "256", "a.calo", "out.png")
    assert (done.returncode, done.stderr.count("\n")) == (0, 1), done.stderr
    with Image.open(tmp_path / "out.png") as picture:
        assert picture.size == (104, 72)
    with (folder / "diffusion_pytorch_model.safetensors").open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"!")
    done = run("models", "verify", "sd-vae-ft-mse")
    assert done.returncode == 5
    assert len(re.findall(r"[0-9a-f]{64}", done.stderr.split("its sha256 is")[1])) == 2
    assert run("decode", *options, "a.calo", "again.png").returncode == 5
    assert not (tmp_path / "again.png").exists()


def test_compare_with_fetched_and_with_own_weights(
    vae_hub: FakeHub, run: Run, pipeline: Path, photo: NDArray[np.uint8], tmp_path: Path
) -> None:
    Image.fromarray(photo).save(tmp_path / "in.png")
    arguments = ("in.png", "--codecs", "", "--sizes", "1kB", "--dtype", "float32", "--json")
    assert run("models", "fetch", "sd-vae-ft-mse").returncode == 0
    done = run("compare", "--models", "tiny,sd-vae-ft-mse", *arguments, "--out", "a")
    assert done.returncode == 0, done.stderr
    codecs = [json.loads(line)["codec"] for line in done.stdout.splitlines()]
    assert codecs == ["calotype-tiny", "calotype-sd-vae-ft-mse"]
    own = ("--weights", str(pipeline))
    done = run("compare", "--models", "sd-1.5,tiny", *own, *arguments, "--out", "b")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[0])["codec"] == "calotype-sd-1.5"
    done = run("stages", "in.png", "-m", "sd-1.5", *own, "--dtype", "float32", "--out", "c")
    assert done.returncode == 0, done.stderr
    done = run("compare", "--models", "sd-1.5,taesd", *own, *arguments, "--out", "d")
    assert done.returncode == 2
    assert "--weights cannot be those of sd-1.5 and taesd: fetch them instead" in done.stderr


def test_a_folder_in_batches(
    run: Run, pipeline: Path, photo: NDArray[np.uint8], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "abc":
        Image.fromarray(photo[:, ord(name) - 97 :][:, :96]).save(tmp_path / f"{name}.png")
    batches = []
    call = Network.__call__

    def counted(network: Network, function: Any, x: Any) -> Any:
        batches.append(len(x))
        return call(network, function, x)

    monkeypatch.setattr(Network, "__call__", counted)
    options = ("-m", "sd-1.5", "--weights", str(pipeline), "--dtype", "float32", "--batch", "2")
    done = run("encode", "-e", "1", *options, "a.png", "b.png", "c.png", "out/")
    assert done.returncode == 0, done.stderr
    assert batches == [2, 1]
    (tmp_path / "out" / "b.calo").write_text("spoilt")
    done = run("decode", *options, "out/a.calo", "out/b.calo", "out/c.calo", "-o", "back")
    assert done.returncode == 3
    assert sorted(path.name for path in (tmp_path / "back").iterdir()) == ["a.png", "c.png"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["models", "path", "sd-1.5"], "sd-1.5 is not on this machine: run 'calotype models fetch sd-1.5'"),
        (
            ["models", "fetch", "--offline", "sd-1.5"],
            "sd-1.5 is not on this machine, and --offline forbids fetching it",
        ),
        (["models", "fetch", "sd-1.5"], "accept it with 'calotype models fetch sd-1.5 --accept-licence'"),
        (["models", "fetch", "sd-1.5", "--accept-licence"], "vae/config.json of stable-diffusion-v1-5/"),
        (["models", "fetch", "taesd"], "run 'calotype models fetch taesd' again to go on"),
    ],
)
def test_failures_name_the_command_that_helps(run: Run, arguments: list[str], said: str) -> None:
    done = run(*arguments)
    assert done.returncode == 5
    assert said in done.stderr.splitlines()[-1]
    assert done.stderr.splitlines()[-1].startswith("calotype: error: ")


def test_decode_without_weights(run: Run, photo: NDArray[np.uint8], tmp_path: Path) -> None:
    (tmp_path / "a.calo").write_bytes(calotype.encode(photo, model="tiny", effort=1))
    for options in ((), ("--offline",)):
        done = run("decode", "-m", "sd-1.5", *options, "a.calo", "out.png")
        assert done.returncode == 5
        assert done.stderr.endswith("sd-1.5 is not on this machine: run 'calotype models fetch sd-1.5'\n")
    done = run("decode", "-m", "sd-1.5", "--denoise", "much", "a.calo", "out.png")
    assert done.returncode == 2
    assert "denoise (=much) must be auto, off or a timestep" in done.stderr


@pytest.mark.parametrize("answer", ["y", "n"])
def test_two_commands_are_enough(
    answer: str,
    run: Run,
    pipeline: Path,
    photo: NDArray[np.uint8],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "x.calo").write_bytes(calotype.encode(photo, model="tiny", effort=1))
    hub = FakeHub(pipeline, "stable-diffusion-v1-5/stable-diffusion-v1-5")
    serve(monkeypatch, hub.address)
    monkeypatch.setattr(diffusion, "_someone_is_there", lambda: True)
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{answer}\n"))
    done = run("decode", "x.calo", "out.png", "-m", "sd-1.5", "--dtype", "float32")
    hub.close()
    assert "Do you accept the licence CreativeML Open RAIL-M?" in done.stderr
    if answer == "y":
        assert done.returncode == 0, done.stderr
        with Image.open(tmp_path / "out.png") as picture:
            assert picture.size == (104, 72)
    else:
        assert done.returncode == 5
        assert "accept it with 'calotype models fetch sd-1.5 --accept-licence'" in done.stderr
        assert hub.requests == []


def test_wrong_usage_is_one_error(run: Run) -> None:
    done = run("models", "fetch", "sd-9")
    assert done.returncode == 2
    assert "'sd-9' is not a model to fetch (those are sd-1.4, sd-1.5, sd-vae-ft-mse, taesd)" in done.stderr
    listed = [json.loads(line) for line in run("models", "list", "--json").stdout.splitlines()]
    assert [record["name"] for record in listed][-4:] == [source.name for source in CATALOGUE]
    assert not any(record["available"] for record in listed if record["name"].startswith("sd"))


def test_short_names_of_autoencoders() -> None:
    for name in ("ft-mse", "vae-ft-mse", "sd-vae-ft-mse"):
        assert vae_model(name) is fetched_model("sd-vae-ft-mse")
    assert vae_model("taesd") is fetched_model("taesd")
    assert vae_model("1.4") is fetched_model("sd-1.4")
    assert vae_model("nothing") is None


def test_the_self_test_fails_for_random_weights(pipeline: Path) -> None:
    source = fetched_model("sd-1.5")
    assert source is not None
    options = DiffusionOptions(weights=str(pipeline), device="cpu", dtype="float32")
    checks = {check.name: check for check in self_test(source, options)}
    assert checks.keys() == {
        "weights of vae",
        "weights of unet",
        "deviation of the latents",
        "picture there and back",
        "noise left by the U-Net",
    }
    assert checks["weights of unet"].expected == "859,520,964"
    assert not any(check.ok for name, check in checks.items() if name != "deviation of the latents")


def test_the_results_of_the_self_test_are_printed_as_json(pipeline: Path) -> None:
    source = fetched_model("sd-vae-ft-mse")
    assert source is not None
    options = DiffusionOptions(weights=str(pipeline), device="cpu", dtype="float32")
    for check in self_test(source, options):
        assert type(check.ok) is bool
        assert json.loads(json.dumps(asdict(check)))["ok"] == check.ok


@pytest.mark.parametrize("device", ["cpu:7", "cuda:99"])
def test_devices_that_are_not_here_are_named(device: str) -> None:
    with pytest.raises(ModelError, match=f"the device {device} is not available here"):
        choose_backend(DiffusionOptions(device=device))


def test_the_self_test_passes_for_real_weights(run: Run) -> None:
    assets = Path(os.environ.get("CALOTYPE_ASSETS", Path(__file__).parents[4] / "shared"))
    if not (assets / "models" / "taesd").is_dir():
        pytest.skip("TAESD is not there: set CALOTYPE_ASSETS")
    done = run(
        "models", "verify", "taesd", "--weights", str(assets / "models" / "taesd"), "--dtype", "float32"
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(": ok\n") == 3
    assert done.stderr == "taesd: the self-test passed\n"


def test_the_self_tests_picture_never_changes() -> None:
    picture = sample_picture()
    assert picture.shape == (3, 256, 256)
    assert 0 <= picture.min() < 0.25 < 0.75 < picture.max() <= 1
    assert float(picture.mean()) == pytest.approx(0.49241, abs=1e-4)


def test_importing_loads_none_of_it() -> None:
    code = "import sys, calotype, calotype.cli; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "diffusers", "safetensors", "huggingface_hub"} & set(done.stdout.split())


def test_a_missing_extra_names_the_command(monkeypatch: pytest.MonkeyPatch, pipeline: Path) -> None:
    from calotype.errors import ModelError
    from calotype.models import load_decoder

    options = DiffusionOptions(weights=str(pipeline), device="cpu")
    for package in ("torch", "diffusers"):
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, package, None)
            with pytest.raises(ModelError, match=rf"^{package} is missing: pip install 'calotype\[sd\]'$"):
                load_decoder("sd-1.4", 1, None, options)
