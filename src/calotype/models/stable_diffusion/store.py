"""The fetched weights: their locations, their hashes, and the accepted licences.

The files are in the hub's own cache (``HF_HOME``, ``HF_HUB_CACHE``), where other programs find them too.
Beside it, in ``calotype/`` under ``HF_HOME``, one JSON file for each model records the commit and the sha256
of every file as it was fetched. Nothing here uses the network.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from calotype.atomic import write_file
from calotype.errors import ModelError, OutputError
from calotype.models.stable_diffusion.catalogue import Licence, Source

__all__ = [
    "Location",
    "Record",
    "accept",
    "accepted",
    "cached",
    "check_hash",
    "hash_of",
    "home",
    "hub",
    "is_here",
    "located",
    "read_record",
    "save",
    "write_record",
]


@dataclass(frozen=True)
class Record:
    """The record of a fetched model: ``sha256`` and ``size`` in bytes by file name, all of one ``commit``."""

    repository: str
    commit: str
    sha256: dict[str, str]
    size: dict[str, int]
    fetched: str


@dataclass(frozen=True)
class Location:
    """The location of a model's files: a folder in diffusers layout, or one original file.

    ``sha256`` holds the recorded hashes by file name; it is empty for the user's own files.
    """

    path: Path
    sha256: Mapping[str, str] = field(default_factory=dict)


def hub() -> Any:
    """Imports ``huggingface_hub``. Raises :class:`ModelError` if it is not installed."""
    try:
        import huggingface_hub
        import huggingface_hub.constants
    except ImportError as error:
        raise ModelError("huggingface-hub is missing: pip install 'calotype[sd]'") from error
    return huggingface_hub


def home() -> Path:
    """Returns the folder of records, acceptances and cached embeddings. Raises :class:`ModelError`."""
    return Path(hub().constants.HF_HOME) / "calotype"


def located(source: Source) -> Location:
    """Returns the location of a fetched model. Raises :class:`ModelError` if files are missing."""
    record = read_record(source)
    if record is None:
        raise ModelError(f"{source.name} is not here: run 'calotype models fetch {source.name}'")
    paths = {name: cached(record.repository, name, record.commit) for name in record.size}
    for name, path in paths.items():
        if path is None:
            raise ModelError(f"{source.name} lost {name}: run 'calotype models fetch {source.name}' again")
        # The top of the snapshot is as many folders up as the name has parts.
        top = path.parents[name.count("/")]
    return Location(top, record.sha256)


def is_here(source: Source) -> bool:
    """Returns whether the model was fetched and its files still exist; their content is not checked."""
    try:
        record = read_record(source)
    except ModelError:
        return False
    return record is not None and all(cached(record.repository, n, record.commit) for n in record.size)


def cached(repository: str, file: str, commit: str) -> Path | None:
    """Returns the path of a file in the hub's cache, or None."""
    cached_file = hub().try_to_load_from_cache(
        repository, file, cache_dir=hub().constants.HF_HUB_CACHE, revision=commit
    )
    return Path(cached_file) if isinstance(cached_file, str) else None


def check_hash(path: Path, expected: str, model: str) -> None:
    """Raises :class:`ModelError`, with both hashes, if a file is not what was fetched."""
    actual = hash_of(path)
    if actual != expected:
        raise ModelError(_changed(model, path, expected, actual))


def _changed(model: str, path: Path, expected: str, actual: str) -> str:
    return (
        f"{path} has changed since it was fetched: its sha256 is {actual}, not {expected} "
        f"('calotype models fetch --force {model}' fetches it again)"
    )


def hash_of(path: Path) -> str:
    """Returns the SHA-256 of a file in hexadecimal. Raises :class:`ModelError` if it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ModelError(f"{path} cannot be read ({error.strerror})") from error


def read_record(source: Source) -> Record | None:
    """Returns the record of a fetched model, or None. Raises :class:`ModelError` if it is damaged."""
    path = home() / f"{source.name}.json"
    try:
        return Record(**json.loads(path.read_text("utf-8")))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as error:
        raise ModelError(f"{path} is damaged: run 'calotype models fetch --force {source.name}'") from error


def write_record(source: Source, commit: str, sha256: dict[str, str], size: dict[str, int]) -> Record:
    """Writes the record of a fetched model. Raises :class:`OutputError`."""
    record = Record(source.repository, commit, sha256, size, datetime.now(UTC).isoformat(timespec="seconds"))
    save(home() / f"{source.name}.json", json.dumps(record.__dict__, indent=2).encode())
    return record


def accepted(licence: Licence) -> bool:
    """Returns whether the licence needs no acceptance, or was accepted on this machine."""
    return not licence.restrictions or licence.name in _acceptances()


def accept(licence: Licence) -> None:
    """Records that the user accepted ``licence``. Raises :class:`OutputError`."""
    known = _acceptances() | {licence.name: datetime.now(UTC).isoformat(timespec="seconds")}
    save(home() / "licences.json", json.dumps(known, indent=2).encode())


def _acceptances() -> dict[str, str]:
    try:
        return dict(json.loads((home() / "licences.json").read_text("utf-8")))
    except (OSError, ValueError):
        return {}


def save(path: Path, data: bytes) -> None:
    """Writes a small file, and creates its folder if needed. Raises :class:`OutputError`."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_file(path, data, overwrite=True)
    except OSError as error:
        raise OutputError(f"{path} cannot be written ({error.strerror})") from error
