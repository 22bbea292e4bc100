"""Runs the jobs of one command, one after the other or several at once."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import Any

import click

from calotype.cli.console import Console, describe
from calotype.cli.files import STDIO, check_target, write_target
from calotype.cli.plan import Job
from calotype.errors import OutputError

__all__ = ["Made", "run", "worker_count"]


@dataclass(frozen=True)
class Made:
    """The outcome of a job: the bytes to write, and their report in words and as JSON."""

    data: bytes
    summary: str
    record: dict[str, Any]


Outcome = Made | Exception


def worker_count(jobs: int, threads: int, batch: int) -> int:
    """Returns how many of ``threads`` work at the same time on ``jobs``, of which each takes ``batch``."""
    return max(1, min(threads, -(-jobs // batch)))


def run(
    jobs: Sequence[Job],
    make: Callable[[Sequence[Job]], Iterable[Made]],
    console: Console,
    *,
    force: bool,
    threads: int,
    batch: int = 1,
) -> int:
    """Makes and writes the output of each of ``jobs``; returns the highest exit code of the failures.

    ``make`` runs on up to ``threads`` threads, for up to ``batch`` jobs at a time; where it fails for several
    it is called for each of them alone, to find the one that failed. Results are written and reported
    here, in the order of the jobs, so that an interrupt leaves no incomplete output.
    """
    if console.json and any(job.target == STDIO for job in jobs):
        raise click.UsageError("--json and the output '-' would both use standard output: write to a file")

    def made(group: Sequence[Job]) -> list[Made]:
        with console.about(" or ".join(job.source_name for job in group)):
            for job in group:
                check_target(job.target, force=force)
            return list(make(group))

    def alone(job: Job) -> Outcome:
        try:
            return made([job])[0]
        except Exception as error:
            return error

    def attempt(group: Sequence[Job]) -> Sequence[Outcome]:
        if len(group) > 1:
            with suppress(Exception):
                return made(group)
        return [alone(job) for job in group]

    code = 0
    groups = [jobs[start : start + batch] for start in range(0, len(jobs), batch)]
    with (
        console.progress(len(jobs)) as step,
        closing(_outcomes_in_order(attempt, groups, threads)) as outcomes,
    ):
        for job, outcome in outcomes:
            if isinstance(outcome, Made):
                try:
                    write_target(job.target, outcome.data, force=force)
                except OutputError as error:
                    outcome = error
            code = max(code, _report_job(job, outcome, console))
            step()
    return code


def _report_job(job: Job, outcome: Made | Exception, console: Console) -> int:
    record = {"input": job.source, "output": job.target}
    if isinstance(outcome, Made):
        console.note(f"{job.source_name} -> {job.target_name}: {outcome.summary}")
        console.record({**record, "ok": True, **outcome.record})
        return 0
    about_target = isinstance(outcome, OutputError)
    code = console.failure(outcome, job.target_name if about_target else job.source_name)
    console.record({**record, "ok": False, "error": describe(outcome)[0], "exit_code": code})
    return code


def _outcomes_in_order(
    attempt: Callable[[Sequence[Job]], Sequence[Outcome]], groups: Sequence[Sequence[Job]], threads: int
) -> Generator[tuple[Job, Outcome], None, None]:
    """Yields each job with its outcome, in order; at most a few finished ones wait in memory."""
    if threads == 1 or len(groups) == 1:
        for group in groups:
            yield from zip(group, attempt(group), strict=True)
        return
    pool = ThreadPoolExecutor(threads)
    waiting: deque[tuple[Sequence[Job], Future[Sequence[Outcome]]]] = deque()
    try:
        for group in groups:
            waiting.append((group, pool.submit(attempt, group)))
            if len(waiting) > 2 * threads:
                done, future = waiting.popleft()
                yield from zip(done, future.result(), strict=True)
        for done, future in waiting:
            yield from zip(done, future.result(), strict=True)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
