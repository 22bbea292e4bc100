"""``calotype serve``."""

from __future__ import annotations

import socket
import sys

import httpx2 as httpx
import pytest
from PIL import Image
from web_samples import client_of, picture, running_server

from calotype.cli import main


def test_it_serves_this_machine_and_nothing_else() -> None:
    with running_server("--max-upload", "2kB", "--max-pixels", "5000") as (address, _):
        info = httpx.get(f"{address}/info").json()
        assert (info["max_upload"], info["max_pixels"]) == (2000, 5000)
        assert httpx.get(f"{address}/").status_code == 200
        assert "server" not in httpx.get(f"{address}/").headers
        port = int(address.rpartition(":")[2])
        with socket.socket() as other, pytest.raises(OSError):
            other.connect(("127.0.0.2", port))


@pytest.mark.parametrize("package", ["fastapi", "uvicorn", "python_multipart.exceptions"])
def test_without_the_extra_the_error_names_the_command_to_install_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], package: str
) -> None:
    for module in [name for name in sys.modules if name.startswith("calotype.web.")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, package, None)
    assert main(["serve", "--port", "0"]) == 5
    assert "pip install 'calotype[web]'" in capsys.readouterr().err


def test_a_port_that_is_in_use_is_reported(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert main(["serve", "--port", str(port)]) == 1
    assert f"cannot listen on 127.0.0.1, port {port} (address already in use)" in capsys.readouterr().err


def test_an_unknown_model_is_refused_before_anything_is_served(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--port", "0", "--model", "nikon"]) == 5
    assert "nikon" in capsys.readouterr().err


def test_a_pillow_without_avif_serves_all_else(monkeypatch: pytest.MonkeyPatch) -> None:
    Image.init()
    monkeypatch.delitem(Image.SAVE, "AVIF")
    with client_of() as client:
        assert client.get("/info").json()["baselines"] == ["jpeg", "webp"]
        assert client.post("/baselines/webp?max_size=900", content=picture()).status_code == 200
        refused = client.post("/baselines/avif?max_size=900", content=picture())
    assert refused.status_code == 503
    assert refused.json()["error"] == "this build of Pillow does not write AVIF"
