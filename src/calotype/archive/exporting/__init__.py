"""Exports: from an archive to files, pictures, WebDataset shards and latents."""

from __future__ import annotations

from calotype.archive.exporting.conversion import Conversion
from calotype.archive.exporting.export import ExportCounts, ExportSettings, export

__all__ = ["Conversion", "ExportCounts", "ExportSettings", "export"]
