"""The settings of a run that creates an archive."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from calotype.archive.engines.encoder import Work
from calotype.cores import available_cores

__all__ = ["Settings"]


@dataclass(frozen=True)
class Settings:
    """The settings of a run.

    ``workers`` is the number of processes, each with one codec and one thread; None means one for each core.
    A part is closed when its pictures have ``part_size`` bytes, when it has 10,000 pictures, or
    ``part_seconds`` after it was begun, so that a run that is killed loses no more work than that. With
    ``dedupe`` a picture with the bytes of an archived one refers to that one. ``on_error`` says whether a
    picture that fails is left out, or ends the run. With ``retry_errors`` pictures of the errors table are
    tried again. ``verify`` says how a written part is verified: by the SHA-256 of the payloads that their
    encoders have verified, or by decoding the latents too. Raises ``ValueError``.
    """

    work: Work = field(default_factory=Work)
    workers: int | None = None
    part_size: int = 32_000_000
    part_seconds: float = 600.0
    dedupe: bool = False
    on_error: Literal["skip", "stop"] = "skip"
    retry_errors: bool = False
    verify: Literal["checksum", "decode"] = "checksum"

    def __post_init__(self) -> None:
        if self.workers is not None and self.workers < 1:
            raise ValueError(f"workers (={self.workers}) must be positive, or None for every core")
        if self.part_size < 1 or not self.part_seconds > 0:
            raise ValueError("part_size and part_seconds must be positive")

    @property
    def processes(self) -> int:
        """Returns the number of worker processes."""
        return self.workers or available_cores()
