"""Dependencies that would report their use to their makers are told not to, before they are imported.

ONNX Runtime's wheels write a device id and a database to the user's cache when they are imported, and send
what they collected to Microsoft a few seconds later; only an environment variable stops it, for a call comes
after the import. The client of the Hugging Face hub adds the installed packages to each request, and looks
up by which program it may have been started. OpenVINO is dealt with where it is imported
(:mod:`calotype.models.openvino_session`).

The variables belong to the process, so that its children have them too. A value that is there already was
set by someone who decides for himself, and stays.
"""

from __future__ import annotations

import os

__all__ = ["SWITCHES", "switch_off"]

SWITCHES = {"ORT_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
"""Environment variables and the values that mean "report nothing"."""


def switch_off() -> None:
    """Sets each of :data:`SWITCHES` that is not set. The package calls it when it is imported."""
    for name, value in SWITCHES.items():
        os.environ.setdefault(name, value)
