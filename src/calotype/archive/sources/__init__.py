"""The pictures of the input, listed one after the other without holding the list in memory.

::

    arguments ─┬─ folder, file, pattern   files.py
               ├─ tar, WebDataset         tar.py
               ├─ CSV, Parquet, lines     manifest.py
               └─ URL                     remote.py

``item.py`` describes a picture of the input, and reads it.
"""

from __future__ import annotations

from calotype.archive.sources.scan import scan
from calotype.archive.sources.total import PictureCounter

__all__ = ["PictureCounter", "scan"]
