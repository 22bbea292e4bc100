"""Remakes the pictures of the documentation: ``python -m scripts.pictures [--lpips FILE]``.

The script runs commands of the documentation on the samples, opens their output in a headless Chromium, in
both themes and at a phone's width, and writes screenshots to ``docs/images/``. It also writes the sheet of
``make demo`` and the comparisons at 100 %. It needs the packages of ``calotype[test]``, and Debian's chromium
and chromium-driver.
"""

from __future__ import annotations

import argparse
import base64
import io
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from PIL import Image
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from benchmarks.pictures import ROOT, SAMPLE, load_rgb
from scripts import before_after, demo

__all__ = ["main"]

_TRIED = SAMPLE.with_name("coffee.png")
_CODECS = "jpeg,webp,avif,jxl,palette"
_SIZES = ",".join(map(str, demo.BUDGETS))
_FLAGS = ("headless=new", "no-sandbox", "disable-gpu", "hide-scrollbars", "disable-dev-shm-usage")
_PHONE = (390, 844)
_PATIENCE = 600


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m scripts.pictures", description=__doc__)
    parser.add_argument("--lpips", type=Path, metavar="FILE", help="the ONNX graph of that metric")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "images", metavar="FOLDER")
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name, _browser() as browser:
        report, stages = Path(name) / "report", Path(name) / "stages"
        lpips = ["--lpips", options.lpips.resolve()] if options.lpips else []
        _run("compare", SAMPLE, "--sizes", _SIZES, "--codecs", _CODECS, *lpips, "--out", report)
        _run("stages", SAMPLE, "--out", stages)
        _sheet(report).save(options.out / "demo.webp", quality=92, method=6)
        camera = _Camera(browser, options.out)

        browser.get((report / "index.html").as_uri())
        camera.shoot("report", (1120, 990))
        camera.shoot("report-phone", _PHONE)
        browser.execute_script("document.querySelector('input[value=grid]').click()")
        camera.shoot("report-grid", (1120, 1600))
        browser.get((stages / "index.html").as_uri())
        camera.shoot("stages", (1000, None))
        camera.shoot("stages-phone", _PHONE)
        with _served() as address:
            browser.get(address)
            browser.find_element(By.ID, "file").send_keys(str(_TRIED))
            status = browser.find_element(By.ID, "status")
            WebDriverWait(browser, _PATIENCE).until(lambda _: status.text.startswith("Done"))
            camera.shoot("page", (1120, 1140))
            camera.shoot("page-phone", _PHONE)
    before_after.main(["--out", str(options.out)])


class _Camera:
    """Takes screenshots of the page in the browser, in both themes."""

    def __init__(self, browser: Chrome, folder: Path) -> None:
        self._browser, self._folder = browser, folder

    def shoot(self, name: str, size: tuple[int, int | None]) -> None:
        """Writes ``name-light.webp`` and ``name-dark.webp`` of a size in pixels; without a height, of the
        whole page."""
        for theme in ("light", "dark"):
            width, height = size
            self._look(width, height or 1000, theme)
            if height is None:
                height = self._browser.execute_script("return document.documentElement.scrollHeight")
            clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
            command = {"clip": clip, "captureBeyondViewport": True}
            shot = self._browser.execute_cdp_cmd("Page.captureScreenshot", command)
            with Image.open(io.BytesIO(base64.b64decode(shot["data"]))) as image:
                image.convert("RGB").save(self._folder / f"{name}-{theme}.webp", quality=88, method=6)

    def _look(self, width: int, height: int, theme: str) -> None:
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self._browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        features = [
            {"name": "prefers-color-scheme", "value": theme},
            {"name": "prefers-reduced-motion", "value": "reduce"},
        ]
        self._browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        self._browser.execute_async_script("""
            const done = arguments[0];
            Promise.all([...document.images].filter((i) => i.src && i.offsetParent).map((i) => i.decode()))
              .then(() => requestAnimationFrame(() => requestAnimationFrame(done)));""")


def _sheet(report: Path) -> Image.Image:
    """Returns the sheet of ``make demo`` from a report on the same picture."""
    return demo.side_by_side([demo.original(load_rgb(SAMPLE)), *demo.entries_of(report)])


@contextmanager
def _browser() -> Iterator[Chrome]:
    options = ChromeOptions()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        for flag in (*_FLAGS, f"user-data-dir={profile}"):
            options.add_argument(f"--{flag}")
        with Chrome(options=options, service=Service(shutil.which("chromedriver"))) as browser:
            yield browser


@contextmanager
def _served() -> Iterator[str]:
    """Yields the address of ``calotype serve``."""
    command = [sys.executable, "-m", "calotype", "serve", "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        try:
            assert server.stderr is not None
            yield server.stderr.readline().split()[1]
        finally:
            server.terminate()


def _run(*arguments: object) -> None:
    subprocess.run([sys.executable, "-m", "calotype", *map(str, arguments)], check=True)


if __name__ == "__main__":
    main()
