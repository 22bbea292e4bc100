"""A folder of results that appears under its name when it is complete, or not at all."""

from __future__ import annotations

import base64
import re
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from calotype.atomic import folder_in_place
from calotype.errors import CalotypeError, OutputError

__all__ = ["INDEX", "PageFiles", "check_folder", "file_name", "fresh_folder", "shown_name", "to_png"]

INDEX = "index.html"

_UNSHOWABLE = {"Cc", "Cs", "Zl", "Zp"}  # Unicode categories: controls, surrogates, ends of lines
_MAX_NAME = 80  # The number of characters of a picture's name that the names of its files repeat.


def shown_name(name: str) -> str:
    """Returns the file name ``name`` as one line of text that every encoding of Unicode can hold.

    Control characters and bytes outside of the file system's encoding are escaped.
    """
    return "".join(
        _escaped_byte(char) if unicodedata.category(char) in _UNSHOWABLE else char for char in name
    )


def _escaped_byte(char: str) -> str:
    byte = ord(char) - 0xDC00  # Python represents the bytes that it cannot decode as such surrogates.
    return f"\\x{byte:02x}" if 0x80 <= byte <= 0xFF else char.encode("unicode_escape").decode()


def file_name(name: str) -> str:
    """Returns ``name`` as the beginning of a file name that is valid in every file system and address."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name)[:_MAX_NAME]


def check_folder(target: Path, *, force: bool, mark: str = INDEX) -> None:
    """Raises :class:`OutputError` if :func:`fresh_folder` will refuse ``target``."""
    if target.exists() and not target.is_dir():
        raise OutputError(f"{target} exists already and is not a folder")
    if target.is_dir() and any(target.iterdir()):
        if not (target / mark).is_file():
            raise OutputError(f"{target} holds other files: name an empty or a new folder")
        if not force:
            raise OutputError(f"{target} exists already (use --force to overwrite it)")


@contextmanager
def fresh_folder(target: Path, *, force: bool, mark: str = INDEX) -> Iterator[Path]:
    """Yields a folder to write to, which becomes ``target`` at the end of the block.

    An existing folder is replaced only if it is empty or, with ``force``, if it holds the file ``mark``,
    which identifies results of this kind. Raises :class:`OutputError`.
    """
    check_folder(target, force=force, mark=mark)
    try:
        with folder_in_place(target) as work:
            yield work
            check_folder(target, force=force, mark=mark)
    except CalotypeError:  # some are OSErrors too
        raise
    except OSError as error:
        raise OutputError(f"{target} cannot be written ({(error.strerror or str(error)).lower()})") from error


class PageFiles:
    """Writes pictures beside a page or, with ``embed``, encodes them for the page itself.

    Without a folder all pictures are embedded, and no file is written.
    """

    def __init__(self, folder: Path | None, *, embed: bool) -> None:
        self._folder, self._embed = folder, embed or folder is None

    def add(self, name: str, rgb: NDArray[np.uint8]) -> str:
        """Adds a picture uint8[H, W, 3] and returns its address for the page.

        ``name`` is a path below the folder, without suffix.
        """
        data = to_png(rgb)
        if self._embed:
            return f"data:image/png;base64,{base64.b64encode(data).decode()}"
        self.write(f"{name}.png", data)
        return f"{name}.png"

    def write(self, name: str, data: bytes) -> None:
        """Writes a file below the folder, if there is one."""
        if self._folder is None:
            return
        path = self._folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def to_png(rgb: NDArray[np.uint8]) -> bytes:
    """Returns uint8[H, W, 3] as a PNG file."""
    file = BytesIO()
    Image.fromarray(rgb).save(file, "PNG", compress_level=6)
    return file.getvalue()
