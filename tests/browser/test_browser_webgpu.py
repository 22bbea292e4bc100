"""The decoder network by WebGPU in Chromium, on an adapter that computes on the processor."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("selenium", reason="needs pip install 'calotype[test]'")

from browser_site import ROOT, SUITE, pixels, strips

import calotype
from scripts.browsers import Browser

pytestmark = pytest.mark.slow  # 20 seconds together: the processor is slow as a GPU
BY_LARGE_NETWORK = ("fine-64x64", "palette-70x50")
# A worker that takes its adapter for a GPU, which fails after a number of tiles.
PRETENCE = """Object.defineProperty(GPUAdapterInfo.prototype, "isFallbackAdapter", {{ value: false }});
const {{ requestDevice }} = GPUAdapter.prototype;
const {{ mapAsync }} = GPUBuffer.prototype;
let [device, tiles] = [null, 0];
GPUAdapter.prototype.requestDevice = async function () {{
  return (device = await requestDevice.call(this));
}};
GPUBuffer.prototype.mapAsync = function (mode) {{
  if (++tiles > {tiles}) device.destroy();
  return mapAsync.call(this, mode);
}};
"""


@pytest.fixture
def gpu_browser(browser: Browser) -> Browser:
    """A browser that has an adapter."""
    found = browser.execute_async_script(
        """const found = navigator.gpu?.requestAdapter() ?? Promise.resolve(null);
        found.then((adapter) => arguments[0](adapter !== null), () => arguments[0](false));"""
    )
    if not found:
        pytest.skip("needs a browser with WebGPU and an adapter, as Chromium with SwiftShader has")
    return browser


@pytest.mark.parametrize("case", SUITE["files"], ids=lambda case: case["name"])
def test_pixels_of_the_conformance_suite(gpu_browser: Browser, case: dict[str, Any]) -> None:
    tolerance = case.get("tolerance", SUITE["tolerance"])
    for network, picture in case["pixels"].items():
        if network != "tiny" and case["name"] not in BY_LARGE_NETWORK:
            continue
        decoded = pixels(gpu_browser, f"/{case['name']}.calo", network, "webgpu")
        with Image.open(ROOT / "conformance" / picture) as image:
            difference = decoded.astype(float) - np.asarray(image)
        assert np.abs(difference).max() <= tolerance["peak"], network
        assert np.sqrt((difference**2).mean()) <= tolerance["rmse"]
        assert not difference[..., 3].any()


def test_tiles_are_those_of_webassembly(gpu_browser: Browser) -> None:
    for name in strips():
        by_gpu, by_wasm = (pixels(gpu_browser, f"/{name}.calo", "tiny", each) for each in ("webgpu", "wasm"))
        assert np.abs(by_gpu.astype(int) - by_wasm).max() <= SUITE["tolerance"]["peak"], name


def backends(browser: Browser, site: Path, tiles: int, pictures: int) -> list[str]:
    """Decodes a picture where an adapter passes for a GPU that fails after ``tiles`` tiles.

    That is done until the GPU has decoded it, ``pictures`` times at most. The pixels must be those of
    WebAssembly each time. Returns what has decoded each.
    """
    folder = site / f"pretence-{tiles}"
    others = shutil.ignore_patterns("pretence-*", "hostile", "example", "calotype")
    shutil.copytree(site, folder, ignore=others)
    worker = folder / "calotype-worker.js"
    worker.write_text(PRETENCE.format(tiles=tiles) + worker.read_text("utf-8"), "utf-8")
    values = np.random.default_rng(2).integers(0, 256, (32, 32, 3), np.uint8)
    picture = Image.fromarray(values).resize((400, 400), Image.Resampling.BICUBIC)
    (folder / "square.calo").write_bytes(calotype.encode(picture, quality=20, effort=1))
    browser.get(browser.execute_script("return location.origin") + f"/{folder.name}/index.html")
    used = browser.execute_async_script(
        """const [count, done] = arguments;
        (async () => {
          const { decodePicture } = await import("./calotype.js");
          const data = await (await fetch("square.calo")).arrayBuffer();
          const expected = (await decodePicture(data, { network: "tiny", backend: "wasm" })).image.data;
          const used = [];
          for (let index = 0; index < count && used.at(-1) !== "webgpu"; index++) {
            const { image, backend } = await decodePicture(data, { network: "tiny" });
            const differs = (value, place) => Math.abs(value - expected[place]) > 1;
            if (image.data.some(differs)) throw Error(`picture ${index} of ${backend}`);
            used.push(backend);
            await new Promise((resolve) => setTimeout(resolve, 1000));
          }
          return used;
        })().then(done, (error) => done([String(error)]));""",
        pictures,
    )
    assert isinstance(used, list)
    return used


def test_an_adapter_that_passes_for_a_gpu_is_tried(gpu_browser: Browser, site: Path) -> None:
    *first, last = backends(gpu_browser, site, 1000, 20)
    assert set(first) == {"wasm"}
    assert last == "webgpu"


def test_a_lost_device_is_not_used_again(gpu_browser: Browser, site: Path) -> None:
    assert backends(gpu_browser, site, 1, 5) == ["wasm"] * 5
