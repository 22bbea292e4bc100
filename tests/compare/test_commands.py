"""``calotype compare``, ``stages`` and ``bench`` as users call them."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from PIL import Image

from calotype.cli import main
from calotype.compare import Rules
from calotype.compare.bench import Settings, _measure_picture
from calotype.compare.codecs.base import decode_with_pillow
from calotype.errors import LimitError
from calotype.limits import Limits

TINY = ["--models", "tiny", "--codecs", "jpeg"]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def said(capfd: pytest.CaptureFixture[str]) -> str:
    out, err = capfd.readouterr()
    assert out == ""
    return err


def test_compare_writes_a_report(photos: list[Path], capfd: pytest.CaptureFixture[str]) -> None:
    names = [str(photo) for photo in photos]
    assert main(["compare", *names, "--sizes", "2kB, 1KiB", *TINY, "--out", "report", "--json"]) == 0
    out, err = capfd.readouterr()
    rows = [json.loads(line) for line in out.splitlines()]
    assert {(row["codec"], row["budget"]) for row in rows} == {
        (codec, size) for codec in ("calotype-tiny", "jpeg") for size in (2000, 1024)
    }
    assert err == "8 files compared: open report/index.html\n"
    assert Path("report/index.html").is_file()


def test_compare_refuses_what_it_cannot_do(photos: list[Path], capfd: pytest.CaptureFixture[str]) -> None:
    photo = str(photos[0])
    for arguments, code, sentence in (
        (["--sizes", "many"], 2, "'many' is not a size"),
        (["--sizes", ","], 2, "there is no size in it"),
        (["--codecs", "bpg"], 2, "'bpg' is none of jpeg, webp, avif, jxl, palette"),
        (["--models", "nobody"], 5, "unknown model 'nobody'"),
        (["--models", "", "--codecs", ""], 2, "nothing to compare"),
        (["--lpips", "absent.onnx"], 2, "does not exist"),
        (["--lpips", photo, *TINY], 5, "cannot load the LPIPS graph"),
    ):
        assert main(["compare", photo, "--out", "report", *arguments]) == code
        assert sentence in said(capfd)
    assert main(["compare", "absent.png", *TINY, "--out", "report"]) == 1
    assert "absent.png" in said(capfd)
    assert main(["compare", photo, *TINY, "--max-pixels", "100", "--out", "report"]) == 4
    assert not Path("report").exists()


def test_a_broken_picture_does_not_stop_the_others(
    photos: list[Path], capfd: pytest.CaptureFixture[str]
) -> None:
    Path("set").mkdir()
    Path("set/b.png").write_bytes(photos[0].read_bytes())
    Path("set/a.png").write_bytes(photos[0].read_bytes()[:300])
    codecs = ["--models", "", "--codecs", "jpeg"]
    assert main(["compare", "set/a.png", "set/b.png", *codecs, "--out", "report"]) == 1
    text = said(capfd)
    assert "calotype: error: set/a.png cannot be read" in text
    assert text.endswith("3 files compared: open report/index.html\n")
    assert main(["bench", "set", *codecs, "--sizes", "5kB", "--out", "results", "--json"]) == 1
    out, err = capfd.readouterr()
    failure, row = map(json.loads, out.splitlines())
    assert (failure["input"], failure["ok"], failure["exit_code"]) == ("set/a.png", False, 1)
    assert (row["picture"], row["codec"]) == ("b.png", "jpeg")
    assert "calotype: error: set/a.png cannot be read" in err and "1 figures: see results/summary.md" in err


def test_stages_writes_a_page(photos: list[Path], capfd: pytest.CaptureFixture[str]) -> None:
    call = ["stages", str(photos[1]), "--model", "tiny", "--target-size", "1kB", "--out", "page"]
    assert main([*call, "--json"]) == 0
    record = json.loads(capfd.readouterr().out)
    assert record["ok"] and record["bytes"] <= 1000
    assert Path("page/tall.calo").stat().st_size == record["bytes"]
    assert main(call) == 1
    assert "exists already" in said(capfd)
    assert main([*call, "--force", "--quiet"]) == 0
    assert said(capfd) == ""
    assert main(["stages", str(photos[1]), "--model", "tiny", "--target-size", "20", "--out", "other"]) == 1
    assert "the smallest file for this picture" in said(capfd)


def test_bench_writes_results(photos: list[Path], capfd: pytest.CaptureFixture[str]) -> None:
    call = ["bench", str(photos[0].parent), "--sizes", "20kB,10kB", *TINY, "-j", "2", "--out", "results"]
    assert main(call) == 0
    text = said(capfd)
    assert text.splitlines()[-1] == "8 figures: see results/summary.md"
    assert "lpips is left out: needs a graph of the metric: --lpips FILE" in text
    assert {path.name for path in Path("results").iterdir()} == {
        "figures.csv",
        "summary.md",
        "curves.png",
        "run.json",
    }
    assert main([*call, "--crop", "176"]) == 1
    assert "--force measures everything again" in said(capfd)


def pillow_reads_webp_of_any_size() -> bool:
    """Newer versions of Pillow keep their own limit when they read WebP."""
    file = io.BytesIO()
    Image.new("RGB", (200, 150)).save(file, "WEBP")
    try:
        decode_with_pillow(file.getvalue())
    except LimitError:
        return False
    return True


def test_pictures_above_the_usual_limits_are_compared_if_they_are_allowed(
    photos: list[Path], capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = Limits.__init__.__defaults__
    assert usual is not None and usual[0] == Limits.max_pixels
    monkeypatch.setattr(Limits.__init__, "__defaults__", (5000, *usual[1:]))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)  # Pillow refuses twice as many
    photo, codecs = str(photos[1]), "jpeg,webp,palette"
    arguments = [photo, "--max-pixels", "50000", "--out"]
    sizes = ["--models", "tiny", "--codecs", codecs, "--sizes", "1kB"]
    assert main(["compare", *arguments, "report", *sizes, "--json"]) == 0
    out, _ = capfd.readouterr()
    webp = ["webp"] if pillow_reads_webp_of_any_size() else []
    coded = [json.loads(line)["codec"] for line in out.splitlines()]
    assert coded == ["calotype-tiny", "jpeg", *webp, "palette"]
    # The page explains what newer versions of Pillow refuse.
    assert webp or "MAX_IMAGE_PIXELS" in Path("report/index.html").read_text("utf-8")
    assert main(["stages", *arguments, "page", "--model", "tiny", "--target-size", "1kB"]) == 0
    assert main(["compare", photo, "--max-pixels", "5000", "--out", "refused", *sizes]) == 4
    settings = Settings(Rules(("tiny",), ("jpeg",)), (1000,), max_pixels=50_000)
    assert _measure_picture(photos[1], "calotype-tiny", settings, 1)
    said(capfd)
