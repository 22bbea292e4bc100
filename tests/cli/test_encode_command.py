from __future__ import annotations

import json
from pathlib import Path

import pytest
from cli_samples import Refused, Run, picture
from PIL import Image

import calotype

TINY = ("encode", "-m", "tiny", "-e", "1")


def test_one_picture_becomes_one_file(run: Run, photo: str, tmp_path: Path) -> None:
    done = run(*TINY, photo, "out.calo")
    size = (tmp_path / "out.calo").stat().st_size
    assert (done.returncode, done.stdout) == (0, b"")
    assert done.stderr.decode().startswith(f"photo.png -> out.calo: 48x40, {size} bytes, ")
    assert done.stderr.count(b"\n") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.calo", "photo.png"]
    assert calotype.read_info(tmp_path / "out.calo").encoder == "tiny"


@pytest.mark.slow
def test_the_rate_options_have_an_effect(run: Run, photo: str, tmp_path: Path) -> None:
    sizes = {}
    for option, value in (("-q", "0"), ("--quality", "90"), ("--target-size", "0.06kB"), ("--bpp", "0.25")):
        done = run(*TINY, option, value, photo, f"of{option}.calo", "--quiet")
        assert (done.returncode, done.stderr) == (0, b""), done.stderr
        sizes[option] = (tmp_path / f"of{option}.calo").stat().st_size
    assert sizes["-q"] < sizes["--quality"]
    assert sizes["--target-size"] <= 60
    assert sizes["--bpp"] <= 0.25 * 48 * 40 / 8


@pytest.mark.slow
def test_a_picture_coded_smaller_than_it_is_shown(run: Run, photo: str) -> None:
    done = run(*TINY, "--scale", "0.5", "--json", photo, "half.calo")
    record = json.loads(done.stdout)
    assert (record["width"], record["coded_width"], record["coded_height"]) == (48, 24, 20)
    assert b", coded as 24x20" in done.stderr
    assert b"48x40 RGB, coded as 24x20\n" in run("info", "half.calo").stdout
    assert b"coded as" not in run(*TINY, "--scale", "1", photo, "whole.calo").stderr


def test_json_agrees_with_the_file(run: Run, photo: str, tmp_path: Path) -> None:
    done = run(*TINY, "--json", "--quiet", photo, "out.calo")
    record = json.loads(done.stdout)
    info = calotype.read_info(tmp_path / "out.calo")
    assert done.stderr == b""
    assert (record["input"], record["output"], record["ok"]) == ("photo.png", "out.calo", True)
    assert (record["bytes"], record["bpp"]) == (info.file_size, info.bpp)
    assert (record["width"], record["height"], record["mode"]) == (48, 40, "RGB")
    assert (record["coded_width"], record["coded_height"]) == (info.coded_width, info.coded_height)
    assert (record["encoder"], record["level"], record["effort"]) == ("tiny", info.level, 1)
    assert 0 < record["seconds"] < 60


def test_verbose_prints_more_about_each_file(run: Run, photo: str) -> None:
    assert b"encoder tiny, level " in run(*TINY, "-v", photo, "out.calo").stderr


@pytest.mark.slow
def test_metadata_is_dropped_unless_kept(run: Run, tmp_path: Path) -> None:
    image = picture()
    image.getexif()[0x010E] = "where I live"
    image.save(tmp_path / "exif.png", exif=image.getexif())
    for option, names in (("--strip", []), ("--keep-metadata", ["EXIF"])):
        assert run(*TINY, option, "exif.png", f"with{option}.calo").returncode == 0
        chunks = calotype.read_info(tmp_path / f"with{option}.calo").chunks
        assert [chunk.name.upper() for chunk in chunks] == names
    assert run(*TINY, "exif.png", "bare.calo").returncode == 0
    assert (tmp_path / "bare.calo").read_bytes() == (tmp_path / "with--strip.calo").read_bytes()


