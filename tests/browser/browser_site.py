"""A site with the decoder and the files of the conformance suite, and what tests do with its pages."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from scripts.browsers import PATIENCE, Browser

ROOT = Path(__file__).parents[2]
SUITE: dict[str, Any] = json.loads((ROOT / "conformance" / "suite.json").read_text("utf-8"))
FILES = {case["name"]: ROOT / case["file"] for case in SUITE["files"]}
PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Pictures</title>
{head}<script type="module" src="calotype-auto.js"></script><main><h1>Pictures</h1>{body}</main></html>"""


def strips() -> dict[str, NDArray[np.uint8]]:
    """Pictures that are wider and higher than a tile of the network, and than a part of a tile."""
    values = np.random.default_rng(1).integers(0, 256, (4, 130, 3), np.uint8)
    wide = np.asarray(Image.fromarray(values).resize((1040, 32), Image.Resampling.BICUBIC))
    return {"wide": wide, "high": np.ascontiguousarray(wide.transpose(1, 0, 2)[:528])}


def pixels(browser: Browser, file: str, network: str, backend: str = "auto") -> NDArray[np.uint8]:
    """RGBA of a file of the site; "auto" must not take a GPU that the processor imitates."""
    width, height, data, used = browser.execute_async_script(
        """const [file, network, wanted, done] = arguments;
        (async () => {
          const { decodePicture } = await import("/calotype.js");
          const data = await (await fetch(file)).arrayBuffer();
          const { image, backend } = await decodePicture(data, { network, backend: wanted });
          return [image.width, image.height, [...image.data], backend];
        })().then(done, (error) => done([0, 0, String(error), null]));""",
        file,
        network,
        backend,
    )
    assert width, data
    assert used == ("webgpu" if backend == "webgpu" else "wasm")
    return np.array(data, np.uint8).reshape(height, width, 4)


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
