"""Sizes in bytes as users write them."""

from __future__ import annotations

import re
from decimal import Decimal

import click

__all__ = ["parse_size", "read_size"]

_UNITS = {"": 1, "b": 1, "kb": 1000, "kib": 1 << 10, "mb": 1000**2, "mib": 1 << 20}
_SIZE = re.compile(r"(\d{1,15}(?:\.\d{1,15})?) ?([a-z]*)", re.ASCII | re.IGNORECASE)


def parse_size(text: str) -> int:
    """Returns the number of bytes that ``text`` stands for, without fractions of a byte.

    Units are B, kB (1,000), KiB (1,024), MB and MiB, in any case; without one, bytes.
    Raises ``ValueError`` for anything else and for less than one byte.

    >>> parse_size("5000"), parse_size("5kB"), parse_size("5KiB"), parse_size("4.97 KiB")
    (5000, 5000, 5120, 5089)
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None or match[2].lower() not in _UNITS:
        raise ValueError(f"{text!r} is not a size: write 5000, 5kB or 4.9KiB (units: B, kB, KiB, MB, MiB)")
    size = int(Decimal(match[1]) * _UNITS[match[2].lower()])
    if size < 1:
        raise ValueError(f"{text!r} is less than one byte")
    return size


def read_size(_ctx: click.Context, _param: click.Parameter, text: str | None) -> int | None:
    """Reads an option that is a size in bytes (a callback)."""
    try:
        return None if text is None else parse_size(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error
