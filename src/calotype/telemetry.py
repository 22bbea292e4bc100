"""Turns off the telemetry of dependencies before they are imported.

ONNX Runtime's wheels write a device id and a database to the user's cache when they are imported, and send
the collected data to Microsoft a few seconds later; only an environment variable prevents it, because a
call comes after the import. The client of the Hugging Face hub adds the installed packages to each
request, and looks up the program that may have started it. OpenVINO is handled where it is imported
(:mod:`calotype.models.openvino_session`). Ray sends the use of a cluster that it starts to its makers.

The variables belong to the process, so that its children have them too. A value that is set already is kept,
because somebody set it on purpose.
"""

from __future__ import annotations

import os

__all__ = ["SWITCHES", "switch_off"]

SWITCHES = {
    "ORT_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
}
"""Environment variables and the values that mean "report nothing"."""


def switch_off() -> None:
    """Sets each of :data:`SWITCHES` that is not set. The package calls it when it is imported."""
    for name, value in SWITCHES.items():
        os.environ.setdefault(name, value)
