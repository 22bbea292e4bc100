"""Worker processes on this machine, each with one object that it calls for every task.

::

    tasks ─ thread 1 ─ pipe ─ process 1 ─┐
          ─ thread 2 ─ pipe ─ process 2 ─┴─ results in the order of the tasks

A thread of this process owns each worker process and exchanges messages with it through pipes. A worker that
ends early, for instance because the system kills it for its memory, is replaced, and its task is tried once
more. If this process ends, even by SIGKILL, the pipes are closed and the workers end too. The workers have a
session of their own, so that Ctrl-C on a terminal reaches this process only.
"""

from __future__ import annotations

import os
import pickle
import struct
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from contextlib import suppress
from dataclasses import dataclass
from typing import IO, Any

__all__ = ["Died", "WorkerPool", "serve"]

_LENGTH = struct.Struct("<Q")
_WINDOW = 4
"""The number of tasks per worker that may wait for the result of the oldest: it bounds the memory."""

_TICK = 0.2
"""The time between two checks of the event that stops the pool, in seconds."""

_ATTEMPTS = 2
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
_CODE = "import sys; sys.path[:] = {path!r}; from calotype.archive.engines.worker_pool import serve; serve()"


@dataclass(frozen=True)
class Died:
    """The worker process ended twice on a task, with this exit code (negative: the number of a signal)."""

    exit_code: int

    @property
    def reason(self) -> str:
        """Returns a sentence for the errors table."""
        return f"its worker process ended twice (exit code {self.exit_code})"


class WorkerPool:
    """``workers`` processes that call ``function(task)``; ``function`` and its results can be pickled."""

    def __init__(self, make: Callable[[], Callable[[Any], Any]], workers: int) -> None:
        """``make`` returns the function, in the worker process: a class or a partial of one."""
        self._make, self._workers = pickle.dumps(make), workers
        self._local = threading.local()
        self._processes: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()
        self._closed = False
        self._threads = ThreadPoolExecutor(workers, "calotype-archive")

    def __enter__(self) -> WorkerPool:
        return self

    def __exit__(self, *_: object) -> None:
        """Ends the workers at once, even within a task."""
        with self._lock:
            self._closed = True
            for process in self._processes:
                process.kill()
        self._threads.shutdown(wait=True, cancel_futures=True)
        for process in self._processes:
            _close_process(process)

    def start(self) -> None:
        """Starts the worker processes at once, while there are no tasks yet."""
        all_started = threading.Barrier(self._workers)
        for _ in range(self._workers):
            self._threads.submit(self._start_worker, all_started)

    def _start_worker(self, all_started: threading.Barrier) -> None:
        self._worker()
        all_started.wait()  # So that each thread starts one.

    def imap(self, tasks: Iterable[Any], stop: threading.Event) -> Iterator[tuple[Any, Any]]:
        """Yields (task, result) in the order of the tasks, until ``stop`` is set.

        The result is :class:`Died` if the worker process ended twice on the task. Exceptions of ``make`` in
        the worker are raised here. ``tasks`` is consumed in this thread, at most ``_WINDOW`` tasks per worker
        ahead.
        """
        waiting: deque[tuple[Any, Future[Any]]] = deque()
        remaining = iter(tasks)
        exhausted = False
        while not stop.is_set():
            while not exhausted and len(waiting) < _WINDOW * self._workers:
                try:
                    task = next(remaining)
                except StopIteration:
                    exhausted = True
                    break
                waiting.append((task, self._threads.submit(self._call, task)))
                if waiting[0][1].done():
                    break
            if not waiting:
                return
            try:
                result = waiting[0][1].result(_TICK)
            except NotYet:
                continue
            yield waiting.popleft()[0], result

    def _call(self, task: Any) -> Any:
        """Lets the worker of this thread do the task; returns its result."""
        exit_code = 0
        for _ in range(_ATTEMPTS):
            process = self._worker()
            try:
                _send_to_process(process.stdin, task)
                failed, result = _receive_from_process(process.stdout)
            except (EOFError, OSError):
                exit_code = process.wait()
                self._forget(process)
                continue
            if failed:
                raise result
            return result
        return Died(exit_code)

    def _worker(self) -> subprocess.Popen[bytes]:
        """Returns the worker of this thread, which it starts if there is none.

        Raises ``OSError`` if the pool is closed.
        """
        process: subprocess.Popen[bytes] | None = getattr(self._local, "process", None)
        if process is not None:
            return process
        with self._lock:
            if self._closed:
                raise OSError("the pool is closed")
            process = subprocess.Popen(
                [sys.executable, "-c", _CODE.format(path=sys.path)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=os.environ | _ONE_THREAD,
                start_new_session=True,
            )
            self._processes.add(process)
        self._local.process = process
        with suppress(OSError):  # If it has ended already, the next use reports that.
            _write_pipe_message(process.stdin, self._make)
        return process

    def _forget(self, process: subprocess.Popen[bytes]) -> None:
        self._local.process = None
        with self._lock:
            self._processes.discard(process)
        _close_process(process)


def serve() -> None:
    """The main function of a worker process: serves tasks from standard input until that is closed."""
    results = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # Output of libraries must not mix with the results.
    tasks = sys.stdin.buffer
    try:
        function, problem = pickle.loads(_read_pipe_message(tasks))(), None
    except EOFError:
        return
    except Exception as error:
        function, problem = None, error
    while True:
        try:
            task = pickle.loads(_read_pipe_message(tasks))
        except EOFError:
            return
        try:
            answer = (True, problem) if problem is not None else (False, function(task))
        except Exception as error:
            answer = (True, error)
        try:
            _send_to_process(results, answer)
        except BrokenPipeError:
            return


def _send_to_process(file: IO[bytes] | None, value: Any) -> None:
    _write_pipe_message(file, pickle.dumps(value))


def _receive_from_process(file: IO[bytes] | None) -> Any:
    return pickle.loads(_read_pipe_message(file))


def _write_pipe_message(file: IO[bytes] | None, data: bytes) -> None:
    assert file is not None
    file.write(_LENGTH.pack(len(data)))
    file.write(data)
    file.flush()


def _read_pipe_message(file: IO[bytes] | None) -> bytes:
    """Reads one message. Raises ``EOFError`` if the other side has closed the pipe."""
    assert file is not None
    head = file.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        raise EOFError
    (length,) = _LENGTH.unpack(head)
    data = file.read(length)
    if len(data) < length:
        raise EOFError
    return data


def _close_process(process: subprocess.Popen[bytes]) -> None:
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with suppress(OSError):  # Data may be buffered for a worker that has ended.
                pipe.close()
    process.wait()
