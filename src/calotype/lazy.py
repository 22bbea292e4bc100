"""Packages whose names are imported at their first use (PEP 562), so that a program loads what it needs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any

__all__ = ["lazy_names"]


def lazy_names(
    package: str, sources: Mapping[str, Sequence[str]]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Returns ``__getattr__`` and ``__dir__`` of a package whose public names come from some of its modules.

    ``sources`` lists the names of each module. A module that lists no names is imported itself, as an
    attribute of the package. The package repeats the imports under ``TYPE_CHECKING`` for type checkers.
    """
    module_of = {name: module for module, names in sources.items() for name in names}
    modules = {module for module, names in sources.items() if not names}

    def get(name: str) -> Any:
        if name in modules:
            return import_module(f"{package}.{name}")
        if name not in module_of:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(import_module(f"{package}.{module_of[name]}"), name)
        setattr(sys.modules[package], name, value)  # which is found without this function from now on
        return value

    return get, lambda: sorted(sys.modules[package].__all__)
