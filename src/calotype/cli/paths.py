"""The type of every argument and option that is a path."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

__all__ = ["PathType"]


class PathType(click.Path):
    """The type of a path that is not empty; whether it exists is checked when it is opened.

    An empty path would mean the current folder, and mostly comes from an unset variable. A path is only
    checked to exist with ``exists``: Click's check would end a command for many inputs because of one of
    them. ``stdio`` allows ``-``; ``folder`` completes and accepts folders only.
    """

    def __init__(
        self,
        *,
        exists: bool = False,
        folder: bool = False,
        stdio: bool = False,
        path_type: type[str] | type[Path] = str,
    ) -> None:
        super().__init__(
            exists=exists,
            file_okay=not folder,
            dir_okay=folder or not exists,
            readable=False,
            allow_dash=stdio,
            path_type=path_type,
        )

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Returns ``value`` as the requested type. Raises ``click.BadParameter``."""
        if not os.fspath(value):
            self.fail("a path must not be empty (a variable of the shell that is not set?)", param, ctx)
        if self.exists:
            return super().convert(value, param, ctx)
        return self.coerce_path_result(value)
