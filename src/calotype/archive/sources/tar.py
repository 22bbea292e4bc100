"""Pictures in tar files, WebDataset's shards among them."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator

from calotype.archive.counts import Counts
from calotype.archive.sources.item import Item, Problem, last_name, opened, reason_of, shown
from calotype.archive.sources.names import is_hidden, is_picture
from calotype.errors import CalotypeError

__all__ = ["is_compressed_tar", "is_tar", "scan_tar"]

_PLAIN = (".tar",)
_COMPRESSED = (".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
_MAX_MEMBER_BYTES = 1 << 31
"""The largest member of a compressed tar file that is read into memory, in bytes."""


def is_tar(name: str) -> bool:
    """Returns whether a path or URL is named like a tar file."""
    return name.lower().endswith(_PLAIN + _COMPRESSED)


def is_compressed_tar(name: str) -> bool:
    """Returns whether a path or URL is named like a tar file that must be unpacked to be listed."""
    return name.lower().endswith(_COMPRESSED)


def scan_tar(location: str, counts: Counts) -> Iterator[Item | Problem]:
    """Yields the pictures of a tar file in its order; other members count as ignored.

    Their addresses are ``tar://member::file``, which fsspec can open. Only the headers of a plain tar file
    are read here; from a compressed one the pictures are read too.
    """
    compressed = is_compressed_tar(location)
    source, times_seen = shown(location), dict[str, int]()
    try:
        with opened(location) as file, tarfile.open(fileobj=file, mode="r|*" if compressed else "r:") as tar:
            for member in tar:
                name = shown(member.name)
                if not member.isfile() or is_hidden(name.rpartition("/")[2]) or not is_picture(name):
                    counts.ignored += member.isfile()
                    tar.members = []  # type: ignore[attr-defined]  # tarfile would keep every header
                    continue
                uri, occurrence = f"tar://{name}::{source}", times_seen.get(name, 0)
                times_seen[name] = occurrence + 1
                place = (uri, name, source, location, member.offset_data, member.size)
                if not compressed:
                    yield Item(*place, occurrence=occurrence)
                elif member.size > _MAX_MEMBER_BYTES:
                    yield Problem(
                        uri, name, source, f"has {member.size} bytes, which is too much", "LimitError"
                    )
                else:
                    content = tar.extractfile(member)
                    data = b"" if content is None else content.read()
                    yield Item(*place, data=data, occurrence=occurrence)
                tar.members = []  # type: ignore[attr-defined]
    except (CalotypeError, GeneratorExit):
        raise
    except Exception as error:  # The exceptions come from tarfile, decompressors and file systems.
        yield Problem(source, last_name(source), source, f"cannot be read to its end ({reason_of(error)})")
