"""The simulation of an archive on many machines, where its result can be calculated by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.archive.simulation import simulated
from benchmarks.archive.stages import Stages

CORES = 16
ONLY_ENCODING = Stages(
    read=0.0,
    encode=1.0,
    deviation=0.0,
    coordinate=0.0,
    schedule=0.0,
    submit=0.0,
    write=0.0,
    store=0.0,
    start=0.0,
    part=10_000,
)
"""Every picture takes exactly one second of its encoder, and nothing else takes time."""


def rounds(nodes: int) -> tuple[int, int]:
    """Returns the pictures in a window, and the seconds of the encoder with the most blocks of it."""
    pictures, block, blocks_of_one = {
        10: (160_000, 32, 32),  # 5,000 blocks, 31.25 for each of 160 encoders
        100: (500_000, 32, 10),  # 15,625 blocks, 9.77 for each of 1,600 encoders
        1000: (500_000, 32, 1),  # 15,625 blocks, fewer than there are encoders
    }[nodes]
    return pictures, block * blocks_of_one


def test_one_machine_has_the_throughput_of_its_encoders() -> None:
    assert simulated(ONLY_ENCODING, 1, CORES) == pytest.approx(CORES)
    assert simulated(ONLY_ENCODING, 1, 2 * CORES) == pytest.approx(32_000 / (32 * 32), rel=1e-9)


@pytest.mark.parametrize("nodes", [10, 100, 1000])
@pytest.mark.parametrize("windows", [1, 3])
def test_windows_end_with_the_busiest_encoder(nodes: int, windows: int) -> None:
    pictures, seconds = rounds(nodes)
    assert simulated(ONLY_ENCODING, nodes, CORES, windows=windows) == pytest.approx(pictures / seconds)


@pytest.mark.parametrize("nodes", [10, 100, 1000])
def test_reading_shares_the_core_of_the_encoder(nodes: int) -> None:
    pictures, seconds = rounds(nodes)
    made = simulated(replace(ONLY_ENCODING, read=0.5), nodes, CORES, windows=1)
    assert made == pytest.approx(pictures / (1.5 * seconds))


@pytest.mark.parametrize("nodes", [10, 100, 1000])
def test_every_window_starts_anew(nodes: int) -> None:
    pictures, seconds = rounds(nodes)
    made = simulated(replace(ONLY_ENCODING, start=40.0, submit=0.01), nodes, CORES, windows=3)
    assert made == pytest.approx(pictures / (pictures / 32 * 0.01 + 40 + seconds))


@pytest.mark.parametrize("nodes", [100, 1000])
def test_the_process_that_coordinates_bounds_the_throughput(nodes: int) -> None:
    """A picture takes 2 ms of it: 1 ms of its own, and 32 ms for a block of 32.

    The first block takes 32 s. On ten machines the last 40 blocks arrive together, after 1024 s.
    """
    stages = replace(ONLY_ENCODING, coordinate=0.001, schedule=0.032)
    made = simulated(stages, nodes, CORES, windows=1)
    assert made == pytest.approx(500_000 / (32 + 500_000 * 0.002))
    assert simulated(stages, 10, CORES, windows=1) == pytest.approx(160_000 / (1024 + 40 * 0.064))


@pytest.mark.parametrize("nodes", [10, 100, 1000])
@pytest.mark.parametrize("writers", [1, 2, 4])
def test_the_writers_bound_the_throughput(nodes: int, writers: int) -> None:
    """A row takes 50 ms of a writer, so that one writes 20 a second."""
    stages = replace(ONLY_ENCODING, write=0.01, store=0.04, part=320)
    made = simulated(stages, nodes, CORES, writers=writers, windows=1)
    assert made == pytest.approx(20 * writers, rel=0.03)


def test_pictures_that_differ_take_the_same_on_average() -> None:
    made = simulated(replace(ONLY_ENCODING, deviation=0.5), 10, CORES)
    assert 0.97 * 160_000 / 1024 < made < 160


def test_larger_pictures_take_in_proportion() -> None:
    larger = replace(ONLY_ENCODING, read=0.1, coordinate=0.01, write=0.01, store=0.02).with_pixels(4)
    assert (larger.encode, larger.read, larger.store, larger.part) == (4.0, 0.4, 0.08, 2500)
    assert (larger.coordinate, larger.write) == (0.01, 0.01)
    measured = replace(ONLY_ENCODING, deviation=0.1).with_pixels(4, encode=6.0)
    assert (measured.encode, measured.deviation) == pytest.approx((6.0, 0.6))
    assert simulated(replace(ONLY_ENCODING, encode=4.0), 10, CORES) == pytest.approx(160_000 / 4096)
