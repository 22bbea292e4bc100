"""Sampling of a source: pictures drawn at random from its listing, measured and encoded by workers."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from time import perf_counter

import numpy as np
from PIL import Image

from calotype.archive.counts import Counts
from calotype.archive.engines.encoder import Encoder, Failure, Work, codec_of, failure_of
from calotype.archive.schema import Row
from calotype.archive.sources.item import Item, Problem
from calotype.errors import CalotypeError
from calotype.imaging.source import open_picture_source
from calotype.limits import Limits

__all__ = ["Draw", "Measured", "Sampler", "Size", "draw"]

_HEAD = 1 << 18
"""The number of bytes at the beginning of a file in which its width and height are looked for first."""


@dataclass(frozen=True)
class Size:
    """The size of a source in bytes and pixels; 0 pixels where its header cannot be read or is refused."""

    source_bytes: int
    pixels: int


@dataclass(frozen=True)
class Measured:
    """The result of one setting for a picture: its row or its failure, and the time.

    ``seconds`` are those of one core, reading included.
    """

    outcome: Row | Failure
    seconds: float


@dataclass(frozen=True)
class Draw:
    """A random sample of a listing, in random order, and the counts of the listing."""

    items: tuple[Item, ...]
    pictures: int
    problems: int
    ignored: int


def draw(
    listing: Iterable[Item | Problem], counts: Counts, max_pictures: int, seed: int, folder: Path
) -> Draw:
    """Draws up to ``max_pictures`` pictures of a listing with equal probabilities (reservoir sampling).

    The listing is read to its end. Pictures that come with their bytes, as those of compressed tar files do,
    are written to ``folder``. ``seed`` determines the sample.
    """
    random, reservoir, pictures, problems = Random(seed), list[Item](), 0, 0
    for item in listing:
        if isinstance(item, Problem):
            problems += 1
            continue
        pictures += 1
        slot = len(reservoir) if len(reservoir) < max_pictures else random.randrange(pictures)
        if slot >= max_pictures:
            continue
        if item.data is not None:
            path = folder / f"{slot}"
            path.write_bytes(item.data)
            item = replace(item, data=None, location=str(path), offset=None, size=None)
        reservoir[slot : slot + 1] = [item]
    random.shuffle(reservoir)
    return Draw(tuple(reservoir), pictures, problems, counts.ignored)


class Sampler:
    """Measures pictures, or encodes them with several settings; a worker process holds one.

    A task is (an item, whether it is to be encoded). The result is its :class:`Size`, or a list with a
    :class:`Measured` for each setting.
    """

    def __init__(self, works: tuple[Work, ...]) -> None:
        codec = codec_of(works[0])
        self._encoders = [(work, Encoder(work, codec)) for work in works]
        self._limits = works[0].options.limits
        self._warm = False

    def __call__(self, task: tuple[Item, bool]) -> Size | list[Measured]:
        item, encode = task
        return self._encoded(item) if encode else _size_of(item, self._limits)

    def _encoded(self, item: Item) -> list[Measured]:
        if not self._warm:
            self._warm_up()
        started = perf_counter()
        try:
            data = item.read(self._limits)
        except CalotypeError as error:
            return [Measured(failure_of(error), perf_counter() - started)] * len(self._encoders)
        reading, results = perf_counter() - started, []
        for _, encoder in self._encoders:
            started = perf_counter()
            try:
                outcome: Row | Failure = encoder.row(item, data)
            except Exception as error:
                outcome = failure_of(error)
            results.append(Measured(outcome, reading + perf_counter() - started))
        return results

    def _warm_up(self) -> None:
        """Loads the models, so that their loading does not count as time of a picture."""
        content = io.BytesIO()
        Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(content, "PNG")
        for _, encoder in self._encoders:
            with suppress(CalotypeError):
                encoder.row(Item("", "", "", ""), content.getvalue())
        self._warm = True


def _size_of(item: Item, limits: Limits) -> Size:
    """Reads the size of a picture from its header: from the beginning of the file or, if that fails, from all
    of it."""
    length = 0
    try:
        with item.opened() as file:
            start = item.offset or 0
            length = item.size if item.size is not None else file.seek(0, io.SEEK_END) - start
            for size in (_HEAD, length):
                file.seek(start)
                pixels = _pixels(file.read(min(size, length)), limits)
                if pixels is not None:
                    return Size(length, pixels)
                if length <= _HEAD or length > 8 * limits.max_pixels + limits.max_metadata_bytes:
                    break
    except Exception:  # The failure is reported if the picture is encoded.
        return Size(length, 0)
    return Size(length, 0)


def _pixels(data: bytes, limits: Limits) -> int | None:
    """Returns the number of pixels by the header; None if it has none, or more than the limits allow."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with open_picture_source(io.BytesIO(data), limits) as (image, _):
                return image.size[0] * image.size[1]
        except Exception:  # Pillow raises exceptions of many types for other data.
            return None
