"""Engines encode the pictures of a run and write its parts: on this machine, or on a Ray cluster."""

from __future__ import annotations

from calotype.archive.engines.encoder import Work
from calotype.archive.engines.engine import Engine, LocalEngine
from calotype.archive.engines.ray_cluster import RaySettings
from calotype.archive.engines.ray_engine import RayEngine

__all__ = ["Engine", "LocalEngine", "RayEngine", "RaySettings", "Work"]
