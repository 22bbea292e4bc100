"""What the tests of the browser's decoder need: its build, node, and browsers with a page."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from scripts.browsers import Browser

ROOT = Path(__file__).parents[2]
DECODER = ROOT / "web-decoder"
OLDEST_NODE = (20, 12)
sys.path.insert(0, str(ROOT))


@pytest.fixture(scope="session")
def built() -> Path:
    """The folder of the built decoder."""
    dist = DECODER / "dist"
    if not (dist / "calotype.js").is_file():
        pytest.skip("the browser's decoder is not built: run make web, which needs Node 20.12 and npm")
    sources = [*(DECODER / "src").iterdir(), *(DECODER / "kernels").iterdir(), DECODER / "build.mjs"]
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(sources))).hexdigest()
    assert (dist / "sources.sha256").read_text("utf-8") == digest, (
        "sources changed after the build: run make web"
    )
    return dist


@pytest.fixture(scope="session")
def node(built: Path) -> str:
    command = shutil.which("node")
    if command is None:
        pytest.skip("needs node: apt-get install nodejs")
    said = subprocess.run([command, "--version"], capture_output=True, text=True).stdout
    version = tuple(int(number) for number in re.findall(r"\d+", said)[:2])
    if version < OLDEST_NODE:
        pytest.skip(f"needs Node 20.12 or newer, not {said.strip()}")
    return command


@pytest.fixture(scope="session")
def site(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the decoder, the files of the suite, and a page."""
    from browser_site import FILES, PAGE, strips

    import calotype

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


@pytest.fixture(scope="session", params=["chromium", "firefox"])
def browser(
    site: Path, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Browser]:
    """Each browser, with the page of :func:`site`."""
    from scripts.browsers import MISSING, opened_browser, opened_firefox, served

    if MISSING[request.param]:
        pytest.skip(MISSING[request.param])
    opened = opened_browser if request.param == "chromium" else opened_firefox
    with served(site) as address, opened(tmp_path_factory.mktemp("profile")) as browser:
        browser.get(address + "/index.html")
        yield browser
