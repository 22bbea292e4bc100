"""The store of an archive: a folder, or an object store."""

from __future__ import annotations

import os
from pathlib import Path

from calotype.archive.sources.item import is_url, location_of
from calotype.archive.store.base import Store
from calotype.archive.store.folder import FolderStore, flush
from calotype.archive.store.objects import ObjectStore

__all__ = ["FolderStore", "ObjectStore", "Store", "flush", "open_store"]


def open_store(address: str | os.PathLike[str]) -> Store:
    """Returns the store at a path or URL. Raises :class:`SourceError` and :class:`ModelError`."""
    text = location_of(os.fspath(address))
    return ObjectStore(text) if is_url(text) else FolderStore(Path(text))
