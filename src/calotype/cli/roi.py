"""Regions of interest as users write them."""

from __future__ import annotations

import re
from collections.abc import Sequence

import click

from calotype.options import Roi

__all__ = ["read_regions"]

_BOX = re.compile(r"(-?\d{1,9}),(-?\d{1,9}),(-?\d{1,9}),(-?\d{1,9})(?:,(-?\d{1,9}(?:\.\d{1,9})?))?", re.ASCII)


def read_regions(_: click.Context, __: click.Parameter, values: Sequence[str]) -> tuple[Roi | str, ...]:
    """Returns a :class:`~calotype.Roi` for each ``left,top,width,height[,weight]``, and the paths of masks.

    A mask is read with the picture. Raises ``click.BadParameter`` for other numbers and for an empty path.
    """
    return tuple(map(_read_region, values))


def _read_region(value: str) -> Roi | str:
    if match := _BOX.fullmatch(value):
        left, top, width, height = map(int, match.groups()[:4])
        try:
            return Roi(left, top, width, height, float(match[5] or 1))
        except ValueError as error:
            raise click.BadParameter(str(error)) from error
    if not value.strip("-.,0123456789 "):
        raise click.BadParameter(f"{value!r} is not left,top,width,height[,weight]")
    return value
