"""The settings of the server: its limits and its models."""

from __future__ import annotations

from dataclasses import dataclass, replace

from calotype.limits import Limits
from calotype.options import EncodeOptions

__all__ = ["LOOPBACK", "RETRY", "Settings"]

LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
"""The names of this machine to itself, as a ``Host`` header spells them."""

RETRY = {"Retry-After": "2"}
"""The header of a refusal that may not last: seconds until a client should ask again."""

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

    ``max_upload``: bytes of one request; ``upload_time``: seconds it may take to arrive. ``jobs`` pictures
    are worked on at once, ``queue`` more wait, ``per_client`` of them for one address. A request is given
    up ``work_time`` seconds after its last byte arrived. At most ``connections`` are open,
    ``connections_per_client`` of them from one address, and a request's header may take ``header_time``
    seconds. ``model`` encodes and ``decoder`` decodes (None:
    the default decoder of the file's space). ``hosts`` are the names the server answers to, against pages
    that point a name of their own at this machine; None for any.
    Raises ``ValueError`` for a bound that lets nothing through.
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
