"""The pages: templates, style and scripts, combined into one file that needs no network.

``SHARED`` files belong to the page of ``calotype serve`` as well.
"""

from __future__ import annotations

import base64
import hashlib
import json
from html import escape
from importlib.resources import files
from string import Template
from typing import Any

__all__ = ["SHARED", "build_page", "fill_template", "read_page_part", "safe_json"]

SHARED = ("base.css", "theme.js")


def read_page_part(name: str) -> str:
    """Reads a file of this folder."""
    return (files(__name__) / name).read_text("utf-8")


def fill_template(name: str, /, **parts: str) -> str:
    """Replaces the ``$names`` in a template of this folder; the parts are HTML already."""
    return Template(read_page_part(name)).substitute(parts)


def safe_json(value: Any) -> str:
    """Returns JSON that is safe within a script element."""
    return json.dumps(value).replace("<", "\\u003c")


def build_page(
    title: str,
    subtitle: str,
    main: str,
    footer: str,
    *,
    data: Any,
    scripts: tuple[str, ...],
    decoder: bool = False,
) -> str:
    """Builds a whole page. ``title`` is text, the other strings are HTML; the ``scripts`` read ``data``.

    Its content security policy allows its own scripts and pictures beside it, and nothing from a network.
    With a ``decoder`` it also allows the scripts of the browser's decoder beside it, and their workers.
    """
    script = "\n".join(map(read_page_part, ("theme.js", *scripts)))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    pictures, more = ("blob:", "'self' file: 'wasm-unsafe-eval'; worker-src blob:") if decoder else ("", "")
    policy = f"default-src 'none'; img-src 'self' file: data: {pictures}; style-src 'unsafe-inline'"
    return fill_template(
        "report.html",
        title=escape(title),
        subtitle=subtitle,
        main=main,
        footer=footer,
        policy=f"{policy}; script-src 'sha256-{digest}' {more}",
        style=read_page_part("base.css") + read_page_part("style.css"),
        script=script,
        data=safe_json(data),
    )
