"""The wheel is the whole package, pages and weights included, and runs away from the checkout."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

wheel_builder = pytest.importorskip("hatchling.builders.wheel", reason="hatchling is not installed")

ROOT = Path(__file__).parents[1]
RUN = """
import sys
from pathlib import Path
import calotype
from calotype.cli import main
assert Path(calotype.__file__).is_relative_to(sys.argv[1]), calotype.__file__
usual = ["--model", "tiny", "--target-size", "2kB"]
assert main(["encode", *usual, sys.argv[2], "photo.calo"]) == 0
assert main(["compare", sys.argv[2], "--models", "tiny", "--codecs", "jpeg", "--out", "report"]) == 0
assert main(["stages", *usual, sys.argv[2], "--out", "stages"]) == 0
"""
SERVE = """
from starlette.testclient import TestClient
from calotype.web.app import create_app
with TestClient(create_app(), base_url="http://127.0.0.1") as client:
    for path in ("/", "/docs", *("/static/" + name for name in NAMES)):
        assert client.get(path).status_code == 200, path
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    builder = wheel_builder.WheelBuilder(str(ROOT))
    (file,) = builder.build(directory=str(tmp_path_factory.mktemp("wheel")), versions=["standard"])
    return zipfile.ZipFile(file)


def test_it_holds_every_file_of_the_package_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    package = ROOT / "src" / "calotype"
    ours = {
        f"calotype/{path.relative_to(package).as_posix()}"
        for path in package.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {name for name in wheel.namelist() if ".dist-info/" not in name} == ours
    assert any(name.endswith("licenses/LICENSE") for name in wheel.namelist())


@pytest.mark.slow
def test_it_runs_away_from_the_checkout(wheel: zipfile.ZipFile, tmp_path: Path) -> None:
    wheel.extractall(tmp_path / "site")
    script = RUN
    try:
        import fastapi  # noqa: F401

        names = [name.rpartition("/")[2] for name in wheel.namelist() if "/static/" in name]
        script += SERVE.replace("NAMES", repr([*names, "base.css", "theme.js"]))
    except ImportError:
        pass
    photo = ROOT / "samples" / "coffee.png"
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "site"), str(photo)],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path / "site"), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    for page in ("report", "stages"):
        assert (tmp_path / page / "index.html").stat().st_size > 10_000
