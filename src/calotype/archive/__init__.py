"""Archives: many pictures in Parquet files, made by a run that may be killed at any time.

::

    planning: sources ─ sample ─ estimates   what an archive would take
    create ─ sources ─ engines ─ parts       from pictures to an archive
    Archive ─ index ─ parts                  pictures by id or name, verification, figures
    Dataset ─ selection ─ Archive            pictures by number or shuffled, for training
    exporting: Archive ─ converter ─ sink    from an archive to files, WebDataset shards, latents

``pip install 'calotype[archive]'`` installs what they need, ``calotype[ray]`` the engine of many machines.
``docs/archive.md`` describes the tables.
"""

from __future__ import annotations

from calotype.archive.counts import Counts
from calotype.archive.create import create
from calotype.archive.dataset import Dataset
from calotype.archive.engines import Engine, LocalEngine, RayEngine, RaySettings, Work
from calotype.archive.exporting import Conversion, ExportCounts, ExportSettings, export
from calotype.archive.planning import Plan, PlanSettings, Prediction, plan
from calotype.archive.reader import Archive
from calotype.archive.settings import Settings

__all__ = [
    "Archive",
    "Conversion",
    "Counts",
    "Dataset",
    "Engine",
    "ExportCounts",
    "ExportSettings",
    "LocalEngine",
    "Plan",
    "PlanSettings",
    "Prediction",
    "RayEngine",
    "RaySettings",
    "Settings",
    "Work",
    "create",
    "export",
    "plan",
]
