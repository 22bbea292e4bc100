"""Pages with pictures in real browsers, with a strict policy and without isolation from other origins."""

from __future__ import annotations

import os
import re
import shutil
import time
from pathlib import Path

import pytest

pytest.importorskip("selenium", reason="needs pip install 'calotype[test]'")

from browser_site import FILES, ROOT, logged, until, visit

from scripts.browsers import Browser, Handler

AXE = os.environ.get("CALOTYPE_AXE")  # axe.min.js of the npm package axe-core
TRUSTED = """<meta http-equiv="Content-Security-Policy"
content="require-trusted-types-for 'script'; trusted-types calotype">"""

pytestmark = pytest.mark.slow  # 10 seconds together in each browser


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
    if AXE is not None:
        logged(browser)
        if hasattr(browser, "execute_cdp_cmd"):  # Firefox runs the scripts of tests beyond the page's policy.
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


IDLE = """let [longest, last] = [0, 0];
const tick = () => {
  longest = Math.max(longest, performance.now() - last - 4);
  last = performance.now();
  setTimeout(tick, 4);
};
onmessage = () => postMessage(longest);
setTimeout(() => { last = performance.now(); tick(); postMessage(0); }, 500);"""
"""A worker that measures how late its timer is, and tells the longest delay when it is asked."""


@pytest.mark.alone
def test_the_page_stays_responsive_with_many_pictures(browser: Browser, site: Path) -> None:
    """No task of the main thread takes 50 ms beyond what other processes delay an idle thread by."""
    (site / "idle.js").write_text(IDLE, "utf-8")
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
              // A thread that does nothing else is delayed by other processes alone.
              const idle = new Worker("/idle.js");
              await new Promise((resolve) => (idle.onmessage = resolve));
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
              idle.postMessage(0);
              const { data } = await new Promise((resolve) => (idle.onmessage = resolve));
              return longest - data;
            })().then(done, (error) => done(String(error)));""")
        assert isinstance(longest, (int, float)), longest
        if longest < 50:
            return
    raise AssertionError(f"a task of the main thread took {longest} ms")


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
