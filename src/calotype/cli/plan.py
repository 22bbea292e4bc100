"""The plan of a command: which inputs become which outputs, before any work begins."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from calotype.cli.files import STDIO, is_folder, real_path
from calotype.errors import OutputError

__all__ = ["Job", "plan"]


@dataclass(frozen=True)
class Job:
    """One input and its output: paths as the user wrote them, or ``-``."""

    source: str
    target: str

    @property
    def source_name(self) -> str:
        return "standard input" if self.source == STDIO else self.source

    @property
    def target_name(self) -> str:
        return "standard output" if self.target == STDIO else self.target


def plan(paths: Sequence[str], out_dir: str | None, suffix: str) -> list[Job]:
    """Turns the arguments of a command into jobs, as ``cp`` does.

    ``IN OUT`` is one job; ``IN... FOLDER/`` and ``IN...`` with an ``out_dir`` write each input into the
    folder, which is created if needed, under its own name with ``suffix``. Raises ``click.UsageError`` if the
    arguments are incomplete, if two inputs would become one file, or if an input would be overwritten,
    and :class:`OutputError` if the folder cannot be made.
    """
    sources = list(paths)
    folder = out_dir
    if folder is None:
        if len(sources) < 2:
            raise click.UsageError(f"there is no output: add OUT after '{sources[0]}', or --out-dir")
        last = sources.pop()
        if not (last.endswith(_SEPARATORS) or is_folder(last)):
            if len(sources) > 1:
                raise click.UsageError(
                    f"{len(sources)} inputs need a folder: end '{last}' with a slash, or use --out-dir"
                )
            return _without_collisions([Job(sources[0], last)])
        folder = last
    if STDIO in sources:
        raise click.UsageError(
            "standard input has no name for a file in a folder: give the name of the output file"
        )
    jobs = _without_collisions(
        [Job(source, str(Path(folder, Path(source).stem + suffix))) for source in sources]
    )
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder}: the folder cannot be made ({str(error.strerror).lower()})") from error
    return jobs


_SEPARATORS = tuple({"/", os.sep})


def _without_collisions(jobs: list[Job]) -> list[Job]:
    sources = {real_path(job.source): job.source for job in jobs if job.source != STDIO}
    sources_of_targets: dict[str, str] = {}
    for job in jobs:
        target = real_path(job.target)
        if target in sources_of_targets:
            raise click.UsageError(
                f"'{sources_of_targets[target]}' and '{job.source}' would both become '{job.target}'"
            )
        sources_of_targets[target] = job.source
        if job.target != STDIO and target in sources and not _is_device(target):
            raise click.UsageError(f"'{job.target}' is an input: it cannot be the output too")
    return jobs


def _is_device(path: str) -> bool:
    """Returns whether ``path`` is a device, which may be an input and an output at once.

    An inaccessible path gives False; opening it reports the error.
    """
    try:
        return not Path(path).is_file()
    except OSError:
        return True
