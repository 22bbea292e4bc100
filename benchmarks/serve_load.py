"""``calotype serve`` with many clients at the same time: ``python -m benchmarks.serve_load``.

The benchmark starts the server with its defaults. Each client encodes the sample photograph to 5,000 bytes
and decodes the file, ``--rounds`` times. After a refusal (429, 503) it tries again after the time in the
answer. Two fifths of the clients share an address, and each of the others has its own. The benchmark runs on
Linux only: it needs the addresses 127.0.0.* and /proc.
"""

from __future__ import annotations

import argparse
import http.client
import math
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.pictures import ROOT, SAMPLE

__all__ = ["Answer", "main", "table"]

TARGET = 5000  # bytes
SHARING = 0.4
PATIENCE = 600.0  # seconds


@dataclass(frozen=True)
class Answer:
    """The answer to one request: the operation, the HTTP status (0 without an answer), and the seconds."""

    operation: str
    status: int
    seconds: float


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    options = _parser().parse_args(arguments)
    with _server(options.model) as (port, process):
        photo = SAMPLE.read_bytes()
        _, file, _ = _request(port, "127.0.0.1", f"/encode?target_size={TARGET}", photo)
        _request(port, "127.0.0.1", "/decode", file)
        before = _memory(process, "VmRSS")
        started = time.perf_counter()
        with ThreadPoolExecutor(options.clients) as pool:
            visits = [
                pool.submit(_visit, port, _address(number, options.clients), photo, file, options.rounds)
                for number in range(options.clients)
            ]
            answers = [answer for visit in visits for answer in visit.result()]
        seconds = time.perf_counter() - started
        after, peak = _memory(process, "VmRSS"), _memory(process, "VmHWM")
    wanted = options.clients * options.rounds * 2
    text = (
        f"## `calotype serve`, {options.clients} clients at once\n\n{table(answers)}\n"
        f"All {wanted} results after {seconds:.0f} s: {wanted / seconds:.1f} a second. Memory of the server:"
        f" {before:.0f} MB before, {after:.0f} MB after, {peak:.0f} MB at most.\n"
    )
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(text, "utf-8")
    print(text)


def table(answers: Sequence[Answer]) -> str:
    """Returns a Markdown table with the number of answers of each status and their times."""
    lines = [
        "| request | status | answers | median s | 95 % within s | slowest s |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for operation, status in sorted({(answer.operation, answer.status) for answer in answers}):
        times = sorted(a.seconds for a in answers if (a.operation, a.status) == (operation, status))
        shown = (_quantile(times, 0.5), _quantile(times, 0.95), times[-1])
        figures = " | ".join(f"{seconds:.2f}" for seconds in shown)
        lines.append(f"| {operation} | {status or 'none'} | {len(times)} | {figures} |")
    return "\n".join(lines) + "\n"


def _quantile(times: Sequence[float], part: float) -> float:
    return times[max(math.ceil(part * len(times)) - 1, 0)]


def _visit(port: int, address: str, photo: bytes, file: bytes, rounds: int) -> list[Answer]:
    """Returns the answers to one client, until it has all results.

    A request without an answer is not repeated.
    """
    work = [("encode", f"/encode?target_size={TARGET}", photo), ("decode", "/decode", file)]
    answers = []
    for operation, path, body in work * rounds:
        retry = 1.0
        while retry:
            started = time.perf_counter()
            try:
                status, _, retry = _request(port, address, path, body)
            except OSError:
                status, retry = 0, 0.0
            answers.append(Answer(operation, status, time.perf_counter() - started))
            time.sleep(retry)
    return answers


def _request(port: int, address: str, path: str, body: bytes) -> tuple[int, bytes, float]:
    """Returns (status, content, seconds after which to try again, 0 for never)."""
    connection = http.client.HTTPConnection("127.0.0.1", port, PATIENCE, source_address=(address, 0))
    try:
        connection.request("POST", path, body)
        answer = connection.getresponse()
        return answer.status, answer.read(), float(answer.headers.get("Retry-After", 0))
    finally:
        connection.close()


def _address(number: int, clients: int) -> str:
    return "127.0.0.1" if number < SHARING * clients else f"127.0.0.{2 + number % 250}"


@contextmanager
def _server(model: str) -> Iterator[tuple[int, int]]:
    """Yields (port, process id) of ``calotype serve``."""
    command = [sys.executable, "-m", "calotype", "serve", "--port", "0", "-m", model, "--decoder", model]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=ROOT) as process:
        try:
            assert process.stderr is not None
            yield int(process.stderr.readline().split()[1].rpartition(":")[2]), process.pid
        finally:
            process.terminate()


def _memory(process: int, field: str) -> float:
    """Returns the memory of a process in MB (1,000,000 bytes): ``VmRSS`` is the present, ``VmHWM`` the
    peak.
    """
    status = Path(f"/proc/{process}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith(field)).split()[1]) * 1024 / 1e6


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serve_load", description=__doc__)
    parser.add_argument("--clients", type=int, default=50, metavar="N")
    parser.add_argument("--rounds", type=int, default=4, metavar="N", help="encodings and decodings of each")
    parser.add_argument("--model", default="pocket", metavar="NAME")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "serve.md")
    return parser


if __name__ == "__main__":
    main()
