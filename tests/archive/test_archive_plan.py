"""Plans of archives: predictions from a sample, against the archives themselves."""

from __future__ import annotations

import json
import tarfile
import threading
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from archive_samples import TINY, archived, write_picture
from PIL import Image

from calotype.archive import Archive, PlanSettings, Work, plan
from calotype.archive.counts import Counts
from calotype.archive.engines.encoder import Encoder, Failure
from calotype.archive.planning.estimate import Estimate, estimate_mean, student_quantile
from calotype.archive.planning.overhead import Overhead
from calotype.archive.planning.plan import Engine
from calotype.archive.planning.sample import Sampler, draw
from calotype.archive.schema import Row
from calotype.archive.sources import scan
from calotype.archive.sources.item import Item
from calotype.cli import main
from calotype.errors import SourceError
from calotype.options import EncodeOptions

PICTURES = 40
BROKEN = 4


def quality(value: float, **fields: Any) -> Work:
    return Work(EncodeOptions(model="tiny", effort=1, quality=value, scale=1), **fields)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures of many sizes, some smooth and some noisy, and files that are none."""
    folder = tmp_path_factory.mktemp("plan")
    random = np.random.default_rng(0)
    for number in range(PICTURES - BROKEN):
        width, height = random.integers(16, 48, 2)
        cells = random.integers(2, 12, 2)
        pixels = random.integers(0, 256, (*cells, 3), np.uint8)
        Image.fromarray(pixels).resize((width, height)).save(folder / f"{number:03d}.png")
    for number in range(BROKEN):
        (folder / f"broken{number}.jpg").write_bytes(b"no picture")
    return folder


def inline(works: tuple[Work, ...]) -> Engine:
    """An engine in this process that encodes each picture once, however often it is asked."""
    sampler = Sampler(works)
    result = cache(sampler)

    def engine(tasks: Iterable[tuple[Item, bool]], stop: threading.Event) -> Iterator[tuple[Any, Any]]:
        for task in tasks:
            if stop.is_set():
                return
            yield task, result(task)

    return engine


@pytest.mark.slow
def test_plans_predict_the_bytes_of_archives_within_five_percent(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    works, hits, covered = (quality(70),), [], []
    encoded = cache(Encoder(works[0]))  # once for the archive and all plans
    monkeypatch.setattr(
        "calotype.archive.planning.sample.Encoder", lambda work, codec: SimpleNamespace(row=row_of)
    )

    def row_of(item: Item, data: bytes) -> Any:
        outcome = encoded(item)
        if isinstance(outcome, Failure):
            raise SourceError(outcome.reason)
        return outcome.row

    monkeypatch.setattr("archive_samples.encoder", lambda work: encoded)
    # Parts of every sample would have nearly the same overhead: it is measured once.
    overheads: list[Overhead] = []

    def measured_once(rows: Sequence[Row], names: Sequence[str]) -> Overhead:
        overheads[:] = overheads or [measured(rows, names)]
        return overheads[0]

    measured = Overhead.measured
    monkeypatch.setattr(Overhead, "measured", measured_once)
    archived(source, tmp_path / "archive", works[0])
    with Archive(tmp_path / "archive") as archive:
        actual = archive.stats()
    for seed in range(10):
        made = plan([source], PlanSettings(works, least=12, seed=seed), engine=inline(works))
        assert made.pictures == PICTURES and 12 <= made.encoded <= PICTURES
        (prediction,) = made.predictions
        hits.append(abs(prediction.archive_bytes.value / actual["file_bytes"] - 1) <= 0.05)
        payload = prediction.payload_bytes
        covered.append(payload.low <= actual["payload_bytes"] <= payload.high)
    assert sum(hits) >= 9 and sum(covered) >= 8


def test_a_sample_of_all_is_exact(source: Path, tmp_path: Path) -> None:
    chosen = [str(source / f"{n:03d}.png") for n in range(8)] + [str(source / "broken0.jpg")]
    work = quality(50, scores=("psnr",), keep_originals_over=20.0)
    archived(chosen, tmp_path / "archive", work)
    with Archive(tmp_path / "archive") as archive:
        figures, rows = archive.stats(), list(archive.rows())
    made = plan(chosen, PlanSettings((work,)), engine=inline((work,)))
    (prediction,) = made.predictions
    assert (made.pictures, made.encoded, made.measured) == (9, 9, 9)
    assert made.pixels.low == made.pixels.high == figures["pixels"]
    assert prediction.payload_bytes.value == pytest.approx(
        figures["payload_bytes"] + sum(len(row["original"] or b"") for row in rows)
    )
    assert prediction.originals.value * 9 == pytest.approx(figures["originals"])
    assert prediction.scores["psnr"].value == pytest.approx(figures["mean_psnr"])
    assert prediction.archive_bytes.value == pytest.approx(figures["file_bytes"], rel=0.02)
    assert made.reasons == {"SourceError": 1} and prediction.failed.value == pytest.approx(1 / 9)


def test_more_precision_takes_more_pictures(source: Path) -> None:
    engine = inline((quality(50),))
    encoded = [
        plan([source], PlanSettings((quality(50),), precision, least=10), engine=engine).encoded
        for precision in (0.5, 0.03)
    ]
    assert encoded[0] == 10 < encoded[1]
    made = plan([source], PlanSettings((quality(50),), 0.001, least=10, most=20), engine=engine)
    assert made.encoded == 20


def test_an_interrupted_plan_uses_the_pictures_encoded_so_far(source: Path) -> None:
    stop = threading.Event()

    def progress(phase: str, count: int) -> None:
        if (phase, count) == ("encoded", 7):
            stop.set()

    works = (quality(50),)
    made = plan([source], PlanSettings(works), engine=inline(works), stop=stop, progress=progress)
    assert made.interrupted and made.encoded == 7 and made.predictions[0].archive_bytes.value > 0


def test_every_picture_is_drawn_with_the_same_probability(tmp_path: Path) -> None:
    items = [Item(f"{number}", "", "", "") for number in range(10)]
    times = np.zeros(10)
    for seed in range(2000):
        drawn = draw(items, Counts(), 3, seed, tmp_path)
        assert (len(drawn.items), drawn.pictures) == (3, 10)
        times[[int(item.uri) for item in drawn.items]] += 1
    assert abs(times - 600).max() < 5 * np.sqrt(2000 * 0.3 * 0.7)


def test_pictures_of_compressed_tar_files_are_kept_on_the_disk(tmp_path: Path) -> None:
    path = write_picture(tmp_path / "a.png", 1)
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as tar:
        tar.add(path, "x.png")
    (tmp_path / "spill").mkdir()
    drawn = draw(scan([str(tmp_path / "a.tar.gz")], Counts()), Counts(), 5, 0, tmp_path / "spill")
    (item,) = drawn.items
    assert item.data is None and item.read(TINY.options.limits) == path.read_bytes()
    sampler = Sampler((TINY,))
    assert sampler((item, False)) == sampler((Item("", "", "", str(path)), False))


def test_headers_behind_the_first_bytes_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("calotype.archive.planning.sample._HEAD", 64)
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8))
    image.save(tmp_path / "a.tif")  # its directory is at the end
    image.save(tmp_path / "a.png")
    (tmp_path / "a.jpg").write_bytes(b"x" * 1000)
    size_of = Sampler((TINY,))
    sizes = {
        name: size_of((Item("", "", "", str(tmp_path / name)), False))
        for name in ("a.tif", "a.png", "a.jpg", "none.png")
    }
    assert {name: size.pixels for name, size in sizes.items()} == {
        "a.tif": 600,
        "a.png": 600,
        "a.jpg": 0,
        "none.png": 0,
    }
    assert sizes["a.tif"].source_bytes == (tmp_path / "a.tif").stat().st_size


def test_regression_uses_the_auxiliary_variables_of_many_pictures() -> None:
    random = np.random.default_rng(1)
    size = random.lognormal(0, 1, (3000, 1))
    values = 5 * size[:, 0] + random.normal(0, 0.1, 3000) + 2
    plain = estimate_mean(values[:50], 3000)
    better = estimate_mean(values[:50], 3000, size[:50], size)
    assert better.relative_half_width < plain.relative_half_width / 10
    assert abs(better.value - values.mean()) < 0.1


def test_intervals_hold_the_true_value_with_the_stated_probability() -> None:
    random = np.random.default_rng(2)
    population = random.gamma(2, 1, 500)
    held = 0
    for _ in range(400):
        estimate = estimate_mean(random.choice(population, 40, replace=False), 500)
        held += estimate.low <= population.mean() <= estimate.high
    assert 0.91 <= held / 400 <= 0.98


@pytest.mark.parametrize(("freedom", "known"), [(4, 2.776), (10, 2.228), (30, 2.042), (1000, 1.962)])
def test_quantiles_are_those_of_the_tables(freedom: int, known: float) -> None:
    assert student_quantile(freedom) == pytest.approx(known, rel=0.01)


def test_estimates_of_one_value_or_none() -> None:
    assert np.isnan(estimate_mean(np.zeros(0), 3).value)
    assert estimate_mean(np.array([2.0]), 3, lower_bound=0) == Estimate(2.0, 0, np.inf)
    assert estimate_mean(np.array([2.0]), 1) == Estimate(2.0, 2.0, 2.0)
    assert (
        Estimate(0.0, 0.0, 0.0).relative_half_width == 0 and Estimate(0.0, 0, 1).relative_half_width == np.inf
    )
    constant = estimate_mean(np.ones(30), 90, np.ones((30, 1)), np.ones((90, 1)))
    assert constant == Estimate(1.0, 1.0, 1.0)


def test_settings_are_checked(tmp_path: Path) -> None:
    for fields in ({"precision": 0}, {"least": 3, "most": 2}, {"workers": 0}):
        with pytest.raises(ValueError, match=next(iter(fields))):
            PlanSettings((TINY,), **fields)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="works"):
        PlanSettings(())
    with pytest.raises(SourceError, match="no pictures to plan for"):
        plan([tmp_path], PlanSettings((TINY,)), engine=inline((TINY,)))


@pytest.mark.slow
def test_the_command_predicts(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["archive", "plan", "-m", "tiny", "-e", "1", "-j", "1", "--most", "5", "--least", "5"]
    assert main([*command, "--scores", "psnr", "--cores", "100", str(source)]) == 0
    shown = capsys.readouterr().out
    assert "40 pictures" in shown and "encoded with each setting: 5 (a random sample)" in shown
    for text in ("--quality 30", "--quality 70", "on 100 cores like these", "psnr", "1/"):
        assert text in shown
    assert main([*command, "--json", "--bpp", "0.5", "--target-size", "2kB", str(source)]) == 0
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(record["bpp"], record["target_size"]) for record in records] == [
        (None, 2000),
        (0.5, None),
    ]
    assert records[1]["archive_bytes"]["low"] < records[1]["archive_bytes"]["high"]
    assert main([*command, "--quality", "30,101", str(source)]) == 2
    assert main([*command[:-2], "--least", "30", str(source)]) == 2
