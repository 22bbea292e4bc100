"""One photograph of a report: the files of every codec, and the columns of the page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calotype.compare.contest import Entry
from calotype.compare.folder import PageFiles
from calotype.compare.latent_view import latent_picture
from calotype.compare.metrics import METRICS
from calotype.compare.rows import Row
from calotype.compare.tables import formatted_figure
from calotype.container import EXTENSION, parse_file
from calotype.decoding import decode_latents
from calotype.limits import ANY_SIZE

__all__ = ["ReportSubject"]

_UNBROKEN = str.maketrans(" -", "\N{NO-BREAK SPACE}\N{NON-BREAKING HYPHEN}")


class ReportSubject:
    """Its pictures are written at once, and only their addresses kept.

    ``rows``: its figures; ``columns``: by size, what the page shows; ``failed``: why a codec has no column,
    by name.
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
    ) -> None:
        self.name = name
        self.failed = failed
        self.height, self.width = rgb.shape[:2]
        self._place, self._pictures = place, pictures
        self.original = pictures.add(f"{place}/original", rgb)
        self.rows: list[Row] = []
        self.columns: dict[int, list[dict[str, Any]]] = {size: [self._original()] for size in sizes}
        self._addresses: dict[str, tuple[str, tuple[str, str] | None]] = {}
        ghosts: dict[int, list[dict[str, Any]]] = {size: [] for size in sizes}
        for entry in entries:
            self.rows.append(entry.row)
            picture, ghost = self._written(entry)
            self.columns[entry.row.budget].append(self._column(entry, picture))
            if ghost is not None:
                ghosts[entry.row.budget].append(self._ghost(entry, *ghost))
        for size in sizes:
            self.columns[size] += ghosts[size]

    def _original(self) -> dict[str, Any]:
        return {
            "id": "original",
            "label": "Original",
            "note": f"{3 * self.width * self.height:,} bytes as plain RGB, {self.width} × {self.height}",
            "src": self.original,
            "alt": f"{self.name}, the original",
            "width": self.width,
        }

    def _written(self, entry: Entry) -> tuple[str, tuple[str, str] | None]:
        """Returns (address of the picture, (that of its latents, their shape)); equal files are written
        once.
        """
        name = f"{self._place}/{entry.row.codec}-{entry.row.size}"
        if name not in self._addresses:
            ghost = None
            self._pictures.write(name + entry.suffix, entry.coded.data)
            if entry.suffix == EXTENSION:
                latents = decode_latents(parse_file(entry.coded.data, limits=ANY_SIZE)).latents
                _, rows, columns = latents.shape
                address = self._pictures.add(f"{name}-latents", latent_picture(latents))
                ghost = address, f"{columns} × {rows}"
            self._addresses[name] = self._pictures.add(name, entry.coded.rgb), ghost
        return self._addresses[name]

    def _column(self, entry: Entry, address: str) -> dict[str, Any]:
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
            "src": address,
            "alt": f"{self.name}, as {entry.title} gives it back from {row.size:,} bytes",
            "width": self.width,
        }

    def _ghost(self, entry: Entry, address: str, shape: str) -> dict[str, Any]:
        return {
            "id": f"{entry.row.codec}-latents",
            "label": f"Latents of {entry.title}",
            "note": f"{shape} positions, four channels shown as three colours",
            "src": address,
            "alt": f"The latents that {entry.title} keeps of {self.name}: a small, ghostly version of it",
            "width": self.width,
            "coarse": True,
        }
