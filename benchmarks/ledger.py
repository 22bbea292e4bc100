"""The figures measured so far: written to disk at once, and dropped when the weights change."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Container, Iterable, Mapping, Sequence
from importlib.resources import files
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

__all__ = ["Figures", "Ledger", "fingerprint"]

_ANY = "-"  # This stands in place of a fingerprint for figures that do not depend on the weights.


class Figures:
    """The figures of each picture by name: ``{picture: {name: value}}``."""

    def __init__(self, pictures: Mapping[str, Mapping[str, float]]) -> None:
        self._pictures = pictures

    @property
    def pictures(self) -> list[str]:
        """The names of the pictures."""
        return list(self._pictures)

    def has(self, name: str) -> bool:
        """Returns whether there are pictures, and all of them have this figure."""
        return bool(self._pictures) and all(name in figures for figures in self._pictures.values())

    def values(self, name: str) -> NDArray[np.float64]:
        """Returns a figure of every picture, float64[pictures]."""
        return np.array([figures[name] for figures in self._pictures.values()])

    def mean(self, name: str) -> float:
        """Returns the mean of a figure over the pictures."""
        return float(self.values(name).mean())


class Ledger:
    """A CSV file of figures, with the columns weights, item, picture, figure and value.

    ``weights`` is the fingerprint of the embedded weights. Lines of other weights are dropped when the file
    is opened, unless their item is one of ``lasting``, whose figures do not depend on the weights.
    """

    _HEAD = ("weights", "item", "picture", "figure", "value")

    def __init__(self, path: Path, weights: str, lasting: Container[str] = ()) -> None:
        self._path, self._weights, self._lasting = path, weights, lasting
        self._known: dict[tuple[str, str], dict[str, float]] = {}
        if path.exists():
            text = path.read_text("utf-8")
            whole = text[: text.rfind("\n") + 1]  # The last line may be incomplete.
            for of, item, picture, name, value in csv.reader(whole.splitlines()):
                if of in (weights, _ANY):
                    self._known.setdefault((item, picture), {})[name] = float(value)
        path.parent.mkdir(parents=True, exist_ok=True)
        self._rewrite()

    def add(self, item: str, picture: str, figures: Mapping[str, float]) -> None:
        """Adds figures of one picture and writes them to the file."""
        self._known.setdefault((item, picture), {}).update(figures)
        self._write("a", self._lines(item, picture, figures))

    def forget(self, item: str, pictures: Container[str]) -> None:
        """Drops the figures of one item, in the file too."""
        self._known = {
            key: kept for key, kept in self._known.items() if key[0] != item or key[1] not in pictures
        }
        self._rewrite()

    def has(self, item: str, picture: str, *names: str) -> bool:
        """Returns whether a picture has figures of the item, those of ``names`` among them."""
        known = self._known.get((item, picture), {})
        return bool(known) and all(name in known for name in names)

    def figures(self, pictures: Sequence[str]) -> Figures:
        """Returns all figures of ``pictures``."""
        known: dict[str, dict[str, float]] = {picture: {} for picture in pictures}
        for (_, picture), figures in self._known.items():
            if picture in known:
                known[picture] |= figures
        return Figures(known)

    def _rewrite(self) -> None:
        ordered = sorted(self._known.items())
        lines = [line for key, figures in ordered for line in self._lines(*key, figures)]
        self._write("w", [self._HEAD, *lines])

    def _lines(self, item: str, picture: str, figures: Mapping[str, float]) -> list[Sequence[str]]:
        of = _ANY if item in self._lasting else self._weights
        return [(of, item, picture, name, f"{value:.6g}") for name, value in figures.items()]

    def _write(self, mode: str, lines: Iterable[Sequence[str]]) -> None:
        with self._path.open(mode, encoding="utf-8", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows(lines)


def fingerprint() -> str:
    """Returns the fingerprint of the embedded weights and the context model."""
    sums = (files("calotype.models") / "weights" / "sha256.json").read_bytes()
    return hashlib.sha256(sums).hexdigest()[:12]
