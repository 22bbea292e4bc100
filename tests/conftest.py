from __future__ import annotations

import signal


def pytest_configure() -> None:
    """Started in the background, pytest may have been told to ignore interrupts; what it starts must not."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
