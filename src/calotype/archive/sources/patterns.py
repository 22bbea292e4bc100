"""The files of this machine that a pattern with wildcards matches."""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Iterator

from calotype.archive.counts import Counts
from calotype.archive.sources.files import FolderId, list_folder, scan_file
from calotype.archive.sources.item import Item, Problem
from calotype.archive.sources.names import has_wildcard, is_hidden
from calotype.archive.sources.tar import is_tar, scan_tar

__all__ = ["matching", "scan_pattern"]

_ANY_FOLDERS = "**"
"""The component of a pattern that matches any number of folders."""


def scan_pattern(pattern: str, counts: Counts) -> Iterator[Item | Problem]:
    """Yields the files that a pattern matches, whatever their names, and the pictures of tar files among
    them.
    """
    for match in matching(pattern):
        if isinstance(match, Problem):
            yield match
        elif is_tar(match):
            yield from scan_tar(match, counts)
        else:
            yield scan_file(match, pattern)


def matching(pattern: str) -> Iterator[str | Problem]:
    """Yields the paths of the files that a pattern matches, folder by folder in the order of their names.

    ``*``, ``?`` and ``[...]`` match within a name, and ``**`` any number of folders. A name that begins with
    a dot is matched only by a component that does. Links are followed; for ``**`` a link to a folder that
    contains it is a :class:`Problem`, as is a folder that cannot be read. Memory holds the names in one
    folder at a time, and in the folders that contain it.
    """
    drive, rest = os.path.splitdrive(pattern)
    names = rest.replace(os.sep, "/").split("/")
    root = f"{drive}/" if not names[0] and len(names) > 1 else drive
    components = list[str]()
    for name in names:
        if name and not (name == _ANY_FOLDERS and components[-1:] == [_ANY_FOLDERS]):
            components.append(name)
    if names[-1]:  # A pattern that ends with a slash matches folders only.
        yield from _matching(root, components, pattern, ())


def _matching(
    folder: str, components: list[str], source: str, around: tuple[FolderId, ...]
) -> Iterator[str | Problem]:
    """Yields the files below ``folder`` that ``components`` match; ``around`` are the folders that ``**`` has
    passed.
    """
    first, *others = components
    if first != _ANY_FOLDERS:
        for name in _names(folder, first, source):
            if isinstance(name, Problem):
                yield name
                continue
            path = os.path.join(folder, name)  # noqa: PTH118 (as given)
            is_folder = os.path.isdir(path)  # noqa: PTH112 (no Path for each of millions)
            if others and is_folder:
                yield from _matching(path, others, source, around)
            elif not others and not is_folder:
                yield path
        return
    listed = list_folder(folder or os.curdir, source, around)
    if isinstance(listed, Problem):
        yield listed
        return
    if others:
        yield from _matching(folder, others, source, around)
    for name in listed.names:
        path = os.path.join(folder, name)  # noqa: PTH118
        if is_hidden(name):
            continue
        if os.path.isdir(path):  # noqa: PTH112
            yield from _matching(path, components, source, (*around, listed.id))
        elif not others:
            yield path


def _names(folder: str, component: str, source: str) -> Iterator[str | Problem]:
    """Yields the names in ``folder`` that one component of a pattern matches."""
    if not has_wildcard(component):
        if os.path.lexists(os.path.join(folder, component)):  # noqa: PTH118
            yield component
        return
    listed = list_folder(folder or os.curdir, source, ())
    if isinstance(listed, Problem):
        yield listed
        return
    for name in fnmatch.filter(listed.names, component):
        if is_hidden(component) or not is_hidden(name):
            yield name
