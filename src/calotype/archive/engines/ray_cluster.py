"""The Ray cluster of a run, and the resources of each stage."""

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
"""The time in which the head of a cluster must accept a connection, in seconds."""


@dataclass(frozen=True)
class RaySettings:
    """The resources of the stages in Ray.

    ``encoders`` is the number of actors that encode; None means as many as fit. ``encoder_cpus`` and
    ``encoder_gpus`` are reserved for each of them; an actor computes with one thread. ``readers`` is the
    number of tasks that read at once; None means as many as there are encoders. ``writers`` is the number of
    parts that are written at once, besides the open one. ``reader_cpus`` and ``writer_cpus`` are reserved for
    each of them. Both wait for storage most of the time. By default they reserve no CPU, so that they go on
    even if the encoders use all CPUs of a cluster that has lost nodes. ``address`` is that of the cluster;
    None uses ``RAY_ADDRESS``, or else a cluster on this machine, which ends with the run. Raises
    ``ValueError``.
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
        """Returns the number of CPUs that all stages reserve, for a given number of encoders."""
        encoders = self.encoders or 1
        readers = (self.readers or encoders) * self.reader_cpus
        return math.ceil(encoders * self.encoder_cpus + readers + self.writers * self.writer_cpus)


@contextmanager
def connected(settings: RaySettings) -> Iterator[None]:
    """Connects to the cluster, unless the program is connected; a cluster that is started here ends here."""
    import ray

    if ray.is_initialized():
        yield
        return
    address = settings.address or os.environ.get("RAY_ADDRESS") or "local"
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # Its processes would write to this terminal.
    cores = {"num_cpus": settings.cpus} if address == "local" and settings.encoders else {}
    try:
        _check_reachable(address)
        ray.init(address, log_to_driver=False, logging_level=logging.ERROR, **cores)
    except Exception as error:  # The exceptions come from the network, from differing versions and others.
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise CalotypeError(f"the Ray cluster {address} cannot be used: {reason}") from error
    try:
        yield
    finally:
        ray.shutdown()


def _check_reachable(address: str) -> None:
    """Raises ``OSError`` if nothing answers at ``address``; Ray itself would wait for 10 minutes."""
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
