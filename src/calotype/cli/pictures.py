"""Picture formats by the names that users give."""

from __future__ import annotations

from pathlib import Path

import click

from calotype.imaging import FORMAT_ALIASES, FORMATS, PictureFormat

__all__ = ["FORMAT_NAMES", "format_named", "format_of_path"]

FORMAT_NAMES = (*FORMATS, *FORMAT_ALIASES)
"""All that :func:`format_named` takes."""


def format_named(name: str) -> PictureFormat:
    """The format of that name; raises ``KeyError`` if there is none."""
    return FORMATS[FORMAT_ALIASES.get(name, name)]


def format_of_path(path: str) -> PictureFormat:
    """The format that the extension of ``path`` asks for; raises ``click.UsageError`` if none does."""
    try:
        return format_named(Path(path).suffix.lower().removeprefix("."))
    except KeyError:
        known = ", ".join(FORMATS)
        raise click.UsageError(
            f"no picture format goes with the name '{path}': end it with one of {known}, or use --format"
        ) from None
