"""Comparison of codecs at equal bytes: figures, pictures and pages.

::

    photo ── contest ──┬── codecs ──── files within a size, and what they decode to
                       └── metrics ─── PSNR, MS-SSIM, SSIMULACRA2, LPIPS
                  │
                 rows ──┬── report ── tables, plot, page       one page of a few pictures
                        └── bench ─── summary, bd_rate, plot   a data set, resumable

    photo ── stages ── stages_page      the codec stage by stage, from pixels to bytes and back
    photo ── widget                     the same pictures in a notebook

Only Pillow and numpy are needed; ``pip install 'calotype[compare]'`` adds MS-SSIM, SSIMULACRA2, JPEG XL,
curves and BD-rates. The page names what is missing.
"""

from __future__ import annotations

from calotype.compare.contest import Contest, Entry, Rules, read_pixels
from calotype.compare.notebook import Widget, widget
from calotype.compare.report import write_report
from calotype.compare.rows import Row
from calotype.compare.stages import Stages, bit_map, encode_in_stages
from calotype.compare.stages_page import write_stage_pages

__all__ = [
    "Contest",
    "Entry",
    "Row",
    "Rules",
    "Stages",
    "Widget",
    "bit_map",
    "encode_in_stages",
    "read_pixels",
    "widget",
    "write_report",
    "write_stage_pages",
]
