"""The browser's decoder in real browsers, with a strict policy and without isolation from other origins."""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

pytest.importorskip("selenium", reason="needs pip install 'calotype[test]'")

import calotype
from scripts.browsers import MISSING, PATIENCE, Browser, Handler, opened_browser, opened_firefox, served

ROOT = Path(__file__).parents[2]
SUITE: dict[str, Any] = json.loads((ROOT / "conformance" / "suite.json").read_text("utf-8"))
FILES = {case["name"]: ROOT / case["file"] for case in SUITE["files"]}
AXE = os.environ.get("CALOTYPE_AXE")  # axe.min.js of the npm package axe-core
PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Pictures</title>
{head}<script type="module" src="calotype-auto.js"></script><main><h1>Pictures</h1>{body}</main></html>"""
TRUSTED = """<meta http-equiv="Content-Security-Policy"
content="require-trusted-types-for 'script'; trusted-types calotype">"""

pytestmark = pytest.mark.slow  # 20 seconds together in each browser


def strips() -> dict[str, NDArray[np.uint8]]:
    """Pictures that are wider and higher than a tile of the network, and than a part of a tile."""
    values = np.random.default_rng(1).integers(0, 256, (4, 130, 3), np.uint8)
    wide = np.asarray(Image.fromarray(values).resize((1040, 32), Image.Resampling.BICUBIC))
    return {"wide": wide, "high": np.ascontiguousarray(wide.transpose(1, 0, 2)[:528])}


@pytest.fixture(scope="session")
def site(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the decoder, the files of the suite, and a page."""
    folder = tmp_path_factory.mktemp("site")
    for path in built.iterdir():
        if path.is_file():
            shutil.copy(path, folder)
    for name, path in FILES.items():
        shutil.copy(path, folder / f"{name}.calo")
    shutil.copytree(ROOT / "conformance" / "hostile", folder / "hostile")
    for name, rgb in strips().items():
        (folder / f"{name}.calo").write_bytes(calotype.encode(rgb, quality=30, effort=1))
    (folder / "index.html").write_text(PAGE.format(head="", body=""), "utf-8")
    return folder


@pytest.fixture(scope="module", params=list(MISSING))
def browser(
    site: Path, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Browser]:
    if MISSING[request.param]:
        pytest.skip(MISSING[request.param])
    opened = opened_browser if request.param == "chromium" else opened_firefox
    with served(site) as address, opened(tmp_path_factory.mktemp("profile")) as browser:
        browser.get(address + "/index.html")
        yield browser


def pixels(browser: Browser, file: str, network: str) -> NDArray[np.uint8]:
    """RGBA of a file of the site, by ``decode``."""
    width, height, data = browser.execute_async_script(
        """const [file, network, done] = arguments;
        (async () => {
          const { decode } = await import("/calotype.js");
          const image = await decode(await (await fetch(file)).arrayBuffer(), { network });
          return [image.width, image.height, [...image.data]];
        })().then(done, (error) => done([0, 0, String(error)]));""",
        file,
        network,
    )
    assert width, data
    return np.array(data, np.uint8).reshape(height, width, 4)


@pytest.mark.parametrize("case", SUITE["files"], ids=lambda case: case["name"])
def test_pixels_of_the_conformance_suite(browser: Browser, case: dict[str, Any]) -> None:
    assert browser.execute_script("return crossOriginIsolated") is False
    tolerance = case.get("tolerance", SUITE["tolerance"])
    for network, picture in case["pixels"].items():
        decoded = pixels(browser, f"/{case['name']}.calo", network)
        with Image.open(ROOT / "conformance" / picture) as image:
            difference = decoded.astype(float) - np.asarray(image)
        assert np.abs(difference).max() <= tolerance["peak"], network
        assert np.sqrt((difference**2).mean()) <= tolerance["rmse"]
        assert not difference[..., 3].any()


def test_hostile_files_give_their_error(browser: Browser) -> None:
    names = [case["name"] for case in SUITE["hostile"]]
    answer = browser.execute_async_script(
        """const [names, maxPixels, done] = arguments;
        (async () => {
          const { decode } = await import("/calotype.js");
          const found = [];
          for (const name of names) {
            const data = await (await fetch(`/hostile/${name}.calo`)).arrayBuffer();
            for (const strict of [false, true]) {
              const decoded = decode(data, { network: "tiny", limits: { maxPixels }, strict });
              found.push(await decoded.then(() => null, (error) => error.code));
            }
          }
          return found;
        })().then(done, (error) => done(String(error)));""",
        names,
        SUITE["limits"]["max_pixels"],
    )
    expected = [(case["name"], case["error"], case["strict"]) for case in SUITE["hostile"]]
    assert list(zip(names, answer[::2], answer[1::2], strict=True)) == expected


