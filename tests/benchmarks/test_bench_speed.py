import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks import speed, speed_worker
from benchmarks.pictures import SAMPLE, load_rgb, mirror_to
from benchmarks.speed import Measurement, table


def test_worker_runs_once_more_than_it_repeats(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    calls: list[tuple[object, ...]] = []

    def prepare(*given: object) -> object:
        return lambda: calls.append(given)

    monkeypatch.setitem(speed_worker._OPERATIONS, ("pocket", "encode"), prepare)
    speed_worker.main("pocket", "encode", "640x480", str(tmp_path / "file"), "2", "3")
    assert calls == 4 * [(640, 480, tmp_path / "file", 2)]
    record = json.loads(capsys.readouterr().out)
    assert all(0 <= record[name] < 1 for name in ("seconds", "first", "processor"))
    assert 20 < record["peak"] < 5000


def test_table_gives_ratios_of_the_same_size_and_operation() -> None:
    lines = table(
        [
            Measurement("pocket", "decode", "512x512", 0.5, 0.6, 300, 0.75),
            Measurement("taesd", "decode", "512x512", 2.0, 2.1, 600, 3),
            Measurement("pocket", "decode", "4096x4096", 30, 31, 1200, 45),
        ]
    ).splitlines()
    assert lines[2] == "| 512x512 | decode | pocket | 0.50 | 0.60 | 300 | 0.25 | 0.50 |"
    assert lines[4] == "| 4096x4096 | decode | pocket | 30.00 | 31.00 | 1,200 | - | - |"


def test_targets_are_ratios_of_the_networks_times() -> None:
    lines = speed.targets(
        [
            Measurement("pocket-networks", "encode", "512x512", 0.9, 1, 300, 1.35),
            Measurement("taesd", "encode", "512x512", 1.0, 1, 300, 1.5),
            Measurement("pocket-networks", "decode", "512x512", 0.5, 1, 300, 0.75),
            Measurement("taesd", "decode", "512x512", 2.0, 2, 600, 3),
            Measurement("pocket-networks", "decode", "4096x4096", 30, 31, 1200, 45),
        ]
    )
    assert [(line.what[:16], line.measured, line.met) for line in lines] == [
        ("512x512: encoder", "0.90", False),
        ("512x512: decoder", "0.25", True),
    ]


def test_goals_are_ratios_of_all_that_pocket_does() -> None:
    lines = speed.targets(
        [
            Measurement("pocket", "encode", "512x512", 0.3, 1, 300, 0.45),
            Measurement("pocket", "target", "512x512", 0.7, 1, 300, 1.05),
            Measurement("taesd", "encode", "512x512", 1.0, 1, 300, 1.5),
        ]
    )
    assert [(line.what, line.measured, line.met) for line in lines] == [
        ("512x512: encode, of the time of TAESD's encoder alone", "0.30", False),
        ("512x512: target, of the time of TAESD's encoder alone", "0.70", True),
    ]


def test_memory_has_a_limit_at_one_size() -> None:
    sizes = ("2048x2048", 1200.0), ("4096x4096", 990.0), ("4096x4096", 1010.0)
    lines = speed.targets([Measurement("pocket", "decode", size, 1, 1, peak, 1.5) for size, peak in sizes])
    assert [(line.what, line.measured, line.met) for line in lines] == [
        ("4096x4096: memory of decode", "990 MB", True),
        ("4096x4096: memory of decode", "1,010 MB", False),
    ]


def test_growth_is_per_megapixel() -> None:
    small = Measurement("pocket", "decode", "1000x500", 0.5, 0.6, 100, 0.75)
    large = Measurement("pocket", "decode", "2000x2000", 2.0, 2.1, 200, 3)
    assert speed.growth([small]) == ""
    assert speed.growth([small, large]).splitlines()[2:] == [
        "| decode | 1000x500 | 0.50 | 1.00 | 1.50 | 100 | 200 |",
        "| decode | 2000x2000 | 4.00 | 0.50 | 0.75 | 200 | 50 |",
    ]


def test_busy_processes_end() -> None:
    with speed.busy_processes(1):
        pass  # ends without hanging
    with pytest.raises(ZeroDivisionError), speed.busy_processes(1):
        raise ZeroDivisionError


def test_models_without_their_packages_are_skipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(speed.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(
        speed,
        "measure",
        lambda model, operation, size, *_, **__: Measurement(model, operation, size, 1, 2, 3, 1.5),
    )
    speed.main(["--sizes", "512x512", "--out", str(tmp_path / "speed.md")])
    assert "pocket-openvino-bf16: skipped (No module named 'openvino')" in capsys.readouterr().err
    rows = (tmp_path / "speed.md").read_text().splitlines()[4:]
    assert [row.split(" | ")[1:3] for row in rows] == [
        [op, "pocket"] for op in ("encode", "target", "decode", "entropy")
    ]


def test_mirror_to_any_size() -> None:
    photo = load_rgb(SAMPLE)[:192, :192]
    assert np.array_equal(mirror_to(photo, 100, 50), photo[:50, :100])
    wide = mirror_to(photo, 700, 200)
    assert wide.shape == (200, 700, 3)
    assert np.array_equal(wide[:192, 192:384], photo[:, ::-1])
