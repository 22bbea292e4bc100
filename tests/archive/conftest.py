"""Archives of tiny pictures, encoded in this process with the tiny model."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("pyarrow", reason="needs pip install 'calotype[archive]'")
pytest.importorskip("fsspec", reason="needs pip install 'calotype[archive]'")


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder of eight pictures, one that is damaged, and a text."""
    from archive_samples import write_picture

    folder = tmp_path / "pictures"
    for number in range(8):
        write_picture(folder / "sub" / f"{number}.png" if number > 5 else folder / f"{number}.png", number)
    (folder / "broken.jpg").write_bytes(b"no picture")
    (folder / "notes.txt").write_text("no picture, and not named like one")
    return folder
