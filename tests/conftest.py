from __future__ import annotations

import gc
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

# Collecting makes tens of thousands of objects that live until the end. The garbage collector would visit
# them again and again, for a quarter of the time that collecting takes.
gc.disable()

# On a busy machine the time limits of Hypothesis would fail tests of correct code.
settings.register_profile("without time limits", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("without time limits")

# Folders and files whose tests need packages beyond the default install, or test code that does.
EXTRA = {
    "archive",
    "benchmarks",
    "browser",
    "compare",
    "experiments",
    "latent_files",
    "packets",
    "stable_diffusion",
    "training",
    "web",
}
EXTRA |= {
    "test_openvino.py",
    "test_torch_session.py",
    "test_optimise.py",
    "test_space.py",
    "test_text_finder.py",
}


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Returns two workers for each core, at most four: for a third of the time tests wait for processes.

    The quick tests hardly wait, and each worker takes seconds to collect them: they get one for each core.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores if "not slow" in config.option.markexpr else 2 * cores, 4)


def pytest_configure() -> None:
    """Started in the background, pytest may have been told to ignore interrupts; what it starts must not.

    Each worker keeps to one core: networks whose threads wait for cores in use take many times as long.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    worker = os.environ.get("PYTEST_XDIST_WORKER", "").removeprefix("gw")
    if worker and hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[int(worker) % len(cores)]})


def _needs_extra(path: Path) -> bool:
    tests = Path(__file__).parent
    return path.is_relative_to(tests) and bool(EXTRA.intersection(path.relative_to(tests).parts))


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Skips the files of :data:`EXTRA` if ``-m`` leaves them out: without the extras some fail at import."""
    unwanted = "not extra" in config.option.markexpr and _needs_extra(collection_path)
    return True if unwanted else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks the tests of :data:`EXTRA`; the tests marked ``alone`` come first, then those marked ``slow``.

    The first ones wait for the first tests of the other workers alone, and those are short. If slow ones came
    last, some workers would wait for others at the end.
    """
    for item in items:
        if _needs_extra(item.path):
            item.add_marker("extra")
    items.sort(key=lambda item: [item.get_closest_marker(name) is None for name in ("alone", "slow")])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Runs a test marked ``alone`` while no other worker of pytest-xdist runs a test."""
    with _turn(item):
        return (yield)


@contextmanager
def _turn(item: pytest.Item) -> Iterator[None]:
    """Waits until the test may run: one that is marked ``alone`` holds an exclusive lock, others share it."""
    if fcntl is None or "PYTEST_XDIST_WORKER" not in os.environ:
        yield
        return
    alone = item.get_closest_marker("alone") is not None
    turnstile = Path(__file__).with_name("codec_samples.py")
    with Path(__file__).open() as running, turnstile.open() as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)  # so that nobody overtakes a test that waits for the exclusive lock
        fcntl.flock(running, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        fcntl.flock(turn, fcntl.LOCK_UN)
        yield


def pytest_collection_finish() -> None:
    """Lets cyclic garbage collection begin, with what the tests make."""
    gc.freeze()
    gc.enable()


@pytest.fixture
def registered_plugin() -> Iterator[None]:
    """Registers the Pillow plugin for one test."""
    from PIL import Image

    from calotype.pillow_plugin import FORMAT, register_pillow

    register_pillow()
    yield
    for registry in (Image.OPEN, Image.SAVE, Image.MIME):
        registry.pop(FORMAT, None)
    Image.EXTENSION.pop(".calo", None)
    Image.ID.remove(FORMAT)
