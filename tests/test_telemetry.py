"""Nothing is reported to anyone: no socket, and no file in the home directory, however the package is
used."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from calotype.telemetry import SWITCHES

WATCH = """
import sys
def watch(event, arguments):
    if event.startswith(("socket.connect", "socket.getaddrinfo", "socket.gethostby", "socket.sendto")):
        print(event, arguments, file=sys.stderr, flush=True)
sys.addaudithook(watch)
"""
ZEROS = "import numpy; zeros = numpy.zeros((72, 72, 3), 'uint8')\n"
COMMAND = "from calotype.cli import main; assert main({}) == 0\n"
TINY = ["-m", "tiny", "-f"]

# Each is run in a process of its own; what it needs besides the package, if anything.
WAYS = {
    "library": (ZEROS + "import calotype; calotype.decode(calotype.encode(zeros))", None),
    "runtime-second": (ZEROS + "import calotype, onnxruntime; calotype.encode(zeros, effort=1)", None),
    "pillow": (
        "import calotype; from PIL import Image; calotype.register_pillow();"
        "Image.new('RGB', (72, 72)).save('x.calo'); Image.open('x.calo').load()",
        None,
    ),
    "encode": (COMMAND.format(["encode", *TINY, "photo.png", "x.calo"]), None),
    "decode": (COMMAND.format(["decode", *TINY, "photo.calo", "x.png"]), None),
    "compare": (
        COMMAND.format(["compare", "photo.png", "--models", "tiny", "--codecs", "jpeg", "-o", "x"]),
        None,
    ),
    "effort-9": (
        ZEROS
        + "import calotype; calotype.encode(zeros, effort=9, time_limit=0.1); assert 'torch' in sys.modules",
        "torch",
    ),
    "openvino": (ZEROS + "import calotype; calotype.Codec(backend='openvino').encode(zeros)", "openvino"),
    "diffusers": (
        "import calotype.models.stable_diffusion.store as store;"
        "from calotype.models.stable_diffusion.networks import diffusers_module;"
        "diffusers_module().AutoencoderTiny; assert store.import_hub().constants.HF_HUB_DISABLE_TELEMETRY;"
        "assert 'torch' not in store.import_hub().utils.build_hf_headers()['user-agent']",
        "diffusers",
    ),
    "server": (
        "from calotype.web import Settings; from calotype.web.studio import PictureService;"
        "from calotype.web.app import create_app; import uvicorn;"
        "studio = PictureService(Settings(model='tiny')); studio.warm_up(); create_app(Settings(), studio)",
        "uvicorn",
    ),
    "children": (
        ZEROS + "import calotype, multiprocessing\n"
        "with multiprocessing.get_context('spawn').Pool(1) as pool:\n"
        "    pool.apply(calotype.encode, (zeros,), {'effort': 1})",
        None,
    ),
}
NETWORK = "AF_INET"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    import calotype

    work = tmp_path / "work"
    work.mkdir()
    pixels = np.tile(np.arange(48, dtype=np.uint8)[:, None, None] * 5, (1, 40, 3))
    Image.fromarray(pixels).save(work / "photo.png")
    (work / "photo.calo").write_bytes(calotype.encode(pixels, model="tiny", effort=1))
    return work


def clean_environment(home: Path) -> dict[str, str]:
    """Without what would tell a dependency that it is being tested, and without our own switches."""
    names = ("PATH", "LD_LIBRARY_PATH", "SYSTEMROOT", "TMPDIR", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    environment = {name: os.environ[name] for name in names if name in os.environ}
    return environment | {"HOME": str(home), "USERPROFILE": str(home), "LOCALAPPDATA": str(home)}


FONT_LIST = ".cache/matplotlib/fontlist-"
"""What matplotlib, which draws the curves of reports, keeps in the user's cache: see docs/threat-model.md."""


def files_of(home: Path) -> list[str]:
    return sorted(str(path.relative_to(home)) for path in home.rglob("*") if path.is_file())


def start(code: str, folder: Path, home: Path, before: tuple[str, ...] = (), **more: str) -> str:
    """Runs ``code``; returns what it said on standard error."""
    home.mkdir(exist_ok=True)
    done = subprocess.run(
        [*before, sys.executable, "-B", "-c", code],
        cwd=folder,
        env=clean_environment(home) | more,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


def _marks(way: str) -> list[pytest.MarkDecorator]:
    """Each takes a process of its own, so only one of them is a quick test."""
    needs_extra = WAYS[way][1] is not None or way == "compare"
    return [pytest.mark.slow] * (way != "encode") + [pytest.mark.extra] * needs_extra


@pytest.mark.parametrize("way", [pytest.param(way, marks=_marks(way)) for way in WAYS])
def test_no_network_and_no_file_in_the_home_directory(way: str, folder: Path, tmp_path: Path) -> None:
    code, package = WAYS[way]
    if package is not None and find_spec(package) is None:
        pytest.skip(f"{package} is not installed")
    said = start(WATCH + code, folder, tmp_path / "home")
    assert "socket." not in said
    left = [name for name in files_of(tmp_path / "home") if not name.startswith(FONT_LIST)]
    assert left == []


@pytest.mark.slow
@pytest.mark.parametrize("way", ["library", "encode", "children"])
def test_no_socket_is_opened_by_native_code_either(way: str, folder: Path, tmp_path: Path) -> None:
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("strace is not installed: only it sees the sockets of native code")
    trace = tmp_path / "trace"
    before = (strace, "-f", "-qq", "-o", str(trace), "-e", "trace=network,openat")
    if subprocess.run([*before, "true"], capture_output=True, check=False).returncode:
        pytest.skip("strace may not trace here")
    start(WAYS[way][0], folder, tmp_path / "home", before)
    calls = trace.read_text("utf-8", "replace")
    assert "onnxruntime" in calls, "the runtime was not even loaded"
    assert NETWORK not in calls
    assert "/etc/resolv.conf" not in calls


def test_a_runtime_that_reports_is_detected(folder: Path, tmp_path: Path) -> None:
    """The variable is what stops it: without it there are files at once, and sockets ten seconds later."""
    start("import onnxruntime", folder, tmp_path / "home")
    if not files_of(tmp_path / "home"):
        pytest.skip("this build of ONNX Runtime reports nothing")
    start("import onnxruntime", folder, tmp_path / "other", **SWITCHES)
    assert files_of(tmp_path / "other") == []


def test_only_one_module_imports_the_runtime() -> None:
    root = Path(__file__).parents[1]
    folders = [root / name for name in ("src", "benchmarks", "scripts", "training", "fuzz")]
    files = {
        path.name
        for folder in folders
        for path in folder.rglob("*.py")
        if re.search(r"^\s*(import|from) onnxruntime\b", path.read_text("utf-8"), re.MULTILINE)
    }
    assert files == {"onnx_session.py"}


def test_a_variable_that_the_user_has_set_stays(folder: Path, tmp_path: Path) -> None:
    name = "HF_HUB_DISABLE_TELEMETRY"
    code = f"import os, calotype; assert os.environ[{name!r}] == '0'"
    start(code, folder, tmp_path / "home", **{name: "0"})
