"""The page in a real browser: headless Chromium, driven through chromedriver."""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx2 as httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select, WebDriverWait
from web_samples import picture, running_server

import calotype
from calotype.browser import is_built

CHROMIUM = shutil.which("chromium")
CHROMEDRIVER = shutil.which("chromedriver")
AXE = os.environ.get("CALOTYPE_AXE")  # axe.min.js of the npm package axe-core
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    # Without an adapter Chromium warns in the console: this one computes on the processor.
    "--enable-unsafe-webgpu",
    "--use-webgpu-adapter=swiftshader",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
PATIENCE = 60
DESKTOP, PHONE = (1200, 1100), (390, 844)

pytestmark = pytest.mark.skipif(
    not (CHROMIUM and CHROMEDRIVER), reason="needs a browser: apt-get install chromium chromium-driver"
)


class Page:
    """The operations of a visitor on the page."""

    def __init__(self, browser: Chrome, address: str, downloads: Path) -> None:
        self.browser, self.address, self.downloads = browser, address, downloads

    def __getitem__(self, id: str):  # type: ignore[no-untyped-def]
        return self.browser.find_element(By.ID, id)

    def visit(self, path: str = "/") -> None:
        self.browser.get(self.address + path)

    def until(self, condition, what: str) -> None:  # type: ignore[no-untyped-def]
        WebDriverWait(self.browser, PATIENCE, 0.1).until(lambda _: condition(), what)

    def open(self, file: Path, field: str = "file") -> None:
        self[field].send_keys(str(file))

    def until_done(self) -> None:
        self.until(lambda: self["status"].text.startswith("Done"), "the comparison never ended")

    def bytes_shown(self, name: str) -> int:
        text = self[f"tile-{name}"].find_element(By.CLASS_NAME, "bytes").text
        return int(text.split()[0].replace(",", ""))

    def pictures_drawn(self) -> list[tuple[int, int]]:
        """The sizes in pixels at which the browser has drawn the five pictures; (0, 0) for one it cannot."""
        script = """return [...document.querySelectorAll('.tile img')]
            .map((image) => image.complete ? [image.naturalWidth, image.naturalHeight] : [0, 0]);"""
        return [tuple(size) for size in self.browser.execute_script(script)]

    def drop(self, file: Path) -> None:
        """Lets go of a file over the page."""
        script = """
            const data = new DataTransfer();
            data.items.add(new File([new Uint8Array(arguments[0])], arguments[1]));
            for (const kind of ["dragenter", "dragover", "drop"])
              document.body.dispatchEvent(
                new DragEvent(kind, { dataTransfer: data, bubbles: true, cancelable: true }));"""
        self.browser.execute_script(script, list(file.read_bytes()), file.name)

    def downloaded(self, link: str) -> Path:
        target = self.downloads / self[link].get_attribute("download")
        self[link].click()
        self.until(target.exists, f"{target.name} was never saved")
        return target

    def asked(self, path: str) -> bool:
        """Whether the page has asked the server for ``path`` since it was opened."""
        script = "return performance.getEntriesByType('resource').map(({ name }) => new URL(name).pathname)"
        return path in self.browser.execute_script(script)

    def complaint(self) -> str:
        self.until(lambda: self["error"].is_displayed(), "there is no message")
        return str(self["error"].text)

    def look(self, size: tuple[int, int], theme: str) -> None:
        width, height = size
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": size == PHONE}
        self.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        features = [{"name": "prefers-color-scheme", "value": theme}]
        self.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with opened_page(tmp_path_factory) as page:
        yield page


