"""Configuration of the documentation's site, which ``make docs`` builds with Sphinx.

The sources are the Markdown pages as they lie in the repository, so that their links work in both places.
"""

from __future__ import annotations

import re
from typing import Any

import calotype

project = "Calotype"
author = "The Calotype developers"
copyright = "2026, The Calotype developers"
version = release = calotype.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc"]
root_doc = "docs/index"
include_patterns = ["*.md", "docs/*.md", "benchmarks/**.md", "training/*.md", "samples/README.md"]
exclude_patterns = [".*", "build", "src", "tests", "fuzz"]

myst_heading_anchors = 4
suppress_warnings = ["myst.header"]  # the measurements are parts of pages, which start at the second level

autodoc_typehints = "signature"
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True, "show-inheritance": True}
python_use_unqualified_type_names = True

# Other packages, whose references would have to be fetched; types that Sphinx splits at their commas; and the
# type of an argument with which users never make a Stream.
nitpick_ignore_regex = [
    (r"py:.*", r"(PIL|collections|numpy|os|typing)\..*"),
    (r"py:class", r"tuple\[int"),
    (r"py:class", r"calotype\.packets\.stream\.StreamKey"),
]

# The page that the reader's own server shows.
linkcheck_ignore = [r"http://127\.0\.0\.1:\d+"]

html_theme = "furo"
html_title = f"Calotype {release}"
html_copy_source = False


def setup(app: Any) -> None:
    app.connect("autodoc-process-docstring", _find_in_any_module)


def _find_in_any_module(
    _app: Any, _what: str, _name: str, _object: Any, _options: Any, lines: list[str]
) -> None:
    """Lets ``:class:`ModelError``` in a docstring mean the class of any module, as it does to a reader."""
    lines[:] = [re.sub(r":(class|func|meth|data):`(?=\w+`)", r":\1:`.", line) for line in lines]
