"""The number of pictures of the sources, from which the remaining time is estimated."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from calotype.archive.counts import Counts
from calotype.archive.sources.item import is_url
from calotype.archive.sources.scan import scan
from calotype.archive.sources.tar import is_compressed_tar
from calotype.errors import CalotypeError

__all__ = ["PictureCounter"]


class PictureCounter:
    """Counts the pictures of ``sources`` on a thread of its own, while they are archived.

    ``total`` is None until all are counted. It remains None without sources, and with URLs or compressed tar
    files among them, because listing these once more would take too long.
    """

    def __init__(self, sources: Sequence[str]) -> None:
        self.total: int | None = None
        self._sources = list(sources)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._count, name="calotype-count", daemon=True)

    def __enter__(self) -> PictureCounter:
        if self._sources and not any(is_url(source) or is_compressed_tar(source) for source in self._sources):
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def _count(self) -> None:
        total = 0
        try:
            for _ in scan(self._sources, Counts()):
                if self._stop.is_set():
                    return
                total += 1
        except CalotypeError:  # The run itself reports the error.
            return
        self.total = total