def until(browser: Browser, script: str, *arguments: object) -> Any:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if value := browser.execute_script(script, *arguments):
            return value
        time.sleep(0.05)
    raise AssertionError(f"never true: {script}; {logged(browser)}")


def logged(browser: Browser) -> list[Any]:
    """What the browser complained of, where it tells."""
    return list(browser.get_log("browser")) if hasattr(browser, "get_log") else []


def visit(browser: Browser, site: Path, body: str, head: str = "") -> None:
    (site / "page.html").write_text(PAGE.format(head=head, body=body), "utf-8")
    browser.get(browser.execute_script("return location.origin") + "/page.html")


def test_elements_are_replaced_now_and_later(browser: Browser, site: Path) -> None:
    visit(
        browser,
        site,
        """<img id="a" class="big" src="rgb-24x24.calo?v=1" alt="A person" width="96" height="96">
        <picture><source type="image/x-calotype" srcset="coarse-105x70.calo">
        <img id="b" alt="Hair" src="data:,"></picture>
        <img id="c" src="data:," alt="another picture">""",
        TRUSTED,
    )
    until(
        browser,
        "return [...document.querySelectorAll('calo-img')].filter((e) => e.naturalWidth).length === 2",
    )
    assert browser.execute_script("return document.querySelector('img').id") == "c"
    shape = """const each = document.getElementById(arguments[0]);
        return [each.localName, each.className, each.alt, each.naturalWidth, each.offsetWidth];"""
    assert browser.execute_script(shape, "a") == ["calo-img", "big", "A person", 24, 96]
    assert browser.execute_script(shape, "b") == ["calo-img", "", "Hair", 105, 105]
    browser.execute_script("""
        const image = new Image();
        Object.assign(image, { id: "d", alt: "later", src: "grey-17x9.calo" });
        document.querySelector("main").append(image);
        document.getElementById("c").src = "one-pixel.calo";""")
    until(browser, "return document.getElementById('d').naturalWidth === 17")
    until(browser, "return document.getElementById('c').naturalWidth === 1")
    if AXE is not None and hasattr(browser, "execute_cdp_cmd"):
        logged(browser)
        browser.execute_cdp_cmd("Page.setBypassCSP", {"enabled": True})
        browser.execute_script(Path(AXE).read_text(encoding="utf-8"))
        violations = browser.execute_async_script("""
            axe.run().then(({ violations }) =>
              arguments[0](violations.map(({ id, nodes }) => `${id}: ${nodes[0].html}`)));""")
        assert violations == []


def test_a_broken_file_shows_its_text_and_tells_why(browser: Browser, site: Path) -> None:
    visit(browser, site, "")
    answer = browser.execute_async_script("""
        const done = arguments[0];
        import("/calotype.js").then(({ CaloImage, defineElement }) => {
          defineElement();
          const image = new CaloImage();
          image.alt = "A person who waves";
          const text = image.shadowRoot.querySelector("span");
          image.addEventListener("error", ({ detail: { code } }) =>
            done([code, image.complete, image.naturalWidth, text.checkVisibility(), text.textContent]));
          image.src = "hostile/checksum-bit.calo";
          document.querySelector("main").append(image);
        });""")
    assert answer == ["ChecksumError", True, 0, True, "A person who waves"]


def test_a_lazy_picture_waits_until_it_is_near(browser: Browser, site: Path) -> None:
    (site / "page.css").write_text("p { height: 5000px }", "utf-8")
    visit(
        browser,
        site,
        """<link rel="stylesheet" href="page.css"><p>far</p>
        <calo-img src="rgb-24x24.calo" alt="far" loading="lazy" network="tiny"></calo-img>""",
    )
    until(browser, "return !!customElements.get('calo-img')")
    time.sleep(0.3)
    far = "performance.getEntriesByType('resource').some(({ name }) => name.endsWith('rgb-24x24.calo'))"
    assert not browser.execute_script(f"return {far}")
    browser.execute_script("document.querySelector('calo-img').scrollIntoView()")
    until(browser, "return document.querySelector('calo-img').naturalWidth === 24")


