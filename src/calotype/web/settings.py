"""The settings of the server: its limits and its models."""

from __future__ import annotations

from dataclasses import dataclass, replace

from calotype.limits import Limits
from calotype.options import EncodeOptions

__all__ = ["LOOPBACK", "RETRY", "Settings"]

LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
"""The names of this machine to itself, as a ``Host`` header spells them."""

RETRY = {"Retry-After": "2"}
"""The header of a temporary refusal: the seconds until a client should try again."""

_POSITIVE = (
    "max_upload",
    "max_pixels",
    "jobs",
    "per_client",
    "upload_time",
    "work_time",
    "connections",
    "connections_per_client",
    "header_time",
)


@dataclass(frozen=True)
class Settings:
    """The limits of the server, which bound its memory.

    A request has at most ``max_upload`` bytes, which must arrive within ``upload_time`` seconds. The server
    works on ``jobs`` pictures at once, and ``queue`` more may wait; at most ``per_client`` of all these come
    from one address. A request is given up ``work_time`` seconds after its last byte has arrived. At most
    ``connections`` are open, ``connections_per_client`` of them from one address. The header of a request
    must arrive within ``header_time`` seconds. ``model`` encodes, and ``decoder`` decodes (None: the default
    decoder of the file's space). ``hosts`` are the names that a ``Host`` header may have, which protects
    against DNS rebinding; None allows any. Raises ``ValueError`` for a bound that would refuse every request.
    """

    max_upload: int = 32 << 20
    max_pixels: int = 25_000_000
    jobs: int = 2
    queue: int = 16
    per_client: int = 8
    upload_time: float = 60.0
    work_time: float = 120.0
    connections: int = 256
    connections_per_client: int = 64
    header_time: float = 10.0
    model: str = EncodeOptions.model
    decoder: str | None = None
    hosts: tuple[str, ...] | None = LOOPBACK

    def __post_init__(self) -> None:
        for name in _POSITIVE:
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} (={getattr(self, name)}) must be positive")
        if self.queue < 0:
            raise ValueError(f"queue (={self.queue}) must not be negative")

    @property
    def limits(self) -> Limits:
        """The limits for the codec, with this server's number of pixels."""
        return replace(Limits(), max_pixels=self.max_pixels)
