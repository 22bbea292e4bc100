"""Fresh virtual environments, for scripts that try the package in them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

__all__ = ["ROOT", "create", "run"]

ROOT = Path(__file__).parent.parent


def create(
    folder: Path,
    requirements: Sequence[str],
    *,
    interpreter: Path = Path(sys.executable),
    constraints: Path = ROOT / "constraints.txt",
) -> Path:
    """Creates a virtual environment in ``folder``, replacing any, and installs ``requirements``.

    ``requirements`` are arguments of ``pip install``; their paths are relative to the repository.
    ``constraints`` is a file of constraints for pip. Returns the environment's interpreter. Raises
    :class:`subprocess.CalledProcessError` if a step fails.
    """
    subprocess.run([interpreter, "-m", "venv", "--clear", folder], check=True)
    python = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--constraint", constraints]
    run(python, *install, *requirements)
    return python


def run(python: Path, *arguments: str | Path, folder: Path = ROOT) -> None:
    """Runs ``python`` with ``arguments`` in ``folder``. Raises :class:`subprocess.CalledProcessError`."""
    subprocess.run([python, *arguments], cwd=folder, check=True)
