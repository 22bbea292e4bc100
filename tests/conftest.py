from __future__ import annotations

import os
import signal


def pytest_configure() -> None:
    """Started in the background, pytest may have been told to ignore interrupts; what it starts must not.

    Of several workers each keeps to one core: networks that wait for cores in use take many times as long.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    worker = os.environ.get("PYTEST_XDIST_WORKER", "").removeprefix("gw")
    if worker and hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[int(worker) % len(cores)]})
