"""An archive as a data set for training: by number, or shuffled from part to part. It needs no torch."""

from __future__ import annotations

import hashlib
import io
import os
import pickle
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import Any, Literal

import numpy as np

import calotype
from calotype.archive.reader import Archive
from calotype.archive.schema import PICTURES, Row
from calotype.archive.selection import Filters, select
from calotype.errors import ChecksumError, FormatError, LimitError, SourceError
from calotype.imaging import load_picture
from calotype.limits import Limits

__all__ = ["Dataset"]

_CACHED_GROUPS = 4
"""The number of row groups, of at most 100 pictures each, that random access keeps in memory."""

_MIXED_GROUPS = 8
"""The default number of row groups whose pictures are mixed with each other."""

_STORED = ("payload", "original")
_NEEDED = (*_STORED, "id", "duplicate_of", "payload_sha256", "source_sha256")
"""The columns with the content of a picture, and those that verify it."""


class Dataset:
    """The pictures of an archive by number, each a dictionary.

    An item has the requested ``columns`` and, under its name, the ``content``: "payload" is the ``.calo``
    file (or, under "original", the bytes of a picture that kept its original); "latents" are float32[4, h,
    w], scaled as for the U-Net of Stable Diffusion; "picture" is uint8[H, W, 3] in sRGB; with None there is
    no content. ``filters`` choose pictures by any columns, as in ``pyarrow.parquet.read_table``: ``[("width",
    ">=", 512)]``. A data set of latents leaves out pictures that kept their original. ``transform`` is called
    with each item, and its result replaces the item. Duplicates have the content of the picture to which they
    refer.

    A data set can be pickled, and used after a fork, so that a ``torch.utils.data.DataLoader`` can have
    several workers. It has the pictures that were in the archive when it was made.

    Raises ``ValueError``, the errors of :class:`Archive`, and :class:`FormatError` for damaged parts.
    """

    def __init__(
        self,
        address: str | os.PathLike[str],
        content: Literal["payload", "latents", "picture"] | None = "payload",
        *,
        columns: Sequence[str] = ("id", "name"),
        filters: Filters | None = None,
        transform: Callable[[dict[str, Any]], Any] | None = None,
        limits: Limits | None = None,
    ) -> None:
        if content not in ("payload", "latents", "picture", None):
            raise ValueError(f"content (={content!r}) must be payload, latents, picture or None")
        known = [column.name for column in PICTURES if column.name not in _STORED]
        if unknown := [name for name in columns if name not in known]:
            raise ValueError(f"columns (={unknown[0]!r}) must be of {', '.join(known)}")
        self._content, self._columns, self._transform = content, tuple(columns), transform
        self._limits = limits or Limits()
        with Archive(address) as archive:
            self._selection = select(archive, filters, latents=content == "latents")
        self._attach(archive)

    def __len__(self) -> int:
        return len(self._selection)

    def __getitem__(self, index: int) -> Any:
        """Returns a picture by its number, negative from the end.

        Raises ``IndexError``, and :class:`FormatError` for a damaged picture.
        """
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[Any]:
        """Returns several pictures; each row group that holds some of them is read once."""
        items: dict[int, Any] = {}
        places = sorted((*self._selection.place(index), position) for position, index in enumerate(indices))
        for number, members in groupby(places, key=lambda place: place[0]):
            rows = self._cached(number)
            for _, row, position in members:
                items[position] = self._item(rows[row])
        return [items[position] for position in range(len(indices))]

    def __iter__(self) -> Iterator[Any]:
        """Yields all pictures in the order of the archive."""
        for number in range(len(self._selection.groups)):
            yield from map(self._item, self._read(number))

    def shuffled(
        self,
        seed: int = 0,
        *,
        epoch: int = 0,
        worker: int = 0,
        workers: int = 1,
        skip: int = 0,
        mixed_groups: int = _MIXED_GROUPS,
    ) -> Iterator[Any]:
        """Yields each picture once, in an order that ``seed`` and ``epoch`` determine.

        Parts come in random order, and the row groups of each in random order. The pictures of
        ``mixed_groups`` row groups, which memory holds, are mixed with each other. The row groups are divided
        between the ``workers``, so that most parts belong to one worker and the numbers of row groups differ
        by at most one. ``skip`` leaves out so many pictures at the beginning of this worker's, to go on
        within an epoch; few of them are read. Raises ``ValueError``, and :class:`FormatError` for a damaged
        picture.
        """
        if not 0 <= worker < workers:
            raise ValueError(f"worker (={worker}) must be at least 0 and below workers (={workers})")
        if skip < 0 or mixed_groups < 1:
            raise ValueError(
                f"skip (={skip}) must be at least 0, and mixed_groups (={mixed_groups}) at least 1"
            )
        order = self._selection.shuffled(np.random.default_rng([seed, epoch])).tolist()
        share = order[len(order) * worker // workers : len(order) * (worker + 1) // workers]
        for first in range(0, len(share), mixed_groups):
            numbers = share[first : first + mixed_groups]
            size = sum(map(self._selection.size_of, numbers))
            if skip >= size:
                skip -= size
                continue
            mixed = np.random.default_rng([seed, epoch, worker, workers, first]).permutation(size)
            rows = [row for number in numbers for row in self._read(number)]
            for position in mixed[skip:]:
                yield self._item(rows[position])
            skip = 0

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name not in _OF_A_PROCESS}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._attach(state["_archive"])

    def _attach(self, archive: Archive) -> None:
        """Sets the fields that belong to one process; ``archive`` has no open files."""
        self._archive = archive
        self._process = os.getpid()
        self._cache: OrderedDict[int, list[Row]] = OrderedDict()
        self._codec: calotype.Codec | None = None

    def _here(self) -> Archive:
        """Returns the archive for this process; after a fork it is a copy that opens files of its own."""
        if self._process != os.getpid():
            self._attach(pickle.loads(pickle.dumps(self._archive)))
        return self._archive

    def _cached(self, number: int) -> list[Row]:
        """Returns the selected rows of a row group, from memory if it was read recently."""
        self._here()
        if number not in self._cache:
            self._cache[number] = self._read(number)
            if len(self._cache) > _CACHED_GROUPS:
                self._cache.popitem(last=False)
        self._cache.move_to_end(number)
        return self._cache[number]

    def _read(self, number: int) -> list[Row]:
        archive, selection = self._here(), self._selection
        stored = _NEEDED if self._content is not None else ("id",)
        record = archive.records[selection.parts[number]]
        columns = list(dict.fromkeys([*self._columns, *stored]))
        rows = archive.group(record, int(selection.groups[number]), columns)
        selected = selection.rows_of(number)
        return rows if selected is None else [rows[row] for row in selected]

    def _item(self, row: Row) -> Any:
        item = {name: row[name] for name in self._columns}
        if self._content is not None:
            item |= self._content_of(self._here().resolved(row))
        return item if self._transform is None else self._transform(item)

    def _content_of(self, row: Row) -> dict[str, Any]:
        payload, original = row["payload"], row["original"]
        stored, sha256 = (payload, row["payload_sha256"]) if payload is not None else (original, None)
        if hashlib.sha256(stored or b"").hexdigest() != (sha256 or row["source_sha256"]):
            raise ChecksumError(f"picture {row['id']} is damaged: its bytes do not match their SHA-256")
        if self._content == "payload":
            return {"payload": payload} if payload is not None else {"original": original}
        try:
            if self._content == "latents":
                return {"latents": calotype.read_latents(payload, limits=self._limits)}
            return {"picture": self._picture(payload, original)}
        except (FormatError, LimitError, SourceError) as error:
            raise type(error)(f"picture {row['id']}: {error}") from error

    def _picture(self, payload: bytes | None, original: bytes) -> Any:
        """Returns the pixels uint8[H, W, 3] of a payload or of an original file."""
        if payload is None:
            source = io.BytesIO(original)
            return load_picture(source, limits=self._limits, strict=False, keep=()).rgb
        if self._codec is None:
            self._codec = calotype.Codec(threads=1)
        image = self._codec.decode(payload, limits=self._limits, keep_metadata=False)
        return np.array(image.convert("RGB"))


_OF_A_PROCESS = {"_process", "_cache", "_codec"}
