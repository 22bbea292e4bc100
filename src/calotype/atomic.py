"""Atomic output: files and folders appear under their names only when they are complete.

Output is written beside its target as ``.calotype-….tmp`` and renamed at the end. After any
failure, interrupts included, the previous content is still there. All functions raise ``OSError``.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

__all__ = ["folder_in_place", "write_atomically"]


def write_atomically(target: Path, data: bytes, *, overwrite: bool) -> None:
    """Writes a file; it keeps the permissions of a file that it replaces.

    Raises ``FileExistsError`` without ``overwrite`` if the name is taken, even by a race.
    """
    temporary = _temporary_name(target)
    try:
        with temporary.open("xb") as file:
            file.write(data)
        if overwrite:
            with suppress(FileNotFoundError):
                shutil.copymode(target, temporary)
            temporary.replace(target)
        else:
            _take_free_name(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def folder_in_place(target: Path) -> Iterator[Path]:
    """Yields a new folder to write to, which replaces ``target`` at the end of the block."""
    target = target.resolve()
    work = _temporary_name(target)
    try:
        work.mkdir(parents=True)
        yield work
        if not target.exists():
            work.rename(target)
            return
        old = target.rename(work.with_suffix(".old"))
        try:
            work.rename(target)
        except BaseException:
            old.rename(target)
            raise
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _temporary_name(target: Path) -> Path:
    """Returns a new short name in the same folder."""
    return target.with_name(f".calotype-{os.urandom(8).hex()}.tmp")


def _take_free_name(temporary: Path, target: Path) -> None:
    """Gives a complete file its name unless the name is taken: a link, unlike a rename, never overwrites."""
    try:
        target.hardlink_to(temporary)
        return
    except FileExistsError:
        raise
    except OSError:  # no hard links on this file system: claim the name, then take it
        os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    try:
        temporary.replace(target)
    except BaseException:
        target.unlink()
        raise
