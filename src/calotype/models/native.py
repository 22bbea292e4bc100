"""Support for native runtimes: objects that survive a fork, and one error for the lack of memory.

The child of a fork has its parent's memory but none of the parent's other threads. ONNX Runtime and OpenVINO
wait for their threads when an object is destroyed. In the child of a fork this wait would never end.
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

__all__ = ["PerProcess", "native_memory_errors"]

_Native = TypeVar("_Native")

_live: WeakSet[PerProcess[Any]] = WeakSet()

_SIGNS = (
    "bad_alloc",
    "bad allocation",
    "out of memory",
    "not enough memory",
    "allocate memory",  # "can't", "cannot" and "failed to"
    "failed to map segment",  # while a library is loaded
)
"""Phrases in the lower-case messages of runtimes that lack memory."""


class PerProcess(Generic[_Native]):
    """A native object with threads of its own, which a forked child creates again when it uses it.

    The child does not destroy the inherited object. Its memory is shared with the parent, and is released
    when the child ends.
    """

    def __init__(self, make: Callable[[], _Native]) -> None:
        """Calls ``make`` at once, so that its errors are raised here."""
        self._make = make
        self._made: _Native | None = make()
        self._lock = threading.Lock()
        _live.add(self)

    def get(self) -> _Native:
        """Returns the object of this process. It may be called from any thread."""
        instance = self._made
        if instance is None:
            with self._lock:
                instance = self._made = self._make() if self._made is None else self._made
        return instance

    def forget(self) -> None:
        """Drops the object without destroying it, by means of a reference that is never released."""
        if self._made is not None:
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._made))
        self._made, self._lock = None, threading.Lock()


def _forget_all() -> None:
    for loaded in list(_live):
        loaded.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)


@contextmanager
def native_memory_errors() -> Iterator[None]:
    """Turns a runtime's error for lack of memory, raised within the block, into :class:`OutOfMemoryError`.

    Runtimes raise a ``RuntimeError`` or an exception of a private class, so that the message is examined.
    """
    try:
        yield
    except CalotypeError:
        raise
    except Exception as error:
        if isinstance(error, MemoryError) or any(sign in str(error).lower() for sign in _SIGNS):
            raise OutOfMemoryError from error
        raise
