"""Archives: many pictures in Parquet files, made by a run that may be killed at any time.

::

    plan ─ sources ─ sample ─ estimates      what an archive would take
    create ─ sources ─ engine ─ parts        from pictures to an archive
    Archive ─ index ─ parts                  pictures by id or name, verification, figures
    Dataset ─ selection ─ Archive            pictures by number or shuffled, for training
    export ─ Archive ─ converter ─ sink      from an archive to files, WebDataset shards, latents

``pip install 'calotype[archive]'`` installs what they need, ``calotype[ray]`` the engine of many machines.
``docs/archive.md`` describes the tables.
"""

from __future__ import annotations

from calotype.archive.conversion import Conversion
from calotype.archive.counts import Counts
from calotype.archive.create import create
from calotype.archive.dataset import Dataset
from calotype.archive.engine import Engine, LocalEngine
from calotype.archive.export import ExportCounts, ExportSettings, export
from calotype.archive.plan import Plan, PlanSettings, Prediction, plan
from calotype.archive.ray_cluster import RaySettings
from calotype.archive.ray_engine import RayEngine
from calotype.archive.reader import Archive
from calotype.archive.settings import Settings
from calotype.archive.work import Work

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