@contextmanager
def opened_page(tmp_path_factory: pytest.TempPathFactory, lacking: Sequence[str] = ()) -> Iterator[Page]:
    downloads = tmp_path_factory.mktemp("downloads")
    options = ChromeOptions()
    options.binary_location = CHROMIUM or ""
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.add_experimental_option("prefs", {"download.default_directory": str(downloads)})
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    with running_server("--max-upload", "200000", lacking=lacking) as (address, _):
        browser = Chrome(options=options, service=Service(CHROMEDRIVER))
        try:
            yield Page(browser, address, downloads)
        finally:
            browser.quit()


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "ramp.png"
    path.write_bytes(picture(256, 192))
    return path


def is_decoded_picture(file: Path, expected: NDArray[np.uint8]) -> bool:
    """Whether a file shows what the Python package decodes; the browser's decoder may differ by one."""
    with Image.open(file) as image:
        difference = np.asarray(image.convert("RGB")).astype(int) - expected
    return int(np.abs(difference).max()) <= (1 if is_built() else 0)


def test_drop_move_the_slider_save_and_reopen(page: Page, photo: Path) -> None:
    page.visit()
    page.drop(photo)
    page.until_done()
    assert page.pictures_drawn() == [(256, 192)] * 5
    first = page.bytes_shown("calotype")
    for name in ("jpeg", "webp", "avif"):
        url = f"{page.address}/baselines/{name}?max_size={first}"
        answer = httpx.post(url, content=photo.read_bytes(), timeout=PATIENCE)
        assert page.bytes_shown(name) == len(answer.content) <= first

    page["size"].send_keys(Keys.END)
    page.until(lambda: not page["status"].text.startswith("Done"), "the slider did nothing")
    page.until_done()
    larger = page.bytes_shown("calotype")
    assert larger > first

    file = page.downloaded("save-calo")
    assert file.name == "ramp.calo"
    assert file.stat().st_size == larger
    assert calotype.read_info(file).width == 256
    png = page.downloaded("save-png")
    assert is_decoded_picture(png, calotype.decode(file, model="tiny", as_array=True))

    page.visit()
    page.open(file)
    page.until(lambda: page["status"].text.startswith("ramp.calo: 256 × 192"), "it does not open again")
    assert not page["tiles"].is_displayed()
    assert page.asked("/decode") != is_built()
    assert page.browser.get_log("browser") == []


def test_the_divider_moves_by_key_and_by_hand(page: Page, photo: Path) -> None:
    page.visit()
    page.open(photo)
    page.until_done()
    divider = page["divider"]

    def after(*keys: str) -> int:
        divider.send_keys(*keys)
        return int(divider.get_attribute("aria-valuenow"))

    assert after(Keys.ARROW_RIGHT) == 51
    assert after(Keys.ARROW_LEFT, Keys.ARROW_LEFT) == 49
    assert after(Keys.SHIFT, Keys.ARROW_RIGHT) == 59
    assert after(Keys.PAGE_DOWN) == 49
    assert after(Keys.HOME) == 0
    assert after(Keys.END) == 100
    page["stage"].click()  # in the middle
    assert abs(int(divider.get_attribute("aria-valuenow")) - 50) <= 1

    page["tile-avif"].click()
    assert Select(page["right"]).first_selected_option.text == "AVIF"
    Select(page["left"]).select_by_visible_text("JPEG")
    assert page["left-image"].get_attribute("alt") == "JPEG"
    assert page["right-image"].get_attribute("alt") == "AVIF"


