"""Picture formats by name and extension."""

from __future__ import annotations

from pathlib import Path

import click

from calotype.imaging import FORMAT_ALIASES, FORMATS, PictureFormat

__all__ = ["FORMAT_NAMES", "format_named", "format_of_path"]

FORMAT_NAMES = (*FORMATS, *FORMAT_ALIASES)
"""All that :func:`format_named` takes."""


def format_named(name: str) -> PictureFormat:
    """Returns the format of that name; raises ``KeyError`` if there is none."""
    return FORMATS[FORMAT_ALIASES.get(name, name)]


def format_of_path(path: str) -> PictureFormat:
    """Returns the format of the extension of ``path``; raises ``click.UsageError`` if there is none."""
    try:
        return format_named(Path(path).suffix.lower().removeprefix("."))
    except KeyError:
        known = ", ".join(FORMATS)
        raise click.UsageError(
            f"no picture format goes with the name '{path}': end it with one of {known}, or use --format"
        ) from None