def test_a_slow_file_shows_its_beginning(browser: Browser, site: Path) -> None:
    Handler.released.clear()
    visit(browser, site, "")
    browser.execute_script("""
        window.told = [];
        import("/calotype.js").then(({ CaloImage, defineElement }) => {
          defineElement();
          const image = new CaloImage();
          for (const type of ["preview", "load", "error"])
            image.addEventListener(type, () => told.push(type));
          Object.assign(image, { alt: "slow", src: "/slow/coarse-105x70.calo" });
          document.querySelector("main").append(image);
        });""")
    until(browser, "return told.includes('preview')")
    size = "return document.querySelector('calo-img').shadowRoot.querySelector('canvas').width"
    assert browser.execute_script(size) == 105
    Handler.released.set()
    until(browser, "return told.includes('load')")
    told = browser.execute_script("return told")
    assert told[-1] == "load"
    assert set(told) == {"preview", "load"}


def test_a_thumbnail_is_shown_while_the_network_loads(browser: Browser, site: Path) -> None:
    Handler.weights_released.clear()
    visit(browser, site, "")
    try:
        browser.execute_script("""
            window.told = [];
            import("/calotype.js").then(({ CaloImage, defineElement }) => {
              defineElement();
              const image = new CaloImage();
              for (const type of ["preview", "load"]) image.addEventListener(type, () => told.push(type));
              Object.assign(image, { alt: "", src: "/coarse-105x70.calo" });
              document.querySelector("main").append(image);
            });""")
        until(browser, "return told.includes('preview')")
        assert browser.execute_script("return told") == ["preview"]
    finally:
        Handler.weights_released.set()
    until(browser, "return told.includes('load')")


def test_aborting_ends_the_work(browser: Browser, site: Path) -> None:
    visit(browser, site, "")
    answer = browser.execute_async_script("""
        const done = arguments[0];
        (async () => {
          const { decode } = await import("/calotype.js");
          const data = await (await fetch("/rgb-24x24.calo")).arrayBuffer();
          const controller = new AbortController();
          const aborted = decode(data, { signal: controller.signal });
          controller.abort();
          const name = await aborted.then(() => "", (error) => error.name);
          return [name, (await decode(data, { network: "tiny" })).width];
        })().then(done, (error) => done(String(error)));""")
    assert answer == ["AbortError", 24]


def test_a_service_worker_serves_plain_images(browser: Browser, site: Path) -> None:
    visit(browser, site, "")
    answer = browser.execute_async_script("""
        const done = arguments[0];
        (async () => {
          navigator.serviceWorker.register("/calotype-sw.js");
          if (!navigator.serviceWorker.controller)
            await new Promise((resolve) => (navigator.serviceWorker.oncontrollerchange = resolve));
          const image = new Image();
          image.src = "/rgb-24x24.calo?plain";
          await image.decode();
          for (const each of await navigator.serviceWorker.getRegistrations()) await each.unregister();
          return [image.naturalWidth, image.naturalHeight];
        })().then(done, (error) => done(String(error)));""")
    assert answer == [24, 24]


def test_the_page_stays_responsive_with_many_pictures(browser: Browser, site: Path) -> None:
    """No task of the main thread takes 50 ms, beyond what other processes delay an idle page at the time."""
    for _ in range(6):  # Timers are late where other processes take the cores.
        visit(browser, site, "")
        longest = browser.execute_async_script("""
            const done = arguments[0];
            (async () => {
              const { CaloImage, defineElement } = await import("/calotype.js");
              defineElement();
              let [longest, finished, last] = [0, false, performance.now()];
              const tick = () => {
                longest = Math.max(longest, performance.now() - last - 4);
                last = performance.now();
                if (!finished) setTimeout(tick, 4);
              };
              tick();
              await new Promise((resolve) => setTimeout(resolve, 500));
              const idle = longest;
              if (PerformanceObserver.supportedEntryTypes.includes("longtask")) {
                finished = true;
                new PerformanceObserver((list) => {
                  for (const { duration } of list.getEntries()) longest = Math.max(longest, duration);
                }).observe({ type: "longtask" });
              }
              const images = Array.from({ length: 50 }, (_, index) => {
                const image = new CaloImage();
                image.setAttribute("network", index < 4 ? "pocket" : "tiny");
                Object.assign(image, { alt: "", src: `coarse-105x70.calo?${index}` });
                document.querySelector("main").append(image);
                return image;
              });
              await Promise.all(images.map((image) => image.decode()));
              await new Promise((resolve) => setTimeout(resolve, 50));
              finished = true;
              return longest - idle;
            })().then(done, (error) => done(String(error)));""")
        assert isinstance(longest, (int, float)), longest
        if longest < 50:
            return
    raise AssertionError(f"a task of the main thread took {longest} ms")