def test_a_button_marks_what_is_uncertain(page: Page, tmp_path: Path) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (96, 128, 3), np.uint8)
    photo = tmp_path / "noise.png"
    Image.fromarray(noise).save(photo)
    page.visit()
    page.open(photo)
    page.until_done()
    page["size"].send_keys(Keys.END)  # a small file has no room for a map
    page.until(lambda: not page["status"].text.startswith("Done"), "the slider did nothing")
    page.until_done()
    button = page["marks"]
    assert button.get_attribute("aria-pressed") == "false"
    button.send_keys(Keys.SPACE)
    page.until(lambda: not page["status"].text.startswith("Done"), "the button did nothing")
    assert button.get_attribute("aria-pressed") == "true"
    page.until_done()
    file = page.downloaded("save-calo")
    assert calotype.read_info(file).fidelity is not None
    png = page.downloaded("save-png")
    assert is_decoded_picture(png, calotype.decode(file, model="tiny", overlay=True, as_array=True))
    assert not is_decoded_picture(png, calotype.decode(file, model="tiny", as_array=True))

    page.open(file, "another")  # marked still, as the button says
    page.until(lambda: page["status"].text.startswith("noise.calo: 128 × 96"), "it does not open again")
    first = page["right-image"].get_attribute("src")
    button.click()
    page.until(lambda: page["right-image"].get_attribute("src") != first, "the button did nothing")
    assert button.get_attribute("aria-pressed") == "false"
    assert page.browser.get_log("browser") == []


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("huge.png", bytes(200_001), "at most 200,000 bytes are allowed"),
        ("broken.png", picture(256, 192)[:300], "cannot be read"),
        ("notes.txt", b"no picture at all", "not an image"),
        ("broken.calo", b"no file of ours", "not a .calo file"),
    ],
)
def test_files_that_cannot_be_opened_give_a_clear_error(
    page: Page, tmp_path: Path, name: str, content: bytes, said: str
) -> None:
    file = tmp_path / name
    file.write_bytes(content)
    page.visit()
    page.open(file)
    assert said in page.complaint()


def test_the_server_decodes_where_the_browser_cannot(page: Page, tmp_path: Path) -> None:
    file = tmp_path / "ramp.calo"
    file.write_bytes(calotype.encode(io.BytesIO(picture(256, 192)), model="tiny"))
    page.visit()
    blocked = page.browser.execute_cdp_cmd
    blocked("Network.enable", {})
    blocked("Network.setBlockedURLs", {"urls": ["*/decoder/*"]})
    try:
        page.open(file)
        page.until(lambda: page["status"].text.startswith("ramp.calo: 256 × 192"), "it does not open")
        assert page.asked("/decode")
    finally:
        blocked("Network.setBlockedURLs", {"urls": []})
        page.browser.get_log("browser")  # the loading that was blocked


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_it_fits_and_is_accessible(page: Page, photo: Path, size: tuple[int, int], theme: str) -> None:
    page.look(size, theme)
    for path in ("/docs", "/"):
        page.visit(path)
        if path == "/":
            page.open(photo)
            page.until_done()
        assert page.browser.execute_script("return document.documentElement.scrollWidth <= innerWidth")
        if AXE is None:
            continue
        page.browser.execute_script(Path(AXE).read_text(encoding="utf-8"))
        violations = page.browser.execute_async_script("""
            axe.run().then(({ violations }) =>
              arguments[0](violations.map(({ id, nodes }) => `${id}: ${nodes[0].html}`)));""")
        assert violations == []
    if "CALOTYPE_SCREENSHOTS" in os.environ:
        folder = Path(os.environ["CALOTYPE_SCREENSHOTS"])
        page.browser.save_screenshot(str(folder / f"page-{size[0]}-{theme}.png"))


def test_codecs_that_the_server_lacks_are_not_offered(
    tmp_path_factory: pytest.TempPathFactory, photo: Path
) -> None:
    with opened_page(tmp_path_factory, lacking=["AVIF"]) as page:
        page.visit()
        page.open(photo)
        page.until_done()
        assert len(page.pictures_drawn()) == 4
        assert "AVIF" not in [option.text for option in Select(page["right"]).options]
        assert page.browser.get_log("browser") == []


def test_the_policy_lets_nothing_inline_run(page: Page) -> None:
    page.visit()
    ran = page.browser.execute_script("""
        const script = document.createElement("script");
        try { script.textContent = "window.ran = true"; document.head.append(script); } catch {}
        return window.ran === true;""")
    assert not ran
    page.browser.get_log("browser")  # the refusal is logged: this test's own doing
