"""Lists the pictures that the arguments of a command name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from calotype.archive.counts import Counts
from calotype.archive.extras import check_filesystem
from calotype.archive.sources.files import scan_file, scan_folder
from calotype.archive.sources.item import Item, Problem, is_url, location_of, shown
from calotype.archive.sources.manifest import is_manifest, scan_manifest
from calotype.archive.sources.names import expand_braces, has_wildcard
from calotype.archive.sources.patterns import matching, scan_pattern
from calotype.archive.sources.remote import scan_url
from calotype.archive.sources.tar import is_tar, scan_tar
from calotype.errors import SourceError

__all__ = ["scan"]


def scan(sources: Sequence[str], counts: Counts) -> Iterator[Item | Problem]:
    """Yields the pictures of ``sources`` in order, and a :class:`Problem` for what cannot be listed.

    A source is a folder, a picture, a pattern with ``*``, ``?`` or ``[``, a tar file, a manifest, a URL, or
    several of them by braces, as in ``shard-{000..099}.tar``. Raises :class:`SourceError` at once if a path
    is not there or a pattern matches no file, and :class:`ModelError` if a URL needs another package.
    """
    expanded = [name for source in sources for name in _expanded_source(location_of(source))]
    for source in expanded:
        if is_url(source):
            check_filesystem(source)
        elif _is_source_pattern(source):
            if next(matching(source), None) is None:
                raise SourceError(f"{shown(source)} matches no file")
        elif not Path(source).exists() and not Path(source).is_symlink():
            # A broken link is a picture that cannot be read.
            raise SourceError(
                f"{shown(source)} is not there: name a folder, picture, pattern, manifest or URL"
            )
    return _scan_sources(expanded, counts)


def _scan_sources(sources: Sequence[str], counts: Counts) -> Iterator[Item | Problem]:
    for source in sources:
        yield from _scan_source(source, counts)


def _scan_source(source: str, counts: Counts) -> Iterator[Item | Problem]:
    if is_tar(source) and not _is_source_pattern(source):
        yield from scan_tar(source, counts)
    elif is_manifest(source) and not _is_source_pattern(source):
        yield from scan_manifest(source)
    elif is_url(source):
        yield from scan_url(source, counts)
    elif Path(source).is_dir():
        yield from scan_folder(source, counts)
    elif _is_source_pattern(source):
        yield from scan_pattern(source, counts)
    else:
        yield scan_file(source, source)


def _is_source_pattern(source: str) -> bool:
    return has_wildcard(source) and (is_url(source) or not Path(source).exists())


def _expanded_source(source: str) -> list[str]:
    return [source] if not is_url(source) and Path(source).exists() else expand_braces(source)
