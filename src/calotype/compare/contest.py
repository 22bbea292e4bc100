"""A contest of codecs: every codec on a picture at every size, with the metrics."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from calotype.codec import ImageLike
from calotype.compare.codecs import Codec, Coded, UncodableError, codec_makers
from calotype.compare.metrics import Metric, UnmeasurableError, available_metrics
from calotype.compare.rows import Row
from calotype.errors import ModelError, OutOfMemoryError
from calotype.fidelity import Fidelity, load_calibration, measure_fidelity
from calotype.imaging import load_picture, over_white
from calotype.limits import Limits
from calotype.models import FeatureNetwork, load_features
from calotype.options import DiffusionOptions

__all__ = ["DEFAULT_CODECS", "DEFAULT_SIZES", "Contest", "Entry", "Rules", "read_pixels"]

DEFAULT_SIZES = (5000, 2500, 1250)
"""The default sizes of whole files, in bytes."""

DEFAULT_CODECS = ("jpeg", "webp", "avif", "jxl")


@dataclass(frozen=True)
class Rules:
    """The codecs of a contest: Calotype with each of ``models``, and ``codecs``.

    ``lpips`` is the graph of that metric. ``threads`` is the number of threads for the networks; None uses
    every core. ``diffusion`` has the options of the Stable Diffusion models.
    """

    models: tuple[str, ...] = ("pocket",)
    codecs: tuple[str, ...] = DEFAULT_CODECS
    lpips: Path | None = None
    threads: int | None = None
    diffusion: DiffusionOptions = field(default_factory=DiffusionOptions)


@dataclass(frozen=True, eq=False)
class Entry:
    """The file of one codec for a picture, and its figures."""

    title: str
    suffix: str
    coded: Coded
    row: Row


class Contest:
    """Makes codecs and metrics once and uses them for every picture.

    ``codecs`` and ``metrics`` are those that can run here. ``missing`` has the reason for each other one, by
    name. ``failed`` has the reason for each picture that a codec cannot code, by (picture, codec).
    """

    def __init__(self, rules: Rules) -> None:
        """Raises :class:`ModelError` if no codec can run, or if the graph of LPIPS cannot be used."""
        self.metrics, self.missing = available_metrics(rules.lpips, rules.threads)
        self.codecs: dict[str, Codec] = {}
        self.failed: dict[tuple[str, str], str] = {}
        self._threads = rules.threads
        makers = codec_makers(rules.models, rules.codecs, rules.threads, rules.diffusion)
        for name, make in makers.items():
            try:
                self.codecs[name] = make()
            except ModelError as error:
                self.missing[name] = str(error)
        if not self.codecs:
            raise ModelError("; ".join(self.missing[name] for name in makers))

    @cached_property
    def _features(self) -> FeatureNetwork:
        return load_features(load_calibration().activations, self._threads)

    def fidelity(self, rgb: NDArray[np.uint8], decoded: NDArray[np.uint8]) -> Fidelity:
        """Measures the fidelity of ``decoded`` to ``rgb``, both uint8[H, W, 3], as ``calotype verify``."""
        return measure_fidelity(rgb, decoded, self._features)

    def enter(
        self, picture: str, rgb: NDArray[np.uint8], sizes: Sequence[int], labels: Sequence[int] | None = None
    ) -> Iterator[Entry]:
        """Runs every codec on ``rgb``, uint8[H, W, 3] in sRGB, within each of ``sizes`` (bytes).

        A codec whose model is missing is added to ``missing``, and a codec that cannot code this picture to
        ``failed``. ``labels``, one for each size, are the budgets in the rows; by default they are the sizes.
        """
        for name in tuple(self.codecs):
            try:
                yield from self.run(name, picture, rgb, sizes, labels)
            except ModelError as error:
                self.missing[name] = str(error)
                del self.codecs[name]
            except (UncodableError, OutOfMemoryError) as error:
                self.failed[picture, name] = str(error)

    def run(
        self,
        name: str,
        picture: str,
        rgb: NDArray[np.uint8],
        sizes: Sequence[int],
        labels: Sequence[int] | None = None,
    ) -> list[Entry]:
        """Runs one codec of the contest; see :meth:`enter`.

        Raises :class:`ModelError`, :class:`UncodableError`, :class:`OutOfMemoryError`.
        """
        try:
            return self._run(name, picture, rgb, sizes, labels)
        except MemoryError as error:
            raise OutOfMemoryError(f"there is not enough memory for {name} and its metrics") from error

    def _run(
        self,
        name: str,
        picture: str,
        rgb: NDArray[np.uint8],
        sizes: Sequence[int],
        labels: Sequence[int] | None,
    ) -> list[Entry]:
        codec, entries = self.codecs[name], []
        all_coded = codec.compress(rgb, sizes)
        for label, coded in zip(labels or sizes, all_coded, strict=True):
            figures = {key: _metric_value(metric, rgb, coded.rgb) for key, metric in self.metrics.items()}
            height, width = rgb.shape[:2]
            row = Row(picture, name, label, coded.size, coded.fits, width, height, figures)
            entries.append(Entry(codec.title, codec.suffix, coded, row))
        return entries


def _metric_value(metric: Metric, reference: NDArray[np.uint8], picture: NDArray[np.uint8]) -> float | None:
    try:
        return metric(reference, picture)
    except UnmeasurableError:
        return None


def read_pixels(image: ImageLike, limits: Limits | None = None) -> NDArray[np.uint8]:
    """Reads the input of all codecs: uint8[H, W, 3] in sRGB, upright, composited over white.

    Raises :class:`SourceError`, :class:`LimitError`.
    """
    picture = load_picture(image, limits=limits or Limits(), strict=False, keep=())
    return over_white(picture.rgb, picture.alpha)
