from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks import quality
from benchmarks.targets import BUDGETS, CODECS, Figures, markdown, targets
from calotype.compare.metrics import METRICS
from calotype.compare.rows import Row, read_csv, to_csv


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[list[str]]:
    """The commands that are run instead of being run; there are no pictures."""
    found: list[list[str]] = []

    def command(arguments: list[str]) -> int:
        found.append(arguments)
        return len(found) - 1

    monkeypatch.setattr(quality, "command", command)
    monkeypatch.setattr(quality, "KODAK", tmp_path / "data" / "kodak")
    return found


def test_both_views_of_kodak_are_measured(called: list[list[str]], tmp_path: Path) -> None:
    assert quality.main(["-j", "2", "--results", str(tmp_path), "--sizes=5kB"]) == 1
    crops, whole = called
    assert crops[:2] == whole[:2] == ["bench", str(quality.KODAK)]
    assert crops[-5:] == ["--crop", "512", "--jobs", "2", "--sizes=5kB"]
    assert whole[-3:] == ["--jobs", "2", "--sizes=5kB"] and "--crop" not in whole


def test_an_unknown_item_is_refused(called: list[list[str]], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        quality.main(["sharpness"])
    assert "'sharpness' is none of crops, whole, opinion" in capsys.readouterr().err and not called


def row(codec: str, picture: str = "a.png", budget: int = 5000, lpips: float = 0.1) -> Row:
    figures: dict[str, float | None] = dict.fromkeys(METRICS, 25.0) | {"lpips": lpips}
    return Row(picture, codec, budget, budget - 10, True, 512, 512, figures)


def test_new_weights_leave_what_they_do_not_change(
    called: list[list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = tmp_path / "kodak-512" / "figures.csv"

    def codecs_left(weights: str) -> list[str]:
        monkeypatch.setattr(quality, "fingerprint", lambda: weights)
        quality.main(["crops", "--results", str(tmp_path)])
        return [one.codec for one in read_csv(table)]

    table.parent.mkdir()
    table.write_text(to_csv([row("avif"), row("calotype-pocket"), row("palette")]))
    assert codecs_left("first") == ["avif"]  # whose figures these were is not known
    table.write_text(to_csv([row("avif"), row("calotype-pocket"), row("palette")]))
    assert codecs_left("first") == ["avif", "calotype-pocket", "palette"]
    assert codecs_left("second") == ["avif"]


def test_the_ledger_resumes_and_forgets_other_weights(tmp_path: Path) -> None:
    path = tmp_path / "pocket.csv"
    quality.Ledger(path, "old").add("eye", "a.png", {"colour.r": 1.0})
    ledger = quality.Ledger(path, "new")
    assert not ledger.has("eye", "a.png")
    ledger.add("eye", "a.png", {"colour.r": 0.25, "colour.g": -0.5})
    ledger.add("rdo", "b.png", {"plain-48.bytes": 5000})
    with path.open("a") as file:
        file.write("new,space,a.png,pocket-mean.0,0.1")  # interrupted
    again = quality.Ledger(path, "new")
    assert again.has("eye", "a.png") and again.has("rdo", "b.png") and not again.has("space", "a.png")
    assert again.figures(["a.png"]).mean("colour.g") == -0.5
    assert "old" not in path.read_text()


def bench_rows(lpips: float, psnr: float) -> list[Row]:
    rows = []
    for codec in CODECS:
        for picture in ("a.png", "b.png"):
            for budget in BUDGETS:
                one = row(codec, picture, budget, lpips if codec.startswith("calotype") else 0.2)
                one.figures["psnr"] = psnr
                rows.append(one)
    return rows


def test_targets_are_met_or_missed() -> None:
    good = [one.met for one in targets(bench_rows(0.08, 24.0), Figures({})) if one.met is not None]
    assert len(good) == 3 + 4 + 3 + 2 and all(good)
    bad = {one.what: one for one in targets(bench_rows(0.21, 23.99), Figures({})) if one.group[0] == "1"}
    assert [what for what, one in bad.items() if one.met] == ["bytes"]
    assert bad["PSNR"].measured == "23.99 dB" and bad["LPIPS better than avif's"].measured == "0 of 2"
    text = markdown(bad.values())
    assert "| LPIPS | ≤ 0.0800 | 0.2100 | **missed** |" in text
    assert "| SSIMULACRA2 | - | 25.0 |  |" in text


def test_entropy_is_compared_by_the_bytes_of_all_pictures() -> None:
    steps = {"0.35": 22, "0.5": 24, "0.7": 26, "1.0": 28, "1.4": 29}
    pictures: dict[str, dict[str, float]] = {"a": {}, "b": {}}
    for step, saved in steps.items():
        pictures["a"] |= {f"rans-{step}.bytes": 2999 - 40 * saved, f"order0-{step}.bytes": 3000}
        pictures["b"] |= {f"rans-{step}.bytes": 1000, f"order0-{step}.bytes": 1000}
    found = targets([], Figures(pictures))
    assert [one.measured for one in found] == [f"{saved:.1f} %" for saved in steps.values()]
    assert all(one.met for one in found)


def test_moments_are_those_of_all_pictures_together() -> None:
    rng = np.random.default_rng(1)
    theirs = {"a": rng.normal(1, 2, (4, 500)), "b": rng.normal(-1, 1, (4, 500))}
    shift = 0.06 * np.concatenate(list(theirs.values()), 1).std(1)
    pictures: dict[str, dict[str, float]] = {}
    for name, values in theirs.items():
        pictures[name] = {}
        for model, latents in (("taesd", values), ("pocket", values * 1.04 + shift[:, None])):
            pictures[name] |= {f"{model}-into-taesd-{rate}.lpips": 0.1 for rate in ("exact", "5000")}
            for channel in range(4):
                pictures[name][f"{model}-mean.{channel}"] = latents[channel].mean()
                pictures[name][f"{model}-square.{channel}"] = (latents[channel] ** 2).mean()
    found = {one.what: one for one in targets([], Figures(pictures))}
    assert not found["channel 0: mean"].met  # whichever way its own mean adds to six hundredths
    assert found["channel 2: deviation"].met and found["channel 2: deviation"].measured == "+4.0 %"
