"""The only user of Python's hook for warnings, of which a process has one for all its threads."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

from calotype.errors import CalotypeWarning

__all__ = ["intercepted_warnings"]


@contextmanager
def intercepted_warnings(take: Callable[[str, type[Warning]], bool]) -> Iterator[None]:
    """Within the block, ``take`` is called with the text and the class of each warning.

    Every :class:`CalotypeWarning` is passed on, also one that was shown before.

    It is called by the thread that warns. Warnings for which it returns False go to the previous hook,
    so that blocks can be nested.
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
