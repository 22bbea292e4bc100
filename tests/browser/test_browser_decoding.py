"""Decoding in real browsers, with a strict policy and without isolation from other origins."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

pytest.importorskip("selenium", reason="needs pip install 'calotype[test]'")

from browser_site import FILES, ROOT, SUITE, pixels, strips, visit

import calotype
from scripts.browsers import Browser

pytestmark = pytest.mark.slow  # 10 seconds together in each browser


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


def test_tiles_leave_no_seams(browser: Browser, site: Path) -> None:
    for name in strips():
        difference = pixels(browser, f"/{name}.calo", "pocket")[..., :3].astype(float)
        difference -= calotype.decode(site / f"{name}.calo", as_array=True)
        assert np.abs(difference).max() <= SUITE["tolerance"]["peak"], name


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
