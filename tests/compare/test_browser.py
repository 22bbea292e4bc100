"""The pages in a real browser, opened from disk: their controls and their accessibility."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

selenium = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
from selenium.webdriver.chrome.service import Service  # noqa: E402
from selenium.webdriver.common.action_chains import ActionChains  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402
from selenium.webdriver.support.ui import WebDriverWait  # noqa: E402

from calotype.browser import is_built  # noqa: E402

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(
    not (CHROMIUM and DRIVER),
    reason="Chromium and its driver are not installed (apt: chromium chromium-driver)",
)

ROOT = Path(__file__).resolve().parents[2]
AXE = Path(os.environ.get("CALOTYPE_AXE", ROOT / "node_modules" / "axe-core" / "axe.min.js"))
QUIET = (
    "headless=new no-sandbox disable-gpu disable-quic no-first-run disable-background-networking"
    " disable-component-update disable-sync force-device-scale-factor=1 hide-scrollbars"
    # Without an adapter Chromium warns in the console: this one computes on the processor.
    " enable-unsafe-webgpu use-webgpu-adapter=swiftshader"
)
Driver = Any
Show = Callable[..., Driver]


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Driver]:
    options = selenium.ChromeOptions()
    options.binary_location = CHROMIUM or ""
    for argument in QUIET.split():
        options.add_argument(f"--{argument}")
    options.add_argument(f"--user-data-dir={tmp_path_factory.mktemp('profile')}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = selenium.Chrome(options=options, service=Service(DRIVER))
    yield driver
    driver.quit()


@pytest.fixture
def show(driver: Driver) -> Iterator[Show]:
    """Opens a page at a width, in a theme; in the end, nothing may have been complained of or fetched."""

    def show(folder: Path, *, width: int = 1200, dark: bool = False) -> Driver:
        theme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [theme]})
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        driver.get("about:blank")
        driver.get_log("performance")
        driver.get((folder / "index.html").as_uri())
        return driver

    yield show
    assert driver.get_log("browser") == []
    for entry in driver.get_log("performance"):
        message = json.loads(entry["message"])["message"]
        if message["method"] == "Network.requestWillBeSent":
            assert message["params"]["request"]["url"].split(":")[0] in ("file", "data", "about", "blob")


@pytest.fixture
def page(show: Show, report: tuple[Path, object]) -> Driver:
    return show(report[0])


def press(driver: Driver, name: str, value: str) -> None:
    driver.execute_script(f"document.querySelector('input[name={name}][value=\"{value}\"]').click()")


def control(driver: Driver, name: str) -> Any:
    return driver.find_element(By.CSS_SELECTOR, f"[data-control={name}]")


def pictures(driver: Driver) -> list[Any]:
    return list(driver.find_elements(By.CSS_SELECTOR, ".panes img"))


def loaded(driver: Driver) -> bool:
    script = (
        "return [...document.querySelectorAll('.panes img')].every(i => i.complete && i.naturalWidth > 0)"
    )
    return bool(WebDriverWait(driver, 10).until(lambda d: d.execute_script(script)))


def position(driver: Driver) -> dict[str, float]:
    style = "return getComputedStyle(document.querySelector('.stage'))"
    return {
        name: float(driver.execute_script(f"{style}.getPropertyValue('--{name}')"))
        for name in ("x", "y", "zoom")
    }


def test_pictures_load_from_disk(page: Driver) -> None:
    assert loaded(page)
    original, decoded = (image.get_attribute("alt") for image in pictures(page))
    assert original == "a <b> & 'c', the original"
    assert decoded.startswith("a <b> & 'c', as Calotype tiny decodes it from ")
    press(page, "view", "grid")
    assert loaded(page)
    labels = [label.text for label in page.find_elements(By.CSS_SELECTOR, "figcaption b")]
    assert labels == [
        "Original",
        "Calotype tiny",
        "JPEG",
        "WebP",
        "2022 recipe",
        "Latents of Calotype tiny",
        "Latents of 2022 recipe",
    ]


@pytest.mark.slow  # 4 seconds
@pytest.mark.skipif(not is_built(), reason="the browser's decoder is not built: run make web")
def test_a_file_is_opened_and_decoded_here(page: Driver, report: tuple[Path, object], tmp_path: Path) -> None:
    files = sorted((report[0] / "pictures").glob("01-*/*.calo"))
    status = page.find_element(By.CSS_SELECTOR, "[data-opened]")

    def open_file(file: Path, said: str) -> None:
        page.find_element(By.CSS_SELECTOR, "[data-open]").send_keys(str(file))
        WebDriverWait(page, 60).until(lambda _: said in status.text)

    open_file(files[0], "decoded by this browser")
    assert loaded(page)
    label = page.find_elements(By.CSS_SELECTOR, "figcaption b")[1].text
    assert label == files[0].name
    press(page, "view", "grid")
    assert loaded(page)
    assert len(page.find_elements(By.CSS_SELECTOR, ".panes figure")) == 8
    press(page, "picture", "1")  # another picture has columns of its own
    assert len(page.find_elements(By.CSS_SELECTOR, ".panes figure")) == 7
    open_file(files[0], "and this picture 177 × 190")
    broken = tmp_path / "broken.calo"
    broken.write_bytes(files[0].read_bytes()[:-3])
    open_file(broken, "ends")


def test_captions_show_the_bytes_of_the_chosen_size(page: Driver) -> None:
    press(page, "view", "grid")
    for number, size in enumerate((3000, 1000)):
        press(page, "size", str(number))
        note = page.find_elements(By.CSS_SELECTOR, "figcaption small")[1].text
        assert int(note.split(" bytes")[0].replace(",", "")) <= size
    assert "its smallest" in page.find_elements(By.CSS_SELECTOR, "figcaption small")[2].text


def test_a_button_marks_what_is_uncertain_in_our_picture_only(page: Driver) -> None:
    button, about = control(page, "marks"), page.find_element(By.ID, "marks-about")
    assert (button.get_attribute("aria-pressed"), about.is_displayed()) == ("false", False)
    plain = [image.get_attribute("src") for image in pictures(page)]
    button.send_keys(Keys.SPACE)
    assert (button.get_attribute("aria-pressed"), about.is_displayed()) == ("true", True)
    assert loaded(page)
    original, marked = pictures(page)
    assert original.get_attribute("src") == plain[0]
    assert marked.get_attribute("src") == plain[1].replace(".png", "-marked.png")
    assert marked.get_attribute("alt").endswith(", with stripes where it is uncertain")
    for view in ("grid", "difference"):
        press(page, "view", view)
        shown = [image.get_attribute("src").endswith("-marked.png") for image in pictures(page)]
        assert shown == [False, True] + [False] * (len(shown) - 2)
    button.click()
    assert button.get_attribute("aria-pressed") == "false"
    assert not any("marked" in image.get_attribute("src") for image in pictures(page))


def test_the_divider_obeys_the_keyboard(page: Driver) -> None:
    divider = page.find_element(By.CSS_SELECTOR, "[role=slider]")
    assert divider.get_attribute("aria-valuenow") == "50"
    divider.send_keys(Keys.ARROW_RIGHT)
    assert divider.get_attribute("aria-valuenow") == "52"
    divider.send_keys(Keys.PAGE_DOWN)
    assert divider.get_attribute("aria-valuenow") == "42"
    divider.send_keys(Keys.HOME)
    assert divider.get_attribute("aria-valuenow") == "0"
    clip = "return getComputedStyle(document.querySelector('.pane:last-of-type .window')).clipPath"
    assert page.execute_script(clip) in ("inset(0px)", "inset(0px 0px 0px 0%)")
    divider.send_keys(Keys.END)
    assert page.execute_script(clip) == "inset(0px 0px 0px 100%)"


def test_the_divider_can_be_dragged_between_any_two_columns(page: Driver) -> None:
    for side, label in (("left", "JPEG"), ("right", "Latents of Calotype tiny")):
        control(page, side).send_keys(label)
    divider = page.find_element(By.CSS_SELECTOR, "[role=slider]")
    assert (
        divider.get_attribute("aria-label")
        == "Divider: JPEG on its left, Latents of Calotype tiny on its right"
    )
    window = page.find_element(By.CSS_SELECTOR, ".window").size["width"]
    ActionChains(page).click_and_hold(divider).move_by_offset(window // 4, 0).release().perform()
    assert abs(int(divider.get_attribute("aria-valuenow")) - 75) <= 1
    control(page, "swap").click()
    assert control(page, "left").get_attribute("value") == "calotype-tiny-latents"


def test_all_pictures_zoom_and_pan_as_one(page: Driver) -> None:
    press(page, "view", "grid")
    assert position(page) == {"x": 0, "y": 0, "zoom": 1}
    control(page, "closer").click()
    control(page, "closer").click()
    assert position(page)["zoom"] == pytest.approx(2.25)
    moves = (
        "return [...document.querySelectorAll('.panes img')].map(i =>"
        " getComputedStyle(i).transform.replace(/[.]\\d+/g, ''))"  # to whole pixels
    )
    assert len(set(page.execute_script(moves))) == 1
    before = position(page)
    first = page.find_element(By.CSS_SELECTOR, ".window")
    ActionChains(page).click_and_hold(first).move_by_offset(30, 20).release().perform()
    after = position(page)
    assert after["x"] == pytest.approx(before["x"] + 30 / first.size["width"], abs=0.01)
    assert len(set(page.execute_script(moves))) == 1
    stage = page.find_element(By.CSS_SELECTOR, ".stage")
    stage.send_keys(Keys.ARROW_RIGHT)
    assert position(page)["x"] == pytest.approx(after["x"] - 0.1)
    stage.send_keys("0")
    assert position(page) == {"x": 0, "y": 0, "zoom": 1}
    stage.send_keys("1")
    press(page, "view", "divider")
    assert position(page)["zoom"] >= 1


def test_the_difference_of_a_picture_with_itself_is_black(page: Driver, tmp_path: Path) -> None:
    import io

    import numpy as np
    from PIL import Image

    def brightest() -> int:
        assert loaded(page)
        shot = page.find_element(By.CSS_SELECTOR, ".window").screenshot_as_png
        with Image.open(io.BytesIO(shot)) as image:
            return int(np.asarray(image.convert("RGB"))[20:-20, 20:-20].max())

    press(page, "view", "difference")
    assert brightest() > 60
    control(page, "right").send_keys("Original")
    assert brightest() == 0


def test_a_click_on_a_heading_sorts_the_table(page: Driver) -> None:
    table = page.find_element(By.CSS_SELECTOR, "table.sortable")

    def column(number: int) -> list[float]:
        cells = table.find_elements(By.CSS_SELECTOR, f"tbody tr > :nth-child({number})")
        return [float(cell.get_attribute("data-value")) for cell in cells]

    button = table.find_elements(By.CSS_SELECTOR, "thead button")[2]
    button.send_keys(Keys.ENTER)
    assert column(3) == sorted(column(3))
    button.send_keys(Keys.ENTER)
    assert column(3) == sorted(column(3), reverse=True)
    assert table.find_elements(By.CSS_SELECTOR, "th")[2].get_attribute("aria-sort") == "descending"


def test_another_picture_brings_its_own_shape_and_table(page: Driver) -> None:
    press(page, "picture", "1")
    assert loaded(page)
    box = page.find_element(By.CSS_SELECTOR, ".window").size
    assert box["width"] / box["height"] == pytest.approx(177 / 190, abs=0.01)
    shown = [part.is_displayed() for part in page.find_elements(By.CSS_SELECTOR, "[data-picture]")]
    assert shown == [False, True]


def test_the_theme_follows_the_system_until_it_is_chosen(show: Show, report: tuple[Path, object]) -> None:
    page = show(report[0], dark=True)
    paper = "return getComputedStyle(document.documentElement).backgroundColor"
    dark = page.execute_script(paper)
    page.find_element(By.ID, "theme").click()
    assert page.execute_script(paper) != dark
    assert page.find_element(By.ID, "theme").text == "Dark"
    page.refresh()
    assert page.execute_script(paper) != dark
    page.execute_script("localStorage.clear()")


@pytest.mark.parametrize("width", [360, 390, 768])
def test_nothing_sticks_out_on_narrow_screens(
    show: Show, report: tuple[Path, object], stages_page: Path, width: int
) -> None:
    for folder in (report[0], stages_page):
        page = show(folder, width=width)
        assert page.execute_script("return document.documentElement.scrollWidth") <= width


def test_the_heat_map_can_be_seen_through(show: Show, stages_page: Path) -> None:
    page = show(stages_page)
    heat = page.find_element(By.ID, "heat")
    heat.send_keys(Keys.HOME)
    opacity = "return getComputedStyle(document.querySelector('.overlay img + img')).opacity"
    assert page.execute_script(opacity) == "0"


@pytest.mark.skipif(not AXE.is_file(), reason="axe-core is not installed (npm install --no-save axe-core)")
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1200, 390])
def test_the_pages_are_accessible(
    show: Show, report: tuple[Path, object], stages_page: Path, dark: bool, width: int
) -> None:
    for folder, views in ((report[0], ("divider", "grid", "difference")), (stages_page, ("",))):
        page = show(folder, width=width, dark=dark)
        for view in views:
            if view:
                press(page, "view", view)
            page.execute_script(AXE.read_text("utf-8"))
            axe_report = page.execute_async_script("axe.run().then(arguments[arguments.length - 1])")
            violations = [
                (v["id"], [node["html"][:160] for node in v["nodes"]]) for v in axe_report["violations"]
            ]
            assert violations == []