def thumbnail(browser: Browser, file: str, reduce: int) -> NDArray[np.uint8]:
    """RGBA of a thumbnail of a file of the site."""
    width, height, data = browser.execute_async_script(
        """const [file, reduce, done] = arguments;
        (async () => {
          const { thumbnail } = await import("/calotype.js");
          const image = await thumbnail(await (await fetch(file)).arrayBuffer(), { reduce });
          return [image.width, image.height, [...image.data]];
        })().then(done, (error) => done([0, 0, String(error)]));""",
        file,
        reduce,
    )
    assert width, data
    return np.array(data, np.uint8).reshape(height, width, 4)


def test_thumbnails_are_those_of_the_python_decoder(browser: Browser) -> None:
    for name, path in FILES.items():
        for reduce in (8, 16):
            found = thumbnail(browser, f"/{name}.calo", reduce)
            expected = calotype.decode(path, reduce=reduce, keep_metadata=False).convert("RGBA")
            difference = found.astype(float) - np.asarray(expected)
            assert np.abs(difference).max() <= (3 if "patches" in name else 1), (name, reduce)


@pytest.mark.parametrize(("name", "size"), [("fine-64x64", 40), ("fine-64x64", 60), ("coarse-105x70", 40)])
@pytest.mark.filterwarnings("ignore:the picture is partial")
def test_beginnings_are_those_of_the_python_decoder(browser: Browser, name: str, size: int) -> None:
    answer = browser.execute_async_script(
        """const [file, size, done] = arguments;
        (async () => {
          const { decodePicture } = await import("/calotype.js");
          const data = (await (await fetch(file)).arrayBuffer()).slice(0, size);
          const { image, verified, arrived } = await decodePicture(data, { partial: true });
          return [verified, arrived, [...image.data]];
        })().then(done, (error) => done([true, String(error), []]));""",
        f"/{name}.calo",
        size,
    )
    verified, arrived, data = answer
    assert not verified, arrived
    case = next(each for each in SUITE["prefixes"] if (each["name"], each["bytes"]) == (name, size))
    shape = next(each["shape"] for each in SUITE["files"] if each["name"] == name)
    assert arrived == pytest.approx(case["arrived"] / np.prod(shape))
    expected = calotype.decode(FILES[name].read_bytes()[:size], partial=True).convert("RGBA")
    difference = np.array(data, float).reshape(expected.height, expected.width, 4) - np.asarray(expected)
    assert np.abs(difference).max() <= SUITE["tolerance"]["peak"]


def test_the_examples_of_the_documentation_run(browser: Browser, site: Path) -> None:
    text = (ROOT / "docs" / "web.md").read_text("utf-8")
    pages = re.findall(r"```html\n(.*?)```", text, re.DOTALL)
    script = re.search(r"```js\n(import .*?)```", text, re.DOTALL)
    assert len(pages) == 2
    assert script
    folder = site / "example"
    if not folder.exists():
        folder.mkdir()
        (site / "calotype").symlink_to(site, target_is_directory=True)
    for name in ("photo", "cat"):
        shutil.copy(FILES["rgb-24x24"], folder / f"{name}.calo")
    # The policy of the server forbids scripts within a page, so that they are moved to files.
    for number, page in enumerate(pages):
        inline = re.search(r'<script type="module">(.*?)</script>', page, re.DOTALL)
        if inline:
            (folder / "page.js").write_text(inline[1], "utf-8")
            page = page.replace(inline[0], '<script type="module" src="page.js"></script>')
        (folder / f"{number}.html").write_text(page, "utf-8")
        browser.get(browser.execute_script("return location.origin") + f"/example/{number}.html")
        shown = "[...document.querySelectorAll('calo-img')].filter((e) => e.naturalWidth === 24).length"
        until(browser, f"return {shown} === {2 - number}")
    code = re.sub(r"import (.*?) from (.*?);", r"const \1 = await import(\2);", script[1])
    drawn = browser.execute_async_script(
        f"""const done = arguments[0];
        const context = document.createElement("canvas").getContext("2d");
        (async () => {{ {code} return [...context.getImageData(0, 0, 24, 24).data].some(Boolean); }})()
          .then(done, (error) => done(String(error)));"""
    )
    assert drawn is True


def test_tiles_leave_no_seams(browser: Browser, site: Path) -> None:
    for name in strips():
        difference = pixels(browser, f"/{name}.calo", "pocket")[..., :3].astype(float)
        difference -= calotype.decode(site / f"{name}.calo", as_array=True)
        assert np.abs(difference).max() <= SUITE["tolerance"]["peak"], name