@pytest.mark.slow
def test_animations_warn_or_are_refused(run: Run, tmp_path: Path) -> None:
    picture().save(tmp_path / "moving.gif", save_all=True, append_images=[picture("L").convert("RGB")])
    done = run(*TINY, "moving.gif", "a.calo")
    assert done.returncode == 0
    assert done.stderr.startswith(b"calotype: warning: moving.gif")
    assert done.stderr.count(b"\n") == 2
    assert run(*TINY, "--quiet", "moving.gif", "b.calo").stderr == b""
    done = run(*TINY, "--strict", "moving.gif", "c.calo")
    assert done.returncode == 1
    assert done.stderr.startswith(b"calotype: error: moving.gif")
    assert not (tmp_path / "c.calo").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["no.png", "out.calo"], 1, "no.png: cannot be read (no such file or directory)"),
        (["text.png", "out.calo"], 1, "text.png"),
        (["empty.png", "out.calo"], 1, "empty.png"),
        ([".", "out.calo"], 1, ".: cannot be read (is a directory)"),
        (["photo.png", "taken.calo"], 1, "taken.calo: exists already (use --force to overwrite it)"),
        (["photo.png", "no/out.calo"], 1, "no/out.calo: cannot be written: there is no folder 'no'"),
        (["photo.png", "--target-size", "1", "out.calo"], 1, "photo.png: target size 1 bytes is too small"),
        (["photo.png", "--max-pixels", "1919", "out.calo"], 4, "photo.png: 48x40 pixels"),
        (["photo.png", "-m", "no-such", "out.calo"], 5, "unknown model 'no-such'"),
        (["photo.png", "other.jpg"], 2, "the output 'other.jpg' is named like a picture"),
        (["photo.png"], 2, "there is no output"),
        ([], 2, "Missing argument"),
        (["photo.png", "out.calo", "--no-such"], 2, "No such option"),
        (["photo.png", "out.calo", "-q", "101"], 2, "-q"),
        (["photo.png", "out.calo", "--bpp", "nan"], 2, "bpp"),
        (["photo.png", "out.calo", "-e", "0"], 2, "-e"),
        (["photo.png", "out.calo", "--target-size", "5k"], 2, "'5k' is not a size"),
        (["photo.png", "out.calo", "-q", "5", "--bpp", "1"], 2, "--quality and --bpp exclude each other"),
        (["photo.png", "out.calo", "--bpp", "1", "--target-size", "9"], 2, "--target-size and --bpp exclude"),
        (["photo.png", "-", "--json"], 2, "--json and the output '-'"),
    ],
)
def test_failures_are_one_sentence_and_a_code(
    refused: Refused, tmp_path: Path, arguments: list[str], code: int, sentence: str
) -> None:
    (tmp_path / "text.png").write_text("not a picture")
    (tmp_path / "empty.png").touch()
    (tmp_path / "taken.calo").write_text("mine")
    model = [] if "-m" in arguments else ["-m", "tiny"]
    exit_code, message = refused(["encode", *model, *arguments])
    assert (exit_code, sentence in message) == (code, True), message


def test_tracebacks_are_shown_when_asked_for(run: Run) -> None:
    done = run(*TINY, "-vv", "no.png", "out.calo")
    assert done.returncode == 1
    assert done.stderr.startswith(b"calotype: error: no.png")
    assert b"Traceback" in done.stderr


def test_regions_of_interest_are_boxes_or_masks(run: Run, refused: Refused, tmp_path: Path) -> None:
    picture("RGB").save(tmp_path / "plain.png")
    with Image.open(tmp_path / "plain.png") as image:
        Image.new("L", image.size, 255).crop((0, 0, 8, 8)).resize(image.size).save(tmp_path / "mask.png")
    done = run("encode", "-m", "tiny", "--roi", "0,0,8,8,0.5", "--roi", "mask.png", "plain.png", "roi.calo")
    assert done.returncode == 0, done.stderr
    for given, code, sentence in (
        ("0,0,0,8", 2, "must have pixels"),
        ("0,0,8", 2, "'0,0,8' is not left,top,width,height[,weight]"),
        ("", 2, "'' is not left,top,width,height[,weight]"),
        ("no.png", 1, "no.png"),
        ("0,0,999,8", 1, "leaves the picture"),
    ):
        exit_code, message = refused(["encode", "-m", "tiny", "--roi", given, "plain.png", "x.calo"])
        assert (exit_code, sentence in message) == (code, True), message
