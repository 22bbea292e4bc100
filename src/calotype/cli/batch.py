"""Doing the jobs of one command, one after the other or several at once."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import click

from calotype.cli.console import Console, describe
from calotype.cli.files import STDIO, check_target, write_target
from calotype.cli.plan import Job
from calotype.errors import OutputError

__all__ = ["Made", "run"]


@dataclass(frozen=True)
class Made:
    """What a job produced: the bytes to write, and what to say of them in words and as JSON."""

    data: bytes
    summary: str
    record: dict[str, Any]


def run(
    jobs: Sequence[Job], make: Callable[[Job], Made], console: Console, *, force: bool, threads: int
) -> int:
    """Make and write what each of ``jobs`` asks for; returns the exit code, the highest of the failures'.

    ``make`` runs on up to ``threads`` threads. Results are written and reported here, in the order of
    the jobs, so that an interrupt can leave nothing half-done behind.
    """
    if console.json and any(job.target == STDIO for job in jobs):
        raise click.UsageError("--json and the output '-' both want standard output: write to a file")

    def attempt(job: Job) -> Made | Exception:
        try:
            with console.about(job.source_name):
                check_target(job.target, force=force)
                return make(job)
        except Exception as error:
            return error

    code = 0
    with console.progress(len(jobs)) as step, closing(_in_order(attempt, jobs, threads)) as outcomes:
        for job, outcome in outcomes:
            if isinstance(outcome, Made):
                try:
                    write_target(job.target, outcome.data, force=force)
                except OutputError as error:
                    outcome = error
            code = max(code, _report(job, outcome, console))
            step()
    return code


def _report(job: Job, outcome: Made | Exception, console: Console) -> int:
    record = {"input": job.source, "output": job.target}
    if isinstance(outcome, Made):
        console.note(f"{job.source_name} -> {job.target_name}: {outcome.summary}")
        console.record({**record, "ok": True, **outcome.record})
        return 0
    about_target = isinstance(outcome, OutputError)
    code = console.failure(outcome, job.target_name if about_target else job.source_name)
    console.record({**record, "ok": False, "error": describe(outcome)[0], "exit_code": code})
    return code


def _in_order(
    attempt: Callable[[Job], Made | Exception], jobs: Sequence[Job], threads: int
) -> Generator[tuple[Job, Made | Exception], None, None]:
    """Yields each job with its outcome, in order; at most a few finished ones wait in memory."""
    if threads == 1 or len(jobs) == 1:
        for job in jobs:
            yield job, attempt(job)
        return
    pool = ThreadPoolExecutor(threads)
    waiting: deque[tuple[Job, Future[Made | Exception]]] = deque()
    try:
        for job in jobs:
            waiting.append((job, pool.submit(attempt, job)))
            if len(waiting) > 2 * threads:
                done, future = waiting.popleft()
                yield done, future.result()
        for done, future in waiting:
            yield done, future.result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
