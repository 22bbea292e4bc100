"""What all native runtimes need: objects that survive a fork, and one error for the lack of memory.

The child of a fork has its parent's memory but none of the parent's other threads. ONNX Runtime and OpenVINO
wait for their threads when an object is destroyed, at the latest when the process ends: in a child for ever.
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Generic, TypeVar
from weakref import WeakSet

from calotype.errors import CalotypeError, OutOfMemoryError

__all__ = ["PerProcess", "memory_errors"]

_Native = TypeVar("_Native")

_live: WeakSet[PerProcess[Any]] = WeakSet()

_SIGNS = (
    "bad_alloc",
    "bad allocation",
    "out of memory",
    "not enough memory",
    "allocate memory",  # "can't", "cannot" and "failed to"
    "failed to map segment",  # of a library that is being loaded
)
"""Of which one is in the message of a runtime that lacks memory, in small letters."""


class PerProcess(Generic[_Native]):
    """A native object with threads of its own, made anew in a forked child that uses it.

    The child does not destroy the object that it inherited: the memory is shared with the parent, and comes
    back when the child ends.
    """

    def __init__(self, make: Callable[[], _Native]) -> None:
        """Calls ``make`` at once, so that its errors are raised here."""
        self._make = make
        self._made: _Native | None = make()
        self._lock = threading.Lock()
        _live.add(self)

    def get(self) -> _Native:
        """The object of this process; from any thread."""
        instance = self._made
        if instance is None:
            with self._lock:
                instance = self._made = self._make() if self._made is None else self._made
        return instance

    def forget(self) -> None:
        """Lets go of the object without destroying it: nothing ever gives this reference back."""
        if self._made is not None:
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._made))
        self._made, self._lock = None, threading.Lock()


def _forget_all() -> None:
    for loaded in list(_live):
        loaded.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)


@contextmanager
def memory_errors() -> Iterator[None]:
    """Within the block, what a runtime raises for lack of memory becomes :class:`OutOfMemoryError`.

    Runtimes raise a plain ``RuntimeError``, or an exception that is no public class, and say it in words.
    """
    try:
        yield
    except CalotypeError:
        raise
    except Exception as error:
        if isinstance(error, MemoryError) or any(sign in str(error).lower() for sign in _SIGNS):
            raise OutOfMemoryError from error
        raise
