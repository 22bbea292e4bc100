"""Writes pictures of the page of ``calotype serve`` in both themes and at a phone's width.

    python -m scripts.page_pictures PHOTO FOLDER

Needs ``pip install 'calotype[web]' selenium`` and Debian's packages chromium and chromium-driver.
"""

from __future__ import annotations

import io
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

VIEWS = {"page": (1120, 1140), "page-phone": (390, 844)}


def main(photo: Path, folder: Path) -> None:
    """Encodes ``photo`` on the page and writes what the page looks like to ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "calotype", "serve", "--port", "0"]
    options = ChromeOptions()
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile,
        subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server,
    ):
        for flag in (
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
            f"--user-data-dir={profile}",
        ):
            options.add_argument(flag)
        try:
            address = server.stderr.readline().split()[1]
            with Chrome(options=options, service=Service("/usr/bin/chromedriver")) as browser:
                browser.get(address)
                browser.find_element(By.ID, "file").send_keys(str(photo.resolve()))
                WebDriverWait(browser, 120).until(
                    lambda _: browser.find_element(By.ID, "status").text.startswith("Done")
                )
                for name, size in VIEWS.items():
                    for theme in ("light", "dark"):
                        _look(browser, size, theme)
                        shot = Image.open(io.BytesIO(browser.get_screenshot_as_png())).convert("RGB")
                        shot.save(folder / f"{name}-{theme}.webp", quality=88, method=6)
        finally:
            server.terminate()


def _look(browser: Chrome, size: tuple[int, int], theme: str) -> None:
    metrics = {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": size[0] < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    features = [
        {"name": "prefers-color-scheme", "value": theme},
        {"name": "prefers-reduced-motion", "value": "reduce"},
    ]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    browser.execute_async_script("requestAnimationFrame(() => requestAnimationFrame(arguments[0]))")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
