"""The console: results on standard output, messages on standard error."""

from __future__ import annotations

import json
import shutil
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import click

from calotype.errors import CalotypeError, CalotypeWarning, OutOfMemoryError
from calotype.warning_hook import intercepted_warnings

__all__ = ["Console", "Failures", "describe"]

_CLEAR_LINE = "\r\x1b[K"


class Console:
    """Prints errors, warnings, results and a progress bar; threads may share it.

    ``verbosity`` counts ``-v``: 1 adds details to results, 2 shows tracebacks. ``quiet`` leaves only
    errors, ``json`` prints one JSON object per line on standard output.
    """

    def __init__(self) -> None:
        self.verbosity = 0
        self.quiet = False
        self.json = False
        self._bar_shown = False
        self._lock = threading.Lock()
        self._current = threading.local()

    def error(self, message: str) -> None:
        """Prints ``calotype: error: message``."""
        self._say(f"calotype: error: {message}")

    def note(self, text: str) -> None:
        """Prints ``text`` unless ``quiet`` is set."""
        if not self.quiet:
            self._say(text)

    def record(self, record: Mapping[str, Any]) -> None:
        """Prints ``record`` as one line of JSON on standard output if JSON was asked for."""
        if self.json:
            click.echo(json.dumps(record))

    def result(self, text: str) -> None:
        """Prints ``text`` on standard output; characters that its encoding lacks are escaped."""
        encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
        click.echo(text.encode(encoding, "backslashreplace").decode(encoding))

    def failure(self, error: Exception, subject: str = "") -> int:
        """Reports ``error``, which concerns ``subject``, in one sentence; returns its exit code."""
        sentence, code = describe(error)
        self.error(_with_subject(subject, sentence))
        if self.verbosity >= 2:
            self._say("".join(traceback.format_exception(error)).rstrip())
        return code

    @contextmanager
    def about(self, subject: str) -> Iterator[None]:
        """Within the block, warnings of this thread name ``subject``."""
        self._current.subject = subject
        try:
            yield
        finally:
            del self._current.subject

    @contextmanager
    def warnings_shown(self) -> Iterator[None]:
        """Within the block, Calotype's warnings are printed as one line each.

        Warnings of other packages are for developers and are shown with ``-v`` only.
        """
        with intercepted_warnings(self._show_warning):
            yield

    @property
    def shows_progress(self) -> bool:
        """Returns whether there is a terminal to show progress on."""
        return not self.quiet and bool(sys.stderr and sys.stderr.isatty())

    @contextmanager
    def progress(self, total: int) -> Iterator[Callable[[], None]]:
        """Shows a progress bar of ``total`` steps on a terminal, if there are several; yields the function to
        call after each."""
        if total < 2 or not self.shows_progress:
            yield lambda: None
            return
        with click.progressbar(length=total, file=sys.stderr, show_pos=True) as bar:
            self._bar_shown = True
            try:
                yield lambda: bar.update(1)
            finally:
                self._bar_shown = False

    @contextmanager
    def status(self) -> Iterator[Callable[[str], None]]:
        """Yields a function that shows a line in place of the one before, on a terminal only."""
        if not self.shows_progress:
            yield lambda text: None
            return
        self._bar_shown = True
        try:
            yield lambda text: click.echo(_CLEAR_LINE + text[: _terminal_columns() - 1], nl=False, err=True)
        finally:
            self._bar_shown = False
            click.echo(_CLEAR_LINE, nl=False, err=True)

    def _show_warning(self, message: str, category: type[Warning]) -> bool:
        if issubclass(category, CalotypeWarning) or self.verbosity:
            self.note(f"calotype: warning: {_with_subject(getattr(self._current, 'subject', ''), message)}")
        return True

    def _say(self, text: str) -> None:
        # The bar repaints its own line at the next update. A closed standard error is ignored.
        with self._lock, suppress(OSError):
            click.echo(_CLEAR_LINE + text if self._bar_shown else text, err=True)


class Failures:
    """Reports inputs that fail while the others go on; ``code`` is the highest of their exit codes."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self.code = 0

    def add(self, path: Path, error: Exception) -> None:
        """Reports that ``path`` is left out because of ``error``."""
        code = self._console.failure(error, str(path))
        record = {"input": str(path), "ok": False, "error": describe(error)[0], "exit_code": code}
        self._console.record(record)
        self.code = max(self.code, code)


def describe(error: Exception) -> tuple[str, int]:
    """Returns one sentence about ``error``, and its exit code."""
    if isinstance(error, CalotypeError):
        return str(error).replace(
            "\n", " "
        ), error.exit_code  # Messages of other packages may have several lines.
    if isinstance(error, MemoryError):
        return "there is not enough memory", OutOfMemoryError.exit_code
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror.lower()}" if error.filename else error.strerror.lower(), 1
    return f"internal error, please report it: {type(error).__name__}: {error} (-vv shows where)", 1


def _terminal_columns() -> int:
    return shutil.get_terminal_size().columns


def _with_subject(subject: str, sentence: str) -> str:
    """Puts ``subject`` in front of ``sentence``, unless there is none or the sentence names it."""
    return f"{subject}: {sentence}" if subject and not sentence.startswith(subject) else sentence
