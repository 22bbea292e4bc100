"""The cells of the documentation, run by a real Jupyter kernel."""

from __future__ import annotations

import base64
import io
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import calotype

nbclient = pytest.importorskip("nbclient", reason="nbclient is not installed")
pytest.importorskip("ipykernel", reason="ipykernel is not installed")
import nbformat.v4  # noqa: E402

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "compare.md").read_text("utf-8")
CELLS = re.findall(r"^```python\n(.*?)^```", PAGE.partition("## Notebooks")[2], re.MULTILINE | re.DOTALL)

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")  # Jupyter's


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, photo: NDArray[np.uint8]) -> Path:
    folder = tmp_path_factory.mktemp("notebook")
    Image.fromarray(photo[40:136, 40:136]).save(folder / "photo.jpg")
    (folder / "photo.calo").write_bytes(calotype.encode(folder / "photo.jpg", target_size=2000))
    return folder


@pytest.fixture(scope="module")
def shown(folder: Path) -> list[dict[str, str]]:
    """Returns the output of each cell by media type."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in CELLS])
    with pytest.MonkeyPatch.context() as patch:
        for name in ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR"):
            patch.setenv(name, str(folder / ".jupyter"))
        client: Any = nbclient.NotebookClient(
            notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
        )
        client.execute()
    outputs: list[dict[str, str]] = []
    for cell in notebook.cells:
        (output,) = cell.outputs  # and nothing on standard error
        outputs.append(dict(output.data))
    return outputs


def test_the_header_of_a_file_is_shown_as_a_table(shown: list[dict[str, str]], folder: Path) -> None:
    html, info = shown[0]["text/html"], calotype.read_info(folder / "photo.calo")
    assert html == info._repr_html_()
    assert "<table" in html and f">{info.file_size}<" in html


def test_a_decoded_picture_is_a_picture(shown: list[dict[str, str]], folder: Path) -> None:
    with Image.open(io.BytesIO(base64.b64decode(shown[1]["image/png"]))) as image:
        pixels = np.asarray(image).astype(int)
    assert np.abs(pixels - calotype.decode(folder / "photo.calo", as_array=True)).max() <= 1


def test_the_report_stands_in_a_frame_of_its_own(shown: list[dict[str, str]]) -> None:
    frames: list[dict[str, str | None]] = []
    parser = HTMLParser()
    parser.handle_starttag = lambda tag, attrs: frames.append(dict(attrs))  # type: ignore[method-assign]
    parser.feed(shown[2]["text/html"])
    (frame,) = frames
    assert frame["sandbox"] == "allow-scripts"
    page = frame["srcdoc"] or ""
    assert "Compared: picture" in page and page.count("data:image/png;base64,") > 10
    assert "Calotype pocket" in page and "5,000 bytes" in page and "2,500 bytes" in page
