"""Fetching of weights from the hub into its own cache, with verification before use.

The hub's client looks up addresses, sizes and hashes, fetches the files and resumes broken connections. A
complete file is kept if a later one cannot be fetched, so that the next call goes on with the later one.
The client compares sizes only, so the hashes are compared here.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from calotype.errors import CalotypeError, ModelError, OutputError
from calotype.models.stable_diffusion.catalogue import FetchedModel
from calotype.models.stable_diffusion.store import (
    FetchRecord,
    check_file_hash,
    file_hash,
    import_hub,
    is_licence_accepted,
    path_in_hub_cache,
    read_record,
    write_record,
)

__all__ = ["HubFile", "fetch_model", "look_up_hub_files"]

_SHA256_LENGTH = 64


@dataclass(frozen=True)
class HubFile:
    """A file of the hub. ``etag`` is its sha256 if it is large, else the sha1 of its git blob."""

    name: str
    commit: str
    etag: str
    size: int


def look_up_hub_files(source: FetchedModel, *, half: bool = False, commit: str = "main") -> list[HubFile]:
    """Looks up sizes and hashes of a model's files, all of one commit.

    Raises :class:`ModelError` if the hub cannot be reached or does not have them.
    """
    files = []
    for name in source.files(half=half):
        url = import_hub().hf_hub_url(source.repository, name, revision=commit)
        with _hub_errors(source, name):
            metadata = import_hub().get_hf_file_metadata(url)
        if metadata.commit_hash is None or metadata.etag is None or metadata.size is None:
            raise ModelError(f"the hub's answer about {name} of {source.repository} is incomplete: try again")
        # The commit of "main" is that of the first file; the others must have the same.
        commit = metadata.commit_hash
        files.append(HubFile(name, commit, metadata.etag, metadata.size))
    return files


def fetch_model(
    source: FetchedModel, *, half: bool = False, force: bool = False, offline: bool = False
) -> FetchRecord:
    """Fetches a model's files unless they are here, verifies and records them.

    ``half`` takes the weights that are stored in 16 bits; ``force`` the repository's newest commit, whatever
    was recorded. With ``offline`` no connection is opened. Raises :class:`ModelError` if files are missing,
    cannot be fetched or have other hashes, or if the licence was not accepted, and
    :class:`OutputError` if they cannot be written.
    """
    record = None if force else read_record(source)
    if record is not None:
        paths = {name: path_in_hub_cache(record.repository, name, record.commit) for name in record.sha256}
        cached_paths = {name: path for name, path in paths.items() if path is not None}
        if len(cached_paths) == len(paths):
            for name, path in cached_paths.items():
                check_file_hash(path, record.sha256[name], source.name)
            return record
    if offline:
        raise ModelError(f"{source.name} is not on this machine, and --offline forbids fetching it")
    if not is_licence_accepted(source.licence):
        raise ModelError(
            f"{source.name} is under the licence {source.licence.name} ({source.licence.url}): "
            f"accept it with 'calotype models fetch {source.name} --accept-licence'"
        )
    commit = "main" if record is None else record.commit
    remotes = look_up_hub_files(source, half=half, commit=commit)
    _check_space(source, remotes)
    sha256, size = {}, {}
    for remote in remotes:
        path = _download_hub_file(source, remote)
        sha256[remote.name], size[remote.name] = file_hash(path), remote.size
        known = record.sha256.get(remote.name) if record else None
        if known is not None:
            check_file_hash(path, known, source.name)
    if commit == "main":
        _name_commit(source, remotes[0])
    return write_record(source, remotes[0].commit, sha256, size)


def _name_commit(source: FetchedModel, remote: HubFile) -> None:
    """Records in the hub's cache which commit "main" is, so that other programs find the files offline."""
    with _output_errors(Path(import_hub().constants.HF_HUB_CACHE)), _hub_errors(source, remote.name):
        import_hub().hf_hub_download(
            source.repository, remote.name, cache_dir=import_hub().constants.HF_HUB_CACHE
        )


def _check_space(source: FetchedModel, remotes: list[HubFile]) -> None:
    folder = Path(import_hub().constants.HF_HUB_CACHE)
    missing = sum(
        remote.size
        for remote in remotes
        if path_in_hub_cache(source.repository, remote.name, remote.commit) is None
    )
    with _output_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(folder).free
    if missing > free:
        raise OutputError(
            f"{source.name} needs {missing / 1e9:.2f} GB more in {folder}, where {free / 1e9:.2f} GB "
            "are free (HF_HOME names another place)"
        )


def _download_hub_file(source: FetchedModel, remote: HubFile) -> Path:
    """Fetches one file into the hub's cache, unless it is there and intact; returns its path."""
    path = path_in_hub_cache(source.repository, remote.name, remote.commit)
    if path is not None and _has_hub_hash(path, remote):
        return path
    with _output_errors(Path(import_hub().constants.HF_HUB_CACHE)), _hub_errors(source, remote.name):
        path = Path(
            import_hub().hf_hub_download(
                source.repository,
                remote.name,
                revision=remote.commit,
                cache_dir=import_hub().constants.HF_HUB_CACHE,
                force_download=path is not None,
            )
        )
    if not _has_hub_hash(path, remote):
        etag = _etag_of(path, remote)
        with _output_errors(path):
            path.resolve().unlink()  # The damaged file is in the cache, where other programs would use it.
            path.unlink(missing_ok=True)
        raise ModelError(
            f"{remote.name} of {source.repository} arrived damaged: its hash is {etag}, "
            f"not {remote.etag}; fetch it again"
        )
    return path


def _has_hub_hash(path: Path, remote: HubFile) -> bool:
    return path.stat().st_size == remote.size and _etag_of(path, remote) == remote.etag


def _etag_of(path: Path, remote: HubFile) -> str:
    if len(remote.etag) == _SHA256_LENGTH:
        return file_hash(path)
    data = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


@contextmanager
def _output_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise OutputError(f"{path} cannot be written ({reason}); what was fetched is kept") from error


@contextmanager
def _hub_errors(source: FetchedModel, file: str) -> Iterator[None]:
    """Turns errors of the hub's client, which come from several packages, into one sentence.

    An operating system's error with a number is not changed, because it concerns the disk.
    """
    from huggingface_hub import errors

    subject = f"{file} of {source.repository}"
    try:
        yield
    except CalotypeError:
        raise
    except errors.EntryNotFoundError as error:
        raise ModelError(f"the hub has no {subject}") from error
    except errors.RepositoryNotFoundError as error:
        raise ModelError(f"the hub has no {source.repository}, or wants a login for it") from error
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        first = str(error).strip().split("\n")[0] or type(error).__name__
        again = f"run 'calotype models fetch {source.name}' again to go on"
        raise ModelError(f"{subject} could not be fetched ({first}): {again}") from error
