from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks import quality
from benchmarks.files import BUDGETS, METRICS, figure_names
from benchmarks.ledger import Figures, Ledger
from benchmarks.measures import MEASURES
from benchmarks.plots import plot_judges
from benchmarks.published import PUBLISHED
from benchmarks.scene import OTHERS
from benchmarks.tables import files_table, worst_table
from benchmarks.targets import Target, embedded_megabytes, markdown, targets

CODECS = ("calotype", *OTHERS)


def file_values(codec: str, budgets: tuple[int, ...], value: float) -> dict[str, float]:
    """Every metric has the value, SSIMULACRA2 and PSNR 300 times as much."""
    values: dict[str, float] = {}
    for budget in budgets:
        metrics = {name: value * (300 if name in ("psnr", "ssimulacra2") else 1) for name in METRICS}
        figures = {"bytes": budget - 10, "fits": 1} | metrics
        values |= {f"{codec}-{budget}.{name}": figure for name, figure in figures.items()}
    return values


def measured(value: float) -> Figures:
    """Two pictures by every codec; of Calotype's the second is a little worse than the first."""
    others = [file_values(codec, BUDGETS, 0.3) for codec in OTHERS]
    pictures = {}
    for name, factor in (("a.png", 1.0), ("b.png", 1.01)):
        figures = file_values("calotype", BUDGETS, value * factor)
        for more in others:
            figures |= more
        pictures[name] = figures
    return Figures(pictures)


def test_the_ledger_resumes_and_forgets_other_weights(tmp_path: Path) -> None:
    path = tmp_path / "kodak.csv"
    old = Ledger(path, "old", lasting=("avif",))
    old.add("eye", "a.png", {"colour.r": 1.0})
    old.add("avif", "a.png", {"avif-5000.bytes": 4900})
    ledger = Ledger(path, "new", lasting=("avif",))
    assert not ledger.has("eye", "a.png")
    assert ledger.has("avif", "a.png", "avif-5000.bytes")
    ledger.add("eye", "a.png", {"colour.r": 0.25, "colour.g": -0.5})
    ledger.add("avif", "a.png", {"avif-1024.bytes": 2400})
    ledger.add("entropy", "b.png", {"rans.bytes": 5000})
    with path.open("a") as file:
        file.write("new,space,a.png,pocket-mean.0,0.1")  # interrupted
    again = Ledger(path, "new", lasting=("avif",))
    assert again.has("eye", "a.png") and again.has("entropy", "b.png") and not again.has("space", "a.png")
    assert again.has("avif", "a.png", "avif-5000.bytes", "avif-1024.bytes")
    assert again.figures(["a.png"]).mean("colour.g") == -0.5
    assert "old" not in path.read_text()
    again.forget("eye", ["a.png"])
    assert not Ledger(path, "new").has("eye", "a.png") and again.has("avif", "a.png")


def test_only_what_is_missing_is_left_to_do(tmp_path: Path) -> None:
    paths = [tmp_path / "a.png", tmp_path / "b.png"]
    ledger = Ledger(tmp_path / "ledger.csv", "weights", lasting=("avif",))
    everything = ["files", *MEASURES], ["calotype", "avif"], [5000, 1024]
    wanted = {"calotype": [5000, 1024], "avif": [5000, 1024]}
    assert quality.tasks_left(paths, *everything, ledger) == [
        quality.Task(path, wanted, list(MEASURES)) for path in paths
    ]
    for codec in ("calotype", "avif"):
        ledger.add(codec, "a.png", dict.fromkeys(figure_names(codec, 5000), 1.0))
    ledger.add("avif", "a.png", dict.fromkeys(figure_names("avif", 1024), 1.0))
    for item in MEASURES:
        ledger.add(item, "a.png", {item: 1.0})
    assert quality.tasks_left(paths[:1], *everything, ledger) == [
        quality.Task(paths[0], {"calotype": [1024]}, [])
    ]
    ledger.add("calotype", "a.png", dict.fromkeys(figure_names("calotype", 1024), 1.0))
    assert quality.tasks_left(paths[:1], *everything, ledger) == []
    assert quality.tasks_left(paths[1:], ["eye"], ["avif"], [5000], ledger)[0].budgets == {}


