"""The queue and the worker threads of requests, bounded in number and outside of the event loop.

::

    claim a place ── read the upload ── wait for a free thread ── work ── answer
      429, 503          408, 413              503 (time)           503 (time)

A place is held until the data of its request have left the memory, so that places bound the memory too.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from fastapi import HTTPException

from calotype.web.settings import RETRY, Settings

__all__ = ["QueuePlace", "WorkQueue"]

_Result = TypeVar("_Result")

_WATCH_SECONDS = 0.25


class WorkQueue:
    """The queue of one event loop; ``close`` it at the end."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._pool = ThreadPoolExecutor(settings.jobs, thread_name_prefix="calotype")
        self._idle = asyncio.Semaphore(settings.jobs)
        self._held: Counter[str] = Counter()

    @asynccontextmanager
    async def place(self, client: str) -> AsyncIterator[QueuePlace]:
        """Returns a place for one request of ``client``.

        Raises ``HTTPException``: 429 if the client holds as many as it may, 503 if none is left.
        """
        settings = self._settings
        if self._held[client] >= settings.per_client:
            sentence = (
                f"at most {settings.per_client} requests at once are taken from one address: try again soon"
            )
            raise HTTPException(429, sentence, RETRY)
        if self._held.total() >= settings.jobs + settings.queue:
            raise HTTPException(503, "the server is busy: try again soon", RETRY)
        self._held[client] += 1
        place = QueuePlace(self._pool, self._idle, settings.work_time)
        try:
            yield place
        finally:
            place.when_done(lambda: self._leave(client))

    def _leave(self, client: str) -> None:
        self._held[client] -= 1
        if not self._held[client]:
            del self._held[client]

    def close(self) -> None:
        """Drops waiting work; running work ends by itself."""
        self._pool.shutdown(wait=False, cancel_futures=True)


class QueuePlace:
    """The place of one request, for one piece of work."""

    def __init__(self, pool: ThreadPoolExecutor, idle: asyncio.Semaphore, seconds: float) -> None:
        self._pool, self._idle, self._seconds = pool, idle, seconds
        self._running: asyncio.Future[Any] | None = None

    async def run(self, work: Callable[[], _Result], gone: Callable[[], Awaitable[bool]]) -> _Result:
        """Runs ``work`` on a thread of the pool, and returns its result or raises its error.

        If the time is up, or the client is ``gone``, it raises ``HTTPException`` 503. Work that has not begun
        is dropped then. Work that runs cannot be stopped: it keeps its place, and its result is dropped.
        """
        task = asyncio.create_task(self._work(work))
        deadline = asyncio.get_running_loop().time() + self._seconds
        while not (await asyncio.wait({task}, timeout=_WATCH_SECONDS))[0]:
            late = asyncio.get_running_loop().time() > deadline
            if late or await gone():
                task.cancel()
                sentence = f"the work took longer than the {self._seconds:g} s that are allowed"
                raise HTTPException(503, sentence if late else "the client has closed the connection", RETRY)
        return task.result()

    async def _work(self, work: Callable[[], _Result]) -> _Result:
        await self._idle.acquire()
        future = asyncio.get_running_loop().run_in_executor(self._pool, work)
        self._running = future
        future.add_done_callback(self._ended)
        return await asyncio.shield(future)

    def _ended(self, future: asyncio.Future[_Result]) -> None:
        self._idle.release()
        if not future.cancelled():
            future.exception()  # The exception is read, because asyncio reports exceptions that nobody reads.

    def when_done(self, leave: Callable[[], None]) -> None:
        """Calls ``leave`` as soon as no work of this request runs."""
        if self._running is None or self._running.done():
            leave()
        else:
            self._running.add_done_callback(lambda _: leave())
