"""The one place that takes Python's hook for warnings, which a process has once for all its threads."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

from calotype.errors import CalotypeWarning

__all__ = ["warnings_taken"]


@contextmanager
def warnings_taken(take: Callable[[str, type[Warning]], bool]) -> Iterator[None]:
    """Within the block ``take`` gets the text and the class of each warning, every one of Calotype's.

    It is called by the thread that warns. What it returns False for goes to the hook that was there before,
    so that blocks can lie within each other.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("always", CalotypeWarning)
        before = warnings.showwarning

        def show(
            message: Warning | str,
            category: type[Warning],
            filename: str,
            lineno: int,
            file: TextIO | None = None,
            line: str | None = None,
        ) -> None:
            if not take(str(message), category):
                before(message, category, filename, lineno, file, line)

        warnings.showwarning = show
        yield
