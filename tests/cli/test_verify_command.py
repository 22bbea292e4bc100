"""calotype verify."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from cli_samples import Refused, Run
from PIL import Image

import calotype


@pytest.fixture
def other(tmp_path: Path, photo: str) -> str:
    """The name of a picture of the size of ``photo`` that shows something else."""
    with Image.open(tmp_path / photo) as image:
        pixels = np.array(image.convert("RGB"))
    pixels[8:32, 8:40] = 255 - pixels[8:32, 8:40, ::-1]
    Image.fromarray(pixels).save(tmp_path / "other.png")
    return "other.png"


@pytest.mark.slow
def test_scores_regions_and_a_map(run: Run, photo: str, calo: str, tmp_path: Path) -> None:
    done = run("verify", photo, calo, "--map", "heat.png", "--max-invention", "1")
    assert done.returncode == 0 and not done.stderr
    assert done.stdout.decode().startswith("photo.calo: invention 0.")
    with Image.open(tmp_path / "heat.png") as heat:
        assert heat.size == (48, 40)
    assert run("verify", photo, calo, "--map", "heat.png").returncode == 1  # it exists


@pytest.mark.slow
def test_json_and_the_limit_of_invention(run: Run, other: str, calo: str, tmp_path: Path) -> None:
    found = calotype.verify(tmp_path / other, tmp_path / calo)
    done = run("verify", other, calo, "--json", "--max-invention", f"{found.invention - 0.01:.3f}")
    record = json.loads(done.stdout)
    assert done.returncode == 1
    assert record.pop("regions") == [region.as_dict() for region in found.regions()]
    assert record == {"photo": other, "file": calo, "ok": False, **found.as_dict()}
    assert b"is above" in done.stderr


def test_what_cannot_be_verified(refused: Refused, calo: str, photo: str, tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "small.png")
    code, said = refused(["verify", "small.png", calo])
    assert code == 1 and "the photograph has 8x8 pixels, but the file's picture 48x40" in said
    assert refused(["verify", photo, photo])[0] == 3
    assert refused(["verify", "-", "-"])[0] == 2
    assert refused(["verify", photo, calo, "--max-invention", "2"])[0] == 2
    assert refused(["verify", photo, calo, "--map", "heat.xyz"])[0] in (1, 2)


@pytest.mark.slow
def test_a_record_is_written_described_and_marked(run: Run, photo: str, tmp_path: Path) -> None:
    encoded = run("encode", "--record", "--target-size", "500", "-m", "tiny", "-e", "1", photo, "r.calo")
    assert encoded.returncode == 0, encoded.stderr
    assert (tmp_path / "r.calo").stat().st_size <= 500
    record = calotype.read_info(tmp_path / "r.calo").fidelity
    assert record is not None
    shown = run("info", "r.calo").stdout.decode()
    assert f"invention {record.invention:.2f}, loss {record.loss:.2f}" in shown
    assert run("decode", "--overlay", "r.calo", "marked.png").returncode == 0
    assert (tmp_path / "marked.png").is_file()
