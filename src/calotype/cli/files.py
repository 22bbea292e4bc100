"""Files and pipes, read within limits and written all or nothing.

Errors do not name the file: :mod:`calotype.cli.batch` puts its name in front.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from calotype.atomic import write_atomically
from calotype.errors import CalotypeError, LimitError, OutputError, SourceError
from calotype.limits import Limits

__all__ = [
    "STDIO",
    "abandon_stdout",
    "check_target",
    "is_folder",
    "open_command_input",
    "open_picture",
    "read_calotype",
    "real_path",
    "write_target",
]

STDIO = "-"
"""The path that stands for standard input or standard output."""

_BLOCK = 1 << 20


def open_picture(path: str, limits: Limits) -> BinaryIO:
    """Opens a picture; a pipe, which cannot seek, is read to its end first.

    Raises :class:`SourceError`, or :class:`LimitError` if a pipe gives more than a picture within the
    limits can need: 16 bits of red, green, blue and alpha per pixel, and its metadata.
    """
    return _open_input(path, 8 * limits.max_pixels + limits.max_metadata_bytes)


@contextmanager
def open_command_input(path: str) -> Iterator[BinaryIO]:
    """Opens an input of the command line, a file or a pipe, which is read as its bytes arrive.

    Raises :class:`SourceError`, also while the caller reads.
    """
    try:
        if path == STDIO:
            if sys.stdin is None:
                raise SourceError("is closed")
            yield sys.stdin.buffer
        else:
            with Path(path).open("rb") as file:
                yield file
    except CalotypeError:
        raise
    except OSError as error:
        raise _unreadable_input(error) from error


def read_calotype(path: str, limits: Limits) -> bytes:
    """Reads a whole .calo file.

    Raises :class:`SourceError`, or :class:`LimitError` if it is longer than any within the limits: a
    byte per pixel is eight times what the finest quantiser can produce.
    """
    max_bytes = limits.max_pixels + limits.max_chunk_bytes
    with _open_input(path, max_bytes) as file:
        try:
            return _read_stream_up_to(file, max_bytes).getvalue()
        except CalotypeError:  # Some errors of Calotype are OSErrors too.
            raise
        except OSError as error:
            raise _unreadable_input(error) from error


def is_folder(path: str) -> bool:
    """Returns whether ``path`` is a folder. An inaccessible path gives False; opening it tells the error."""
    try:
        return Path(path).is_dir()
    except OSError:
        return False


def real_path(path: str) -> str:
    """Returns ``path`` without links, from the root. Raises :class:`OutputError` if it is relative to no
    folder."""
    try:
        return os.path.realpath(path)
    except FileNotFoundError as error:  # Only the working directory must exist.
        raise OutputError(
            f"'{path}' cannot be found: the working directory has been deleted, change to another one"
        ) from error


def check_target(path: str, *, force: bool) -> None:
    """Raises :class:`OutputError` if :func:`write_target` is sure to fail."""
    with _output_errors():
        if path == STDIO:
            if sys.stdout is None:
                raise OutputError("is closed")
            if sys.stdout.isatty() and not force:
                raise OutputError("is a terminal, which cannot show binary data (--force writes it anyway)")
            return
        target = Path(path)
        if target.is_dir():
            raise OutputError("is a folder")
        if target.exists() and not force and not _is_special_file(target):
            raise FileExistsError
        if not target.parent.is_dir():
            raise OutputError(f"cannot be written: there is no folder '{target.parent}'")


def write_target(path: str, data: bytes, *, force: bool) -> None:
    """Writes ``data`` to a file, a device or standard output.

    A file appears under its name when it is complete or not at all, and without ``force`` never in
    place of another. Raises :class:`OutputError`.
    """
    with _output_errors():
        if path == STDIO:
            _write_stdout(data)
        elif _is_special_file(Path(path)):
            with Path(path).open("wb") as device:
                device.write(data)
        else:
            # A link is followed, not replaced.
            write_atomically(Path(os.path.realpath(path)), data, overwrite=force)


def abandon_stdout() -> None:
    """Discards the buffer of standard output, so that the interpreter reports no error at exit."""
    if sys.stdout is not None:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def _open_input(path: str, max_bytes: int) -> BinaryIO:
    try:
        if path == STDIO:
            if sys.stdin is None:
                raise SourceError("is closed")
            return _read_stream_up_to(sys.stdin.buffer, max_bytes)
        if Path(path).is_file():
            return Path(path).open("rb")
        with Path(path).open("rb") as pipe:
            return _read_stream_up_to(pipe, max_bytes)
    except CalotypeError:
        raise
    except OSError as error:
        raise _unreadable_input(error) from error


def _read_stream_up_to(file: BinaryIO, max_bytes: int) -> BytesIO:
    # In blocks: one read of unknown length would allocate for the longest.
    content = BytesIO()
    while block := file.read(_BLOCK):
        content.write(block)
        if content.tell() > max_bytes:
            raise LimitError(
                f"is longer than the {max_bytes} bytes allowed (--max-pixels sets a higher limit)"
            )
    content.seek(0)
    return content


@contextmanager
def _output_errors() -> Iterator[None]:
    try:
        yield
    except FileExistsError as error:
        raise OutputError("exists already (use --force to overwrite it)") from error
    except BrokenPipeError as error:
        raise OutputError("was closed before everything was written") from error
    except OSError as error:
        raise OutputError(f"cannot be written ({_reason_of_os_error(error)})") from error


def _write_stdout(data: bytes) -> None:
    try:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    except OSError:
        abandon_stdout()
        raise


def _is_special_file(path: Path) -> bool:
    """Returns whether ``path`` is a device, a pipe or a socket, which is never replaced."""
    return path.exists() and not path.is_file() and not path.is_dir()


def _unreadable_input(error: OSError) -> SourceError:
    return SourceError(f"cannot be read ({_reason_of_os_error(error)})")


def _reason_of_os_error(error: OSError) -> str:
    return (error.strerror or type(error).__name__).lower()
