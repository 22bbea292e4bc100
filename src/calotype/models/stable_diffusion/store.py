"""The fetched weights: their locations, their hashes, and the accepted licences.

The files are in the hub's own cache (``HF_HOME``, ``HF_HUB_CACHE``), where other programs find them too.
Beside it, in ``calotype/`` under ``HF_HOME``, one JSON file for each model records the commit and the sha256
of every file as it was fetched. Nothing here uses the network.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from calotype.atomic import write_atomically
from calotype.errors import ModelError, OutputError
from calotype.models.stable_diffusion.catalogue import FetchedModel, Licence

__all__ = [
    "FetchRecord",
    "WeightsLocation",
    "check_file_hash",
    "fetched_location",
    "file_hash",
    "import_hub",
    "is_fetched",
    "is_licence_accepted",
    "own_location",
    "path_in_hub_cache",
    "read_record",
    "record_acceptance",
    "records_folder",
    "write_record",
    "write_record_file",
]


@dataclass(frozen=True)
class FetchRecord:
    """The record of a fetched model: ``sha256`` and ``size`` in bytes by file name, all of one ``commit``."""

    repository: str
    commit: str
    sha256: dict[str, str]
    size: dict[str, int]
    fetched: str


@dataclass(frozen=True)
class WeightsLocation:
    """The location of a model's files: a folder in diffusers layout, or one original file.

    ``sha256`` holds the recorded hashes by file name; it is empty for the user's own files.
    """

    path: Path
    sha256: Mapping[str, str] = field(default_factory=dict)


def import_hub() -> Any:
    """Imports ``huggingface_hub``. Raises :class:`ModelError` if it is not installed."""
    try:
        import huggingface_hub
        import huggingface_hub.constants
    except ImportError as error:
        raise ModelError("huggingface-hub is missing: pip install 'calotype[sd]'") from error
    return huggingface_hub


def records_folder() -> Path:
    """Returns the folder of records, acceptances and cached embeddings. Raises :class:`ModelError`."""
    return Path(import_hub().constants.HF_HOME) / "calotype"


def fetched_location(source: FetchedModel) -> WeightsLocation:
    """Returns the location of a fetched model. Raises :class:`ModelError` if files are missing."""
    record = read_record(source)
    if record is None:
        raise ModelError(f"{source.name} is not on this machine: run 'calotype models fetch {source.name}'")
    paths = {name: path_in_hub_cache(record.repository, name, record.commit) for name in record.size}
    for name, path in paths.items():
        if path is None:
            raise ModelError(
                f"{name} of {source.name} is missing: run 'calotype models fetch {source.name}' again"
            )
        # The top of the snapshot is as many folders up as the name has parts.
        top = path.parents[name.count("/")]
    return WeightsLocation(top, record.sha256)


def own_location(path: str | os.PathLike[str], name: str) -> WeightsLocation:
    """Returns the location of the user's own weights of model ``name``. Raises :class:`ModelError`."""
    if not Path(path).exists():
        raise ModelError(f"there is no file or folder {path} with the weights of {name}")
    return WeightsLocation(Path(path).resolve())


def is_fetched(source: FetchedModel) -> bool:
    """Returns whether the model was fetched and its files still exist; their content is not checked."""
    try:
        record = read_record(source)
    except ModelError:
        return False
    return record is not None and all(
        path_in_hub_cache(record.repository, n, record.commit) for n in record.size
    )


def path_in_hub_cache(repository: str, file: str, commit: str) -> Path | None:
    """Returns the path of a file in the hub's cache, or None."""
    cached_file = import_hub().try_to_load_from_cache(
        repository, file, cache_dir=import_hub().constants.HF_HUB_CACHE, revision=commit
    )
    return Path(cached_file) if isinstance(cached_file, str) else None


def check_file_hash(path: Path, expected: str, model: str) -> None:
    """Raises :class:`ModelError`, with both hashes, if a file is not what was fetched."""
    actual = file_hash(path)
    if actual != expected:
        raise ModelError(_changed_file_message(model, path, expected, actual))


def _changed_file_message(model: str, path: Path, expected: str, actual: str) -> str:
    return (
        f"{path} has changed since it was fetched: its sha256 is {actual}, not {expected} "
        f"('calotype models fetch --force {model}' fetches it again)"
    )


def file_hash(path: Path) -> str:
    """Returns the SHA-256 of a file in hexadecimal. Raises :class:`ModelError` if it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ModelError(f"{path} cannot be read ({error.strerror})") from error


def read_record(source: FetchedModel) -> FetchRecord | None:
    """Returns the record of a fetched model, or None. Raises :class:`ModelError` if it is damaged."""
    path = records_folder() / f"{source.name}.json"
    try:
        return FetchRecord(**json.loads(path.read_text("utf-8")))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as error:
        raise ModelError(f"{path} is damaged: run 'calotype models fetch --force {source.name}'") from error


def write_record(
    source: FetchedModel, commit: str, sha256: dict[str, str], size: dict[str, int]
) -> FetchRecord:
    """Writes the record of a fetched model. Raises :class:`OutputError`."""
    record = FetchRecord(
        source.repository, commit, sha256, size, datetime.now(UTC).isoformat(timespec="seconds")
    )
    write_record_file(
        records_folder() / f"{source.name}.json", json.dumps(record.__dict__, indent=2).encode()
    )
    return record


def is_licence_accepted(licence: Licence) -> bool:
    """Returns whether the licence needs no acceptance, or was accepted on this machine."""
    return not licence.restrictions or licence.name in _accepted_licences()


def record_acceptance(licence: Licence) -> None:
    """Records that the user accepted ``licence``. Raises :class:`OutputError`."""
    known = _accepted_licences() | {licence.name: datetime.now(UTC).isoformat(timespec="seconds")}
    write_record_file(records_folder() / "licences.json", json.dumps(known, indent=2).encode())


def _accepted_licences() -> dict[str, str]:
    try:
        return dict(json.loads((records_folder() / "licences.json").read_text("utf-8")))
    except (OSError, ValueError):
        return {}


def write_record_file(path: Path, data: bytes) -> None:
    """Writes a small file, and creates its folder if needed. Raises :class:`OutputError`."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, data, overwrite=True)
    except OSError as error:
        raise OutputError(f"{path} cannot be written ({error.strerror})") from error