def test_a_run_writes_its_tables_once_everything_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib", reason="needs pip install 'calotype[bench]'")
    for name in ("a.png", "b.png"):
        Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / name)
    paths = [tmp_path / "a.png", tmp_path / "b.png"]
    monkeypatch.setattr(quality, "POOLS", {"kodak": lambda side: paths})
    monkeypatch.setattr(quality, "codecs_here", lambda codecs: (list(codecs), {}))
    monkeypatch.setattr(quality, "MEASURES", {"eye": None})
    monkeypatch.setattr(quality, "_ITEMS", ("files", "eye"))
    done: list[quality.Task] = []

    def measure_all(tasks: list[quality.Task], ledger: Ledger, jobs: int) -> None:
        done.extend(tasks)
        for task in tasks:
            for codec, budgets in task.budgets.items():
                ledger.add(codec, task.path.name, file_values(codec, tuple(budgets), 0.1))
            for item in task.items:
                ledger.add(item, task.path.name, {"nothing": 0.0})

    monkeypatch.setattr(quality, "_measure_all", measure_all)
    results = tmp_path / "results"
    arguments = ["--results", str(results), "-j", "1"]
    assert quality.main(["files", *arguments, "--sizes", "5000"]) == 0
    assert [path.name for path in results.iterdir()] == ["kodak-512.csv"]
    assert quality.main(arguments) == 0
    assert {path.name for path in results.iterdir()} == {f"kodak-512.{kind}" for kind in ("csv", "md", "svg")}
    assert "CoD-Lite, published" in (results / "kodak-512.svg").read_text()
    assert (results / "kodak-512.md").read_text() in capsys.readouterr().out
    assert len(done) == 4 and done[2].budgets["avif"] == [budget for budget in BUDGETS if budget != 5000]
    quality.main(arguments)
    assert len(done) == 4
    quality.main(["files", "--again", *arguments])
    assert len(done) == 6 and set(done[5].budgets) == {"calotype"}


def test_an_unknown_item_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        quality.main(["sharpness"])
    assert "'sharpness' is none of files, entropy, space, eye" in capsys.readouterr().err


def by_group(lines: list[Target], beginning: str) -> list[Target]:
    return [line for line in lines if line.group.startswith(beginning)]


def test_targets_are_met_or_missed() -> None:
    lines = targets(measured(0.1))
    reach, half = by_group(lines, "What to reach"), by_group(lines, "At least half")
    assert len(reach) == 4 * 6 and len(half) == 3 * 2
    met = {(line.group[-11:], line.what): line.met for line in lines}
    assert met["5,000 bytes", "bytes"] and met["5,000 bytes", "PSNR"]  # 30.15 dB
    assert not met["4,096 bytes", "LPIPS-Sq"]
    assert {line.group[-11:] for line in half if line.met} == {"5,000 bytes", "4,096 bytes", "1,024 bytes"}
    assert [line.met for line in half] == [True] * 6
    text = markdown(lines)
    assert "| LPIPS-Alex | ≤ 0.090 | 0.101 | **missed** |" in text
    assert "| bytes | ≤ 1,024, 2 of 2 | 1,014, 2 of 2 | met |" in text
    assert [line.met for line in by_group(targets(measured(0.2)), "At least half")] == 4 * [False] + [
        True,
        False,
    ]


def test_the_size_of_the_embedded_files_is_measured() -> None:
    assert 1 < embedded_megabytes() < 100
    (line,) = by_group(targets(Figures({})), "And: size")
    assert line.measured == f"{embedded_megabytes():.1f} MB"


def test_entropy_is_compared_by_the_bytes_of_all_pictures() -> None:
    pictures: dict[str, dict[str, float]] = {"a": {}, "b": {}}
    for model in ("taesd", "pocket"):
        for step, saved in {"0.35": 19, "0.5": 21, "1.0": 24}.items():
            pictures["a"] |= {
                f"rans-{model}-{step}.bytes": 2999 - 40 * saved,
                f"order0-{model}-{step}.bytes": 3000,
            }
            pictures["b"] |= {f"rans-{model}-{step}.bytes": 1000, f"order0-{model}-{step}.bytes": 1000}
    lines = by_group(targets(Figures(pictures)), "And: entropy")
    assert [line.measured for line in lines] == 2 * ["19.0 %", "21.0 %", "24.0 %"]
    assert [line.met for line in lines] == [None, True, None, None, None, None]


