from pathlib import Path

import pytest

from benchmarks import quality


def test_both_views_of_kodak_are_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[list[str]] = []

    def command(arguments: list[str]) -> int:
        called.append(arguments)
        return len(called) - 1

    monkeypatch.setattr(quality, "calotype", command)
    assert quality.main(["--jobs", "2"]) == 1
    crops, whole = called
    assert crops[0] == whole[0] == "bench" and Path(whole[1]).parts[-2:] == ("data", "kodak")
    assert crops[-4:] == ["--crop", "512", "--jobs", "2"]
    assert whole[-2:] == ["--jobs", "2"] and "--crop" not in whole
