"""The engine of many machines, on a Ray cluster of several nodes on this one."""

from __future__ import annotations

import os
import signal
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from archive_samples import TINY, archived, contents, write_picture

from calotype.archive import Archive, Counts, RayEngine, RaySettings, Settings, create
from calotype.archive.engines import ray_parts
from calotype.cli import main
from calotype.errors import CalotypeError, ModelError

PICTURES = 32


def test_ray_is_named_where_it_is_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    monkeypatch.setitem(__import__("sys").modules, "ray.data", None)
    with pytest.raises(ModelError, match=r"pip install 'calotype\[ray\]'"):
        RayEngine(TINY)
    command = ["archive", "create", str(tmp_path), str(tmp_path / "a")]
    assert main([*command, "--engine", "ray"]) == 5
    assert main([*command, "--ray-gpus", "1"]) == 2
    assert "would have no effect without --engine ray" in capsys.readouterr().err


def test_settings_are_checked() -> None:
    for wrong in ({"encoders": 0}, {"readers": 0}, {"writers": 0}, {"encoder_cpus": 0}, {"writer_cpus": -1}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            RaySettings(**wrong)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    for number in range(PICTURES):
        write_picture(tmp_path / "in" / f"{number:02d}.png", number)
    (tmp_path / "in" / "broken.jpg").write_bytes(b"no picture")
    (tmp_path / "in" / "gone.png").symlink_to(tmp_path / "nothing")
    return tmp_path / "in"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_missing_cluster_gives_an_error_of_one_sentence(source: Path, tmp_path: Path) -> None:
    ray = pytest.importorskip("ray", reason="needs pip install 'calotype[ray]'")
    assert not ray.is_initialized()  # the tests below start a cluster
    with pytest.raises(CalotypeError, match=r"the Ray cluster 127\.0\.0\.1:1 cannot be used: .*refused"):
        create(
            [source],
            tmp_path / "a",
            Settings(TINY),
            engine=RayEngine(TINY, RaySettings(address="127.0.0.1:1")),
        )


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Two nodes with one CPU each, the first of which is the head."""
    with pytest.MonkeyPatch.context() as patched, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        patched.setenv("RAY_BACKEND_LOG_LEVEL", "fatal")
        patched.setenv("RAY_raylet_start_wait_time_s", "300")  # read when Ray is imported
        pytest.importorskip("ray.data", reason="needs pip install 'calotype[ray]'")
        import ray
        from ray.cluster_utils import Cluster

        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
        try:
            cluster.extra_node = cluster.add_node(num_cpus=1)
            ray.init(cluster.address, log_to_driver=False)
            yield cluster
        finally:
            ray.shutdown()
            cluster.shutdown()


def encoders() -> list[int]:
    """The process ids of the encoding actors."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if b"_RayEncoder" in (folder / "cmdline").read_bytes():
                found.append(int(folder.name))
        except OSError:  # it has ended meanwhile
            continue
    return found


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.skipif(not Path("/proc").is_dir(), reason="finds processes in /proc")
def test_killed_workers_and_a_killed_node_lose_nothing(
    cluster: Any, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The archive is that of the local engine: rows, payloads, order and errors.

    An encoder is killed, the first task that writes, and a node.
    """
    seen, died = [], tmp_path / "died"
    write_part = ray_parts.write_part

    def write_part_at_second_attempt(*arguments: Any, **options: Any) -> Any:
        if not died.exists():
            died.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return write_part(*arguments, **options)

    monkeypatch.setattr(ray_parts, "write_part", write_part_at_second_attempt)

    def progress(counts: Counts) -> None:
        seen.append(counts.input)
        if len(seen) == 6:
            os.kill(encoders()[0], signal.SIGKILL)
        if len(seen) == 14:
            cluster.remove_node(cluster.extra_node, allow_graceful=False)

    settings = Settings(TINY, part_size=400)
    engine = RayEngine(TINY, RaySettings(encoders=2))
    counts = create([source], tmp_path / "ray", settings, engine=engine, progress=progress)
    assert died.exists()
    counts.check()
    assert (counts.archived, counts.failed, counts.already) == (PICTURES, 2, 0)
    archived(source, tmp_path / "local", part_size=400)
    assert contents(tmp_path / "ray") == contents(tmp_path / "local")
    with Archive(tmp_path / "ray") as one, Archive(tmp_path / "local") as other:
        assert not any(one.verify())
        assert [record.groups for record in one.records] == [record.groups for record in other.records]
        assert list(one.rows(["id"])) == list(other.rows(["id"]))
        assert len(one.records) > 2 and not list((tmp_path / "ray").glob("*.tmp"))
        failures = [{(row["name"], row["reason"]) for row in archive.errors()} for archive in (one, other)]
        assert failures[0] == failures[1] and len(failures[0]) == 2
    write_picture(source / "new.png", 99)
    counts = archived(source, tmp_path / "ray")  # a run may go on without Ray
    assert (counts.archived, counts.already, counts.failed_before) == (1, PICTURES, 2)
