"""Pictures to send, and servers to send them to."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
from PIL import Image
from starlette.testclient import TestClient

from calotype.web import Settings
from calotype.web.app import create_app

ADDRESS = "http://127.0.0.1"


def picture(width: int = 64, height: int = 48, format: str = "PNG", **parameters: object) -> bytes:
    """A picture file: a smooth colourful ramp."""
    y, x = np.mgrid[:height, :width]
    rgb = np.stack([255 * x // width, 255 * y // height, 128 + 0 * x], -1).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(rgb).save(file, format, **parameters)
    return file.getvalue()


@contextmanager
def client_of(**bounds: object) -> Iterator[TestClient]:
    settings = Settings(model="tiny", decoder="tiny", **bounds)  # type: ignore[arg-type]
    app = create_app(settings)
    with TestClient(app, base_url=ADDRESS, raise_server_exceptions=False) as client:
        yield client


@contextmanager
def running_server(*arguments: str, lacking: Sequence[str] = ()) -> Iterator[tuple[str, int]]:
    """(address, process id) of ``calotype serve`` on a free port, with a Pillow ``lacking`` some formats."""
    start = (
        "from PIL import Image; from calotype.cli import main; Image.init();"
        f" [Image.SAVE.pop(name) for name in {list(lacking)}]; raise SystemExit(main())"
    )
    command = [sys.executable, "-c", start, "serve", "--port", "0", "-m", "tiny", "--decoder", "tiny"]
    environment = dict(os.environ, OMP_NUM_THREADS="1")
    with subprocess.Popen(
        [*command, *arguments], stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        try:
            assert process.stderr is not None
            line = process.stderr.readline()
            assert "http://" in line, line
            yield line.split()[1], process.pid
        finally:
            process.terminate()
            process.communicate(timeout=30)
