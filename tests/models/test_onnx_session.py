"""Sessions of ONNX Runtime: how many threads they have, and that these do not wait in loops."""

from __future__ import annotations

import pytest

from calotype import cores
from calotype.models import load_encoder


@pytest.mark.parametrize(("threads", "expected"), [(None, 3), (2, 2)])
def test_threads_are_those_asked_for_and_do_not_spin(
    threads: int | None, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("calotype.models.onnx_session.available_cores", lambda: 3)
    encoder = load_encoder("tiny", threads)
    options = encoder._session._session.get().get_session_options()  # type: ignore[attr-defined]
    assert options.intra_op_num_threads == expected
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"


def test_workers_share_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cores, "available_cores", lambda: 8)
    assert [cores.threads_per_worker(workers) for workers in (0, 1, 2, 3, 8, 9)] == [8, 8, 4, 2, 1, 1]


def test_cores_are_those_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cores.os, "sched_getaffinity", lambda process: {1, 5}, raising=False)
    assert cores.available_cores() == 2
    monkeypatch.delattr(cores.os, "sched_getaffinity")
    monkeypatch.setattr(cores.os, "cpu_count", lambda: None)
    assert cores.available_cores() == 1
