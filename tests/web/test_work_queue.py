"""Places, threads and time."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable

import pytest
from fastapi import HTTPException

from calotype.web import Settings
from calotype.web.work_queue import WorkQueue


async def here() -> bool:
    return False


async def away() -> bool:
    return True


def with_desk(scenario: Callable[[WorkQueue], Awaitable[None]], **bounds: float) -> None:
    async def play() -> None:
        desk = WorkQueue(Settings(**bounds))  # type: ignore[arg-type]
        try:
            await scenario(desk)
        finally:
            desk.close()

    asyncio.run(play())


async def refusal(desk: WorkQueue, client: str) -> int:
    with pytest.raises(HTTPException) as caught:
        async with desk.place(client):
            pass
    assert caught.value.headers == {"Retry-After": "2"}
    return caught.value.status_code


def test_places_are_bounded_for_one_and_for_all() -> None:
    async def scenario(desk: WorkQueue) -> None:
        async with desk.place("a"), desk.place("a"):
            assert await refusal(desk, "a") == 429
            async with desk.place("b"):
                assert await refusal(desk, "c") == 503
        async with desk.place("a"), desk.place("a"), desk.place("b"):
            pass

    with_desk(scenario, jobs=1, queue=2, per_client=2)


def test_work_leaves_the_event_loop_free_and_hands_on_results_and_errors() -> None:
    async def scenario(desk: WorkQueue) -> None:
        async with desk.place("a") as place:
            assert await place.run(threading.get_ident, here) != threading.get_ident()
        with pytest.raises(ZeroDivisionError):
            async with desk.place("a") as place:
                await place.run(lambda: 1 // 0, here)

    with_desk(scenario)


@pytest.mark.parametrize(("gone", "seconds"), [(here, 0.01), (away, 60)])
def test_work_keeps_its_place_until_its_thread_is_free(
    gone: Callable[[], Awaitable[bool]], seconds: float
) -> None:
    async def scenario(desk: WorkQueue) -> None:
        release = threading.Event()
        with pytest.raises(HTTPException) as caught:
            async with desk.place("a") as place:
                await place.run(release.wait, gone)
        assert caught.value.status_code == 503
        assert await refusal(desk, "b") == 503
        release.set()
        for _ in range(200):
            await asyncio.sleep(0.01)
            try:
                async with desk.place("b") as place:
                    assert await place.run(lambda: 7, here) == 7
                return
            except HTTPException:
                continue
        pytest.fail("the place was never given back")

    with_desk(scenario, jobs=1, queue=0, work_time=seconds)


def test_waiting_work_is_dropped_at_once() -> None:
    async def scenario(desk: WorkQueue) -> None:
        release = threading.Event()
        async with desk.place("a") as first:
            running = asyncio.create_task(first.run(release.wait, here))
            await asyncio.sleep(0.01)
            with pytest.raises(HTTPException):
                async with desk.place("b") as second:
                    await second.run(lambda: pytest.fail("it ran"), away)
            async with desk.place("c"):
                pass
            release.set()
            assert await running

    with_desk(scenario, jobs=1, queue=1)


def test_bounds_that_let_nothing_through_are_refused() -> None:
    with pytest.raises(ValueError, match=r"jobs \(=0\)"):
        Settings(jobs=0)
    with pytest.raises(ValueError, match=r"queue \(=-1\)"):
        Settings(queue=-1)
