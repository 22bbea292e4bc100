"""The command lines of docs/serve.md, run by a real curl against a real server."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from web_samples import picture, running_server

import calotype

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "serve.md").read_text("utf-8")
(EXAMPLES,) = re.findall(r"^```sh\n(curl.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


@pytest.mark.skipif(not (shutil.which("curl") and shutil.which("sh")), reason="curl is not installed")
def test_the_examples_do_what_they_say(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(picture(320, 240, "JPEG"))
    said = []
    with running_server() as (address, _):
        for line in EXAMPLES.splitlines():
            command = line.replace("http://127.0.0.1:8000", address)
            assert command != line
            done = subprocess.run(["sh", "-c", command], cwd=tmp_path, capture_output=True, text=True)
            assert done.returncode == 0, done.stderr
            said.append(done.stdout)

    file = tmp_path / "photo.calo"
    assert calotype.read_info(file).width == 320 and file.stat().st_size <= 5000
    with Image.open(tmp_path / "photo.png") as shown:
        assert np.array_equal(np.asarray(shown), calotype.decode(file, model="tiny", as_array=True))
    with Image.open(tmp_path / "photo.avif") as baseline:
        assert baseline.format == "AVIF" and (tmp_path / "photo.avif").stat().st_size <= 5000
    of_file, of_server = (json.loads(text) for text in said if text)
    assert of_file == json.loads(json.dumps(calotype.read_info(file).as_dict()))
    assert of_server["name"] == "calotype"
