"""The Ray cluster of a run, and what it gives to each stage."""

from __future__ import annotations

import logging
import math
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from calotype.errors import CalotypeError

__all__ = ["RaySettings", "connected", "encoders_that_fit"]

_CONNECT_SECONDS = 20.0
"""How long the head of a cluster may take to accept a connection."""


@dataclass(frozen=True)
class RaySettings:
    """What Ray gives to the stages.

    ``encoders``: how many actors encode; None: as many as fit. ``encoder_cpus`` and ``encoder_gpus`` are what
    each of them is given; they compute with one thread. ``readers``: how many tasks read at once; None: as
    many as encode. ``writers``: how many parts are written at once, besides the one that takes rows. Each
    reader is given ``reader_cpus`` and each writer ``writer_cpus``. Both wait for storage most of the time.
    The default is no CPU, so that they go on when the encoders have all that a cluster, which may have lost
    nodes, has left. ``address``: of the cluster; None: that of ``RAY_ADDRESS``, or else a cluster on this
    machine, which ends with the run. Raises ``ValueError``.
    """

    encoders: int | None = None
    encoder_cpus: float = 1.0
    encoder_gpus: float = 0.0
    readers: int | None = None
    reader_cpus: float = 0.0
    writers: int = 2
    writer_cpus: float = 0.0
    address: str | None = None

    def __post_init__(self) -> None:
        for name in ("encoders", "readers", "writers"):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise ValueError(f"{name} (={getattr(self, name)}) must be positive or None")
        if not self.encoder_cpus > 0:
            raise ValueError(f"encoder_cpus (={self.encoder_cpus}) must be above 0")
        for name in ("encoder_gpus", "reader_cpus", "writer_cpus"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} (={getattr(self, name)}) must be at least 0")

    @property
    def cpus(self) -> int:
        """The CPUs that all stages need together, for a given number of encoders."""
        encoders = self.encoders or 1
        readers = (self.readers or encoders) * self.reader_cpus
        return math.ceil(encoders * self.encoder_cpus + readers + self.writers * self.writer_cpus)


@contextmanager
def connected(settings: RaySettings) -> Iterator[None]:
    """Connects to the cluster, unless the program has done so; one that is started here ends here."""
    import ray

    if ray.is_initialized():
        yield
        return
    address = settings.address or os.environ.get("RAY_ADDRESS") or "local"
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # its processes write to this terminal
    cores = {"num_cpus": settings.cpus} if address == "local" and settings.encoders else {}
    try:
        _check_reachable(address)
        ray.init(address, log_to_driver=False, logging_level=logging.ERROR, **cores)
    except Exception as error:  # of the network, of versions that differ ...
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise CalotypeError(f"the Ray cluster {address} cannot be used: {reason}") from error
    try:
        yield
    finally:
        ray.shutdown()


def _check_reachable(address: str) -> None:
    """Raises ``OSError`` if nothing answers at ``address``, for which Ray would wait 10 minutes."""
    host, separator, port = address.removeprefix("ray://").rpartition(":")
    if separator and port.isdecimal():
        socket.create_connection((host.strip("[]"), int(port)), _CONNECT_SECONDS).close()


def encoders_that_fit(settings: RaySettings) -> int:
    """Returns how many encoders the cluster has room for, besides readers and writers; at least 1."""
    import ray

    resources = ray.cluster_resources()
    others = settings.writers * settings.writer_cpus + (settings.readers or 0) * settings.reader_cpus
    each = settings.encoder_cpus + (0 if settings.readers else settings.reader_cpus)
    fit = int((resources.get("CPU", 1) - others) / each)
    if settings.encoder_gpus:
        fit = min(fit, int(resources.get("GPU", 0) / settings.encoder_gpus))
    return max(fit, 1)
