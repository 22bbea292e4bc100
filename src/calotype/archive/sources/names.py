"""The names of files: recognition of pictures, and patterns."""

from __future__ import annotations

import re
from functools import cache

from PIL import Image

from calotype.container import EXTENSION

__all__ = ["expand_braces", "has_wildcard", "is_hidden", "is_picture"]

_BRACES = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"(\d{1,9})\.\.(\d{1,9})")
_NO_PICTURES = {"EPS", "PDF", "MPEG"}
_MOST_EXPANDED = 1_000_000


@cache
def _readable_extensions() -> frozenset[str]:
    """Returns the extensions, with a dot, of the formats that Pillow reads."""
    Image.init()
    known = Image.registered_extensions().items()
    readable = {
        extension for extension, format_ in known if format_ in Image.OPEN and format_ not in _NO_PICTURES
    }
    return frozenset(readable - {EXTENSION})


def is_picture(name: str) -> bool:
    """Returns whether a file has the extension of a format that can be read."""
    return "." in name and "." + name.rpartition(".")[2].lower() in _readable_extensions()


def is_hidden(name: str) -> bool:
    """Returns whether a file or folder is hidden by its name."""
    return name.startswith(".")


def has_wildcard(name: str) -> bool:
    """Returns whether a name is a pattern."""
    return any(sign in name for sign in "*?[")


def expand_braces(name: str) -> list[str]:
    """Returns the names that braces stand for: ``a-{00..02}.tar`` for three, ``{a,b}.tar`` for two.

    >>> expand_braces("a-{08..10}.tar")
    ['a-08.tar', 'a-09.tar', 'a-10.tar']
    """
    match = _BRACES.search(name)
    if match is None:
        return [name]
    before, after = name[: match.start()], name[match.end() :]
    bounds = _RANGE.fullmatch(match[1])
    if bounds is None:
        middles = match[1].split(",")
        if len(middles) < 2:
            return [name]
    else:
        first, last = int(bounds[1]), int(bounds[2])
        if not 0 <= last - first < _MOST_EXPANDED:
            return [name]
        middles = [f"{number:0{len(bounds[1])}d}" for number in range(first, last + 1)]
    return [expanded for middle in middles for expanded in expand_braces(before + middle + after)]