def test_a_grid_is_a_stronger_pattern_than_that_of_the_originals() -> None:
    pictures = ("decoded", "original")
    figures = {
        f"{kind}-{name}.{position}": 0.5
        for kind in ("pattern", "gradient")
        for name in pictures
        for position in range(16)
    }
    figures |= {f"{kind}-{name}.square": 2560.0 for kind in ("grain", "repeating") for name in pictures}
    figures |= {"even.blocks": 10.0, "colour.r": 1.5, "colour.g": -0.5, "colour.b": 0.0}
    lined = (
        figures
        | {f"pattern-decoded.{position}": 1.5 for position in (7, 15)}
        | {"repeating-decoded.square": 4000.0}
    )
    plain, grid = (targets(Figures({"a": values})) for values in (figures, lined))
    assert [line.met for line in by_group(plain, "And: no grid")] == [True] * 5 + [None]
    assert [line.met for line in by_group(grid, "And: no grid")] == [False] * 5 + [None]
    assert [line.met for line in by_group(plain, "And: no tint")] == [False, True, True]
    assert by_group(grid, "And: no grid")[4].measured == "1.25/255 (original: 1.00/255)"


def test_moments_are_those_of_all_pictures_together() -> None:
    rng = np.random.default_rng(1)
    theirs = {"a": rng.normal(1, 2, (4, 500)), "b": rng.normal(-1, 1, (4, 500))}
    shift = 0.06 * np.concatenate(list(theirs.values()), 1).std(1)
    means = np.concatenate(list(theirs.values()), 1).mean(1)
    pictures: dict[str, dict[str, float]] = {}
    for name, values in theirs.items():
        pictures[name] = {"file-5000-into-taesd.lpips_sq": 0.105}
        ours = (values - means[:, None]) * 1.04 + means[:, None] + shift[:, None]
        for model, latents in (("taesd", values), ("pocket", ours)):
            for channel in range(4):
                pictures[name][f"{model}-mean.{channel}"] = latents[channel].mean()
                pictures[name][f"{model}-square.{channel}"] = (latents[channel] ** 2).mean()
    lines = by_group(targets(Figures(pictures)), "And: the same")
    assert [line.measured for line in lines[-4:]] == 4 * ["+0.060 σ, +4.0 %"]
    assert (lines[0].measured, lines[0].met) == ("0.105", True)


def test_tables_have_every_codec_and_the_worst_picture() -> None:
    lines = files_table(measured(0.1), CODECS, BUDGETS).splitlines()
    assert len(lines) == 2 + 5 * 6
    assert lines[0].split(" | ")[2:] == [
        *("bytes", "within", "PSNR", "LPIPS-Sq", "LPIPS-Alex", "LPIPS-VGG", "DISTS", "SSIMULACRA2 |")
    ]
    assert lines[2] == (
        "| 5,000 | Calotype | 4,990 | 2 of 2 | 30.15 | 0.1005 | 0.1005 | 0.1005 | 0.1005 | 30.1 |"
    )
    worst = worst_table(measured(0.1), BUDGETS).splitlines()
    assert worst[2].startswith("| 5,000 | 30.00 (a.png) | 0.1010 (b.png)")
    incomplete = Figures({"a.png": file_values("avif", (2500,), 0.2), "b.png": {}})
    assert len(files_table(incomplete, CODECS, BUDGETS).splitlines()) == 2


def test_the_plot_is_the_same_every_time(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="needs pip install 'calotype[bench]'")
    files = [tmp_path / "one.svg", tmp_path / "two.svg"]
    for file in files:
        plot_judges(file, "Two pictures", measured(0.1), CODECS, BUDGETS, 512, PUBLISHED)
    assert files[0].read_bytes() == files[1].read_bytes()
