"""Pictures at URLs, through fsspec."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from calotype.archive.counts import Counts
from calotype.archive.extras import filesystems
from calotype.archive.sources.item import WEB, Item, Problem, last_name, reason_of
from calotype.archive.sources.names import has_wildcard, is_hidden, is_picture
from calotype.archive.sources.tar import is_tar, scan_tar
from calotype.errors import CalotypeError

__all__ = ["scan_url"]


def scan_url(url: str, counts: Counts) -> Iterator[Item | Problem]:
    """Yields the pictures of a folder, a pattern or a file at ``url``."""
    try:
        fs, path = filesystems().core.url_to_fs(url)
        is_pattern = has_wildcard(path.replace("?", "") if url.startswith(WEB) else path)
        if is_pattern:
            addresses: Iterable[str] = sorted(fs.glob(path))
            if not addresses:
                yield _url_problem(url, "matches no file")
        elif fs.isfile(path):
            addresses = [path]
        elif fs.isdir(path):
            addresses = (name for _, _, names in fs.walk(path, detail=True) for name in _remote_paths(names))
        else:
            addresses = [path]  # Reading it reports the error.
        for name in addresses:
            address = fs.unstrip_protocol(name)
            short = last_name(address)
            if is_pattern and is_tar(address):
                yield from scan_tar(address, counts)
            elif name == path or is_pattern or (is_picture(short) and not is_hidden(short)):
                address = url if name == path else address
                inside = name.startswith(f"{path}/")
                yield Item(address, name.removeprefix(f"{path}/") if inside else short, url, address)
            else:
                counts.ignored += 1
    except (CalotypeError, GeneratorExit):
        raise
    except Exception as error:  # File systems raise exceptions of many types, also for missing credentials.
        yield _url_problem(url, f"cannot be listed ({reason_of(error)})")


def _remote_paths(names: dict[str, dict[str, str]]) -> list[str]:
    return sorted(str(entry["name"]) for entry in names.values())


def _url_problem(url: str, reason: str) -> Problem:
    return Problem(url, last_name(url), url, reason)
