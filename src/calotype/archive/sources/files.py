"""Pictures in files and folders of this machine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from calotype.archive.counts import Counts
from calotype.archive.sources.item import Item, Problem, reason_of, shown
from calotype.archive.sources.names import is_hidden, is_picture

__all__ = ["Folder", "FolderId", "list_folder", "scan_file", "scan_folder"]

FolderId = tuple[int, int]
"""The device and the number of a folder, which are the same by whatever path it is reached."""


@dataclass(frozen=True)
class Folder:
    """A folder: its identity and the sorted names in it."""

    id: FolderId
    names: list[str]


def scan_file(path: str, source: str, name: str | None = None) -> Item:
    """Returns the picture in the file ``path``, whatever its name is. The archive calls it ``name``."""
    return Item(shown(path), shown(name or os.path.basename(path)), shown(source), path)  # noqa: PTH119


def scan_folder(folder: str, counts: Counts) -> Iterator[Item | Problem]:
    """Yields the pictures of a folder and of those within it, in the order of their names.

    Their names are relative to the folder. Hidden files are left out, and ``counts.ignored`` counts files
    whose names are not those of pictures. Links are followed; a link to a folder that contains it is a
    :class:`Problem`. Memory holds the names in one folder at a time, and in the folders that contain it.
    """
    yield from _scan_folder(folder, folder, (), counts)


def list_folder(folder: str, source: str, around: tuple[FolderId, ...]) -> Folder | Problem:
    """Returns a folder's names; a :class:`Problem` if it cannot be read, or is one of those ``around`` it."""
    try:
        status = Path(folder).stat()
        identity = (status.st_dev, status.st_ino)
        if identity in around:
            return _folder_problem(folder, source, "is a link to a folder that it is in")
        return Folder(identity, sorted(os.listdir(folder)))  # noqa: PTH208 (names, maybe millions of them)
    except OSError as error:
        return _folder_problem(folder, source, f"cannot be read ({reason_of(error)})")


def _scan_folder(
    folder: str, source: str, around: tuple[FolderId, ...], counts: Counts
) -> Iterator[Item | Problem]:
    listed = list_folder(folder, source, around)
    if isinstance(listed, Problem):
        yield listed
        return
    for name in listed.names:
        path = os.path.join(folder, name)  # noqa: PTH118 (as given)
        if is_hidden(name):
            continue
        if os.path.isdir(path):  # noqa: PTH112 (no Path for each of millions)
            yield from _scan_folder(path, source, (*around, listed.id), counts)
        elif is_picture(name):
            yield scan_file(path, source, os.path.relpath(path, source).replace(os.sep, "/"))
        else:
            counts.ignored += 1


def _folder_problem(folder: str, source: str, reason: str) -> Problem:
    return Problem(shown(folder), shown(os.path.basename(folder)), shown(source), reason)  # noqa: PTH119
