"""``calotype gallery``: the files that it writes, and its page in a browser behind a plain file server."""

from __future__ import annotations

import gzip
import hashlib
import shutil
import time
from pathlib import Path

import pytest

pytest.importorskip("selenium", reason="needs pip install 'calotype[test]'")

from calotype import browser
from calotype.browser import SCRIPTS, decoder_files, is_built
from calotype.cli import main
from calotype.errors import ModelError
from calotype.models import list_models
from scripts.browsers import MISSING, opened_browser, served

GOLDEN = Path(__file__).parents[1] / "golden" / "context-242"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three pictures, one of them in a folder and one broken."""
    archive = tmp_path / "archive & more"
    (archive / "deep").mkdir(parents=True)
    shutil.copy(GOLDEN / "coarse-105x70" / "picture.calo", archive / "hair.calo")
    shutil.copy(GOLDEN / "rgba-40x24" / "picture.calo", archive / "deep" / "<b>.calo")
    (archive / "broken.calo").write_bytes(b"no picture")
    return archive


def test_without_the_decoder_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(browser.files, "_FOLDER", tmp_path)
    assert not is_built()
    with pytest.raises(ModelError, match="run 'make web'"):
        decoder_files("pocket")


@pytest.mark.usefixtures("built")
def test_the_site_holds_all_that_it_needs(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    site = tmp_path / "site"
    assert main(["gallery", str(folder), "--out", str(site)]) == 3
    assert "broken.calo" in capsys.readouterr().err
    assert len(list((site / "pictures").iterdir())) == len(list((site / "thumbnails").iterdir())) == 2
    assert {path.name for path in (site / "decoder").iterdir()} > set(SCRIPTS)
    network = gzip.decompress((site / "decoder" / "pocket-decoder.onnx.gz").read_bytes())
    pocket = next(info for info in list_models() if info.name == "pocket")
    assert hashlib.sha256(network).hexdigest() == pocket.sha256["decoder"]
    page = (site / "index.html").read_text("utf-8")
    assert "<title>archive &amp; more</title>" in page
    assert "deep/&lt;b&gt;" in page
    assert main(["gallery", str(folder), "--out", str(site)]) == 1
    assert main(["gallery", str(tmp_path / "site" / "decoder"), "--out", str(tmp_path / "none")]) == 1
    assert "holds no .calo files" in capsys.readouterr().err


@pytest.mark.slow  # 4 seconds
@pytest.mark.usefixtures("built")
@pytest.mark.skipif(bool(MISSING["chromium"]), reason=str(MISSING["chromium"]))
def test_the_viewer_decodes(folder: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    assert main(["gallery", str(folder), "--out", str(site)]) == 3
    with served(site) as address, opened_browser(tmp_path / "profile") as browser:
        browser.get(address + "/index.html")
        ready = "return !!customElements.get('calo-img')"
        shown = "return document.querySelector('#place calo-img')?.naturalWidth ?? 0"

        def until(script: str, wanted: object) -> None:
            end = time.monotonic() + 60
            while browser.execute_script(script) != wanted:
                assert time.monotonic() < end, browser.get_log("browser")
                time.sleep(0.05)

        until(ready, True)
        browser.execute_script("document.querySelectorAll('#pictures a')[1].click()")
        until(shown, 105)
        browser.execute_script("document.getElementById('next').click()")
        until(shown, 40)
        assert (
            browser.execute_script("return document.getElementById('viewer-title').textContent") == "deep/<b>"
        )
        assert [entry for entry in browser.get_log("browser") if "favicon" not in entry["message"]] == []
