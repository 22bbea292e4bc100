"""Parts of pictures as users write them."""

from __future__ import annotations

import re
from typing import Any

import click

__all__ = ["BoxType"]

_BOX = re.compile(r" *(\d{1,9})" + r" *, *(\d{1,9})" * 3 + " *", re.ASCII)


class BoxType(click.ParamType):  # type: ignore[type-arg]
    """``LEFT,TOP,RIGHT,BOTTOM`` in pixels, right and bottom excluded, to a tuple of four numbers."""

    name = "box"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Fails unless ``value`` can be a box in some picture."""
        match = _BOX.fullmatch(value) if isinstance(value, str) else None
        if match is None:
            self.fail(f"{value!r} is not LEFT,TOP,RIGHT,BOTTOM in whole pixels, such as 0,0,512,384")
        box = left, top, right, bottom = tuple(map(int, match.groups()))
        if left >= right or top >= bottom:
            self.fail(f"{value!r} is empty: RIGHT must be above LEFT, and BOTTOM above TOP")
        return box
