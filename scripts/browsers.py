"""Drives real browsers, for tests and benchmarks: headless Chromium through chromedriver, and Firefox."""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Protocol

from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from websocket import create_connection  # Selenium needs it, too

__all__ = [
    "MISSING",
    "PATIENCE",
    "Browser",
    "Firefox",
    "Handler",
    "opened_browser",
    "opened_firefox",
    "served",
]

CHROMIUM = shutil.which("chromium")
CHROMEDRIVER = shutil.which("chromedriver")
FIREFOX = shutil.which("firefox-esr") or shutil.which("firefox")
MISSING = {
    "chromium": None
    if CHROMIUM and CHROMEDRIVER
    else "needs a browser: apt-get install chromium chromium-driver",
    "firefox": None if FIREFOX else "needs Firefox: apt-get install firefox-esr",
}
"""The reasons why browsers cannot be used here, by name; None for a browser that can."""
PATIENCE = 60
"""The time in seconds after which waiting for a browser fails."""
POLICY = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; connect-src 'self'; img-src 'self' data:;"
    " style-src 'self'"
)
SLOW_PIECE = 30
"""The number of bytes of a ``/slow/`` file that are sent before the pause."""
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--enable-unsafe-webgpu",
    "--use-webgpu-adapter=swiftshader",  # WebGPU on the processor
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)


class Handler(SimpleHTTPRequestHandler):
    """A file server that knows nothing of .calo files; files below ``/slow/`` pause until they are
    released.
    """

    released = threading.Event()
    weights_released = threading.Event()
    weights_released.set()

    def do_GET(self) -> None:
        if self.path.endswith("-decoder.onnx.gz"):
            self.weights_released.wait(60)
        if not self.path.startswith("/slow/"):
            super().do_GET()
            return
        data = Path(self.translate_path(self.path.removeprefix("/slow"))).read_bytes()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data[:SLOW_PIECE])
        self.wfile.flush()
        self.released.wait(60)
        self.wfile.write(data[SLOW_PIECE:])

    def end_headers(self) -> None:
        self.send_header("Content-Security-Policy", POLICY)
        self.send_header("Cache-Control", "no-store")
        super().end_headers()

    def log_message(self, format: str, *arguments: object) -> None:
        """Logs nothing."""


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Yields the address of a server of ``folder``."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        Handler.released.set()
        server.shutdown()
        server.server_close()


class Browser(Protocol):
    """The operations of a browser that tests use, with the names of Selenium."""

    def get(self, url: str) -> None: ...

    def execute_script(self, script: str, *arguments: object) -> Any: ...

    def execute_async_script(self, script: str, *arguments: object) -> Any: ...


class Firefox:
    """Firefox through WebDriver BiDi, without geckodriver, which Selenium needs and Debian lacks."""

    def __init__(self, profile: Path) -> None:
        profile.mkdir(exist_ok=True)
        self._process = subprocess.Popen(
            [
                FIREFOX or "",
                "--headless",
                "--remote-debugging-port=0",
                "--no-remote",
                "--profile",
                str(profile),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        place, end = profile / "WebDriverBiDiServer.json", time.monotonic() + PATIENCE
        while not (place.is_file() and place.read_text("utf-8").endswith("}")):
            assert time.monotonic() < end, "Firefox does not start"
            time.sleep(0.05)
        server = json.loads(place.read_text("utf-8"))
        address = f"ws://{server['ws_host']}:{server['ws_port']}/session"
        self._socket = create_connection(address, timeout=2 * PATIENCE, suppress_origin=True)
        self._count = 0
        self._ask("session.new", capabilities={})
        self._context = self._ask("browsingContext.getTree")["contexts"][0]["context"]

    def get(self, url: str) -> None:
        self._ask("browsingContext.navigate", context=self._context, url=url, wait="complete")

    def execute_script(self, script: str, *arguments: object) -> Any:
        return self._called(f"function () {{ {script} }}", "work.apply(null, given)", arguments)

    def execute_async_script(self, script: str, *arguments: object) -> Any:
        work = "new Promise((done) => work.call(null, ...given, done))"
        return self._called(f"function () {{ {script} }}", work, arguments)

    def quit(self) -> None:
        self._socket.close()
        self._process.terminate()
        self._process.wait(PATIENCE)

    def _called(self, work: str, call: str, arguments: tuple[object, ...]) -> Any:
        """Calls the function ``work`` in the page; arguments and result pass as JSON."""
        code = f"""async (json) => {{
            const [work, given] = [{work}, JSON.parse(json)];
            return JSON.stringify((await {call}) ?? null);
        }}"""
        result = self._ask(
            "script.callFunction",
            functionDeclaration=code,
            awaitPromise=True,
            target={"context": self._context},
            arguments=[{"type": "string", "value": json.dumps(arguments)}],
        )
        assert result["type"] == "success", result["exceptionDetails"]["text"]
        return json.loads(result["result"]["value"])

    def _ask(self, method: str, **parameters: object) -> Any:
        self._count += 1
        self._socket.send(json.dumps({"id": self._count, "method": method, "params": parameters}))
        while (answer := json.loads(self._socket.recv())).get("id") != self._count:
            pass  # Events are ignored.
        assert answer["type"] == "success", answer
        return answer["result"]


@contextmanager
def opened_firefox(profile: Path) -> Iterator[Firefox]:
    browser = Firefox(profile)
    try:
        yield browser
    finally:
        browser.quit()


@contextmanager
def opened_browser(profile: Path) -> Iterator[Chrome]:
    options = ChromeOptions()
    options.binary_location = CHROMIUM or ""
    for flag in (*FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    browser = Chrome(options=options, service=Service(CHROMEDRIVER))
    browser.set_script_timeout(120)
    try:
        yield browser
    finally:
        browser.quit()
