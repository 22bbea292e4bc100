"""Checks of the types of arguments, with errors that name the argument."""

from __future__ import annotations

import os
from dataclasses import fields
from functools import cache
from numbers import Real
from types import NoneType, UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints

__all__ = ["check_fields", "check_type"]

_NAMES: dict[Any, str] = {
    NoneType: "None",
    bool: "True or False",
    int: "a whole number",
    float: "a number",
    str: "a string",
    tuple: "a tuple",
    os.PathLike: "a path",
}


def check_fields(options: Any) -> None:
    """Raises ``TypeError`` if a field of the dataclass ``options`` is not of the type it is declared with."""
    kind: Any = type(options)
    hints = _field_hints(kind)
    for field in fields(options):
        check_type(field.name, getattr(options, field.name), hints[field.name])


def check_type(name: str, value: Any, hint: Any) -> None:
    """Raises ``TypeError``, with ``name`` and ``value``, if ``value`` is not of the type ``hint``.

    As in annotations, an ``int`` is accepted for a ``float``. A ``bool`` is not accepted for a number, and a
    number of NumPy is treated as one of Python. For a ``Literal`` only the type is checked, not the value.
    """
    kinds = _plain_types_of_hint(hint)
    if not any(_is_of_type(_without_numpy(value), kind) for kind in kinds):
        wanted = " or ".join(dict.fromkeys(_NAMES.get(kind) or kind.__name__ for kind in kinds))
        raise TypeError(f"{name} (={value!r}, of type {type(value).__name__}) must be {wanted}")


@cache
def _field_hints(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind)


@cache
def _plain_types_of_hint(hint: Any) -> tuple[Any, ...]:
    """Returns the plain types that a hint allows."""
    if get_origin(hint) is UnionType:
        return tuple(kind for part in get_args(hint) for kind in _plain_types_of_hint(part))
    if get_origin(hint) is Literal:
        return tuple(type(value) for value in get_args(hint))
    return (get_origin(hint) or hint,)


def _is_of_type(value: Any, kind: Any) -> bool:
    if kind in (int, float) and isinstance(value, bool):
        return False
    return isinstance(value, Real if kind is float else kind)


def _without_numpy(value: Any) -> Any:
    """Returns the Python value of a NumPy scalar, and anything else as it is."""
    return value.item() if getattr(value, "shape", None) == () and hasattr(value, "item") else value
