"""One photograph of a report: the files of every codec, and the columns of the page."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calotype.compare.codecs import OURS
from calotype.compare.contest import Entry
from calotype.compare.folder import PageFiles
from calotype.compare.latent_view import latent_picture
from calotype.compare.metrics import METRICS
from calotype.compare.rows import Row
from calotype.compare.tables import formatted_figure
from calotype.container import EXTENSION, parse_file
from calotype.decoding import decode_latents
from calotype.fidelity import Fidelity, mark_unlike
from calotype.limits import ANY_SIZE

__all__ = ["ReportSubject"]

_Measure = Callable[[NDArray[np.uint8], NDArray[np.uint8]], Fidelity]

_UNBROKEN = str.maketrans(" -", "\N{NO-BREAK SPACE}\N{NON-BREAKING HYPHEN}")


@dataclass(frozen=True)
class _Addresses:
    """The addresses of the pictures of an entry; None if there is no such picture.

    ``picture`` is the decoded one. ``latents`` are the address of a picture of the latents, and their shape
    as text. ``marked`` is the decoded picture with marks where it differs from the original in structure.
    """

    picture: str
    latents: tuple[str, str] | None
    marked: str | None


class ReportSubject:
    """One photograph of a report. Its pictures are written at once, and only their addresses are kept.

    ``rows`` are its figures, ``columns`` the columns of the page by size, and ``failed`` the reasons why a
    codec has no column, by name. ``fidelity`` is the function that compares a decoded picture with the
    original.
    """

    def __init__(
        self,
        name: str,
        rgb: NDArray[np.uint8],
        place: str,
        pictures: PageFiles,
        sizes: Sequence[int],
        entries: Iterable[Entry],
        failed: Mapping[str, str],
        fidelity: _Measure,
    ) -> None:
        self.name = name
        self.failed = failed
        self.height, self.width = rgb.shape[:2]
        self._place, self._pictures = place, pictures
        self.original = pictures.add(f"{place}/original", rgb)
        self.rows: list[Row] = []
        self.columns: dict[int, list[dict[str, Any]]] = {size: [self._original()] for size in sizes}
        self._addresses: dict[str, _Addresses] = {}
        latent_columns: dict[int, list[dict[str, Any]]] = {size: [] for size in sizes}
        for entry in entries:
            self.rows.append(entry.row)
            addresses = self._written(entry, rgb, fidelity)
            self.columns[entry.row.budget].append(self._column(entry, addresses))
            if addresses.latents is not None:
                latent_columns[entry.row.budget].append(self._latents_column(entry, *addresses.latents))
        for size in sizes:
            self.columns[size] += latent_columns[size]

    def _original(self) -> dict[str, Any]:
        return {
            "id": "original",
            "label": "Original",
            "note": f"{3 * self.width * self.height:,} bytes as plain RGB, {self.width} × {self.height}",
            "src": self.original,
            "alt": f"{self.name}, the original",
            "width": self.width,
        }

    def _written(self, entry: Entry, rgb: NDArray[np.uint8], fidelity: _Measure) -> _Addresses:
        """Writes the pictures of an entry for the original ``rgb``; those of equal files are written once."""
        name = f"{self._place}/{entry.row.codec}-{entry.row.size}"
        if name not in self._addresses:
            decoded, latents_picture, marked = entry.coded.rgb, None, None
            self._pictures.write(name + entry.suffix, entry.coded.data)
            if entry.suffix == EXTENSION:
                latents = decode_latents(parse_file(entry.coded.data, limits=ANY_SIZE)).latents
                _, rows, columns = latents.shape
                address = self._pictures.add(f"{name}-latents", latent_picture(latents))
                latents_picture = address, f"{columns} × {rows}"
            if entry.row.codec.startswith(OURS):
                marked = self._pictures.add(f"{name}-marked", mark_unlike(decoded, fidelity(rgb, decoded)))
            self._addresses[name] = _Addresses(self._pictures.add(name, decoded), latents_picture, marked)
        return self._addresses[name]

    def _column(self, entry: Entry, addresses: _Addresses) -> dict[str, Any]:
        row = entry.row
        parts = [f"{row.size:,} bytes" + ("" if row.fits else ", its smallest")]
        parts += [f"{row.ratio:.0f} : 1", f"{row.bpp:.3f} bpp"]
        parts += [
            f"{METRICS[name].title} {formatted_figure(name, value)}"
            for name, value in row.figures.items()
            if value is not None
        ]
        return {
            "id": row.codec,
            "label": entry.title,
            "note": " · ".join(part.translate(_UNBROKEN) for part in parts),
            "src": addresses.picture,
            "alt": f"{self.name}, as {entry.title} decodes it from {row.size:,} bytes",
            "width": self.width,
        } | ({"marked": addresses.marked} if addresses.marked else {})

    def _latents_column(self, entry: Entry, address: str, shape: str) -> dict[str, Any]:
        return {
            "id": f"{entry.row.codec}-latents",
            "label": f"Latents of {entry.title}",
            "note": f"{shape} positions, four channels shown as three colours",
            "src": address,
            "alt": f"The latents of {self.name} in the file of {entry.title}: a small, pale picture",
            "width": self.width,
            "coarse": True,
        }
