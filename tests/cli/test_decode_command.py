from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path

import pytest
from cli_samples import Refused, Run, picture
from PIL import Image

import calotype
from calotype.cli.pictures import format_named, format_of_path
from calotype.errors import OutputError
from calotype.imaging import FORMATS, pack_picture

TINY = ("decode", "-m", "tiny")


def test_one_file_becomes_one_picture(run: Run, calo: str, tmp_path: Path) -> None:
    done = run(*TINY, calo, "out.png")
    assert (done.returncode, done.stdout) == (0, b"")
    assert done.stderr.decode().startswith("photo.calo -> out.png: 48x40, ")
    with Image.open(tmp_path / "out.png") as image:
        expected = calotype.decode(tmp_path / calo, model="tiny")
        assert image.tobytes() == expected.tobytes()


@pytest.mark.slow
def test_the_extension_or_the_option_chooses_the_format(run: Run, calo: str, tmp_path: Path) -> None:
    for name, format_, options in (
        ("a.webp", "WEBP", ()),
        ("b.JPEG", "JPEG", ()),
        ("c.dat", "TIFF", ("--format", "tif")),
        ("d.dat", "JPEG", ("--format", "jpeg")),
    ):
        done = run(*TINY, *options, "--json", "--quiet", calo, name)
        assert json.loads(done.stdout)["format"] == format_
        with Image.open(tmp_path / name) as image:
            assert (image.format, image.size) == (format_, (48, 40))


def test_json_describes_the_decoded_file(run: Run, calo: str, tmp_path: Path) -> None:
    record = json.loads(run(*TINY, "--json", calo, "out.png").stdout)
    assert record["ok"] is True
    assert record["bytes"] == (tmp_path / "out.png").stat().st_size
    assert record["input_bytes"] == (tmp_path / calo).stat().st_size
    assert (record["width"], record["height"], record["mode"]) == (48, 40, "RGB")


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["no.calo", "out.png"], 1, "no.calo: cannot be read (no such file or directory)"),
        (["photo.png", "out.png"], 3, "photo.png: "),
        (["short.calo", "out.png"], 3, "short.calo: "),
        (["damaged.calo", "out.png"], 3, "damaged.calo: "),
        (["photo.calo", "photo.png"], 1, "photo.png: exists already"),
        (["photo.calo", "out.png", "--max-pixels", "1919"], 4, "photo.calo: 48x40 pixels"),
        (["photo.calo", "out.png", "-m", "no-such"], 5, "unknown model 'no-such'"),
        (["photo.calo", "out.gif"], 2, "no picture format goes with the name 'out.gif'"),
        (["photo.calo", "out"], 2, "use --format"),
        (["photo.calo", "photo.calo", "--format", "png"], 2, "'photo.calo' is an input"),
        (["photo.calo"], 2, "there is no output"),
    ],
)
def test_failures_are_one_sentence_and_a_code(
    refused: Refused, calo: str, tmp_path: Path, arguments: list[str], code: int, sentence: str
) -> None:
    data = (tmp_path / calo).read_bytes()
    (tmp_path / "short.calo").write_bytes(data[:-1])
    (tmp_path / "damaged.calo").write_bytes(data[:-2] + bytes([data[-2] ^ 1]) + data[-1:])
    model = [] if "-m" in arguments else ["-m", "tiny"]
    exit_code, message = refused(["decode", *model, *arguments])
    assert (exit_code, sentence in message) == (code, True), message


@pytest.mark.slow
def test_transparency_is_never_lost_silently(run: Run, tmp_path: Path) -> None:
    picture("RGBA").save(tmp_path / "clear.png")
    assert run("encode", "-m", "tiny", "-e", "1", "clear.png", "clear.calo").returncode == 0
    done = run(*TINY, "clear.calo", "clear.jpg")
    assert done.returncode == 1
    assert b"clear.jpg: cannot hold the picture's transparency as JPEG" in done.stderr
    assert not (tmp_path / "clear.jpg").exists()
    assert run(*TINY, "clear.calo", "clear.webp").returncode == 0
    with Image.open(tmp_path / "clear.webp") as image:
        assert image.mode == "RGBA"
        assert image.getchannel("A").tobytes() == picture("RGBA").getchannel("A").tobytes()


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA"])
@pytest.mark.parametrize("name", FORMATS)
def test_every_format_has_the_alpha_and_colours_it_claims(name: str, mode: str) -> None:
    image, chosen = picture(mode), FORMATS[name]
    if mode.endswith("A") and not chosen.alpha:
        pytest.skip("refused before decoding")
    with Image.open(BytesIO(pack_picture(image, chosen))) as read:
        assert read.format == chosen.pillow
        assert read.has_transparency_data == mode.endswith("A")
        if name not in ("jpg", "avif"):
            composed = [
                Image.alpha_composite(Image.new("RGBA", i.size), i.convert("RGBA")) for i in (read, image)
            ]
            assert composed[0].tobytes() == composed[1].tobytes()


@pytest.mark.parametrize("name", ["png", "webp", "tiff", "jpg", "avif"])
def test_metadata_is_written(name: str) -> None:
    image = picture()
    exif = image.getexif()
    exif[0x010E] = "a hill"
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"></x:xmpmeta>'
    image.info.update(exif=exif.tobytes(), icc_profile=b"profile" * 20, xmp=xmp)
    with Image.open(BytesIO(pack_picture(image, FORMATS[name]))) as read:
        assert read.getexif()[0x010E] == "a hill"
        assert read.info["icc_profile"] == b"profile" * 20
        assert read.info["xmp"].strip(b"\0") == xmp


def test_a_format_that_fails_says_so() -> None:
    with pytest.raises(OutputError, match="cannot be written as WEBP"):
        pack_picture(Image.new("L", (16_384, 1)), FORMATS["webp"])


def test_the_format_follows_from_the_name_or_the_option() -> None:
    assert format_of_path("x/y.TIF").pillow == "TIFF"
    assert format_of_path("a.jpeg") is FORMATS["jpg"]
    assert format_named("tif") is FORMATS["tiff"]


@pytest.mark.slow
def test_a_truncated_file_is_decoded_with_partial(run: Run, calo: str, tmp_path: Path) -> None:
    data = (tmp_path / calo).read_bytes()
    (tmp_path / "begun.calo").write_bytes(data[:-8])
    refused = run(*TINY, "begun.calo", "out.png")
    assert refused.returncode == 3
    done = run(*TINY, "--partial", "--json", "begun.calo", "out.png")
    assert done.returncode == 0
    note = f"begun.calo: the picture is partial: at least 8 bytes after the first {len(data) - 8} are missing"
    assert done.stderr.decode().startswith(f"calotype: warning: {note}")
    assert json.loads(done.stdout)["partial"] == 1 - 8 / len(data)
    with Image.open(tmp_path / "out.png") as image:
        assert image.size == (48, 40)
    whole = run(*TINY, "--partial", "--json", calo, "whole.png")
    assert (whole.returncode, b"warning" in whole.stderr) == (0, False)
    assert "partial" not in json.loads(whole.stdout)
    assert run(*TINY, "--partial", "--quiet", "begun.calo", "again.png").stderr == b""


@pytest.mark.slow
def test_decoded_pictures_have_a_provenance_note_unless_it_is_refused(
    run: Run, calo: str, tmp_path: Path
) -> None:
    assert run(*TINY, calo, "noted.png").returncode == 0
    assert run(*TINY, "--no-provenance", calo, "bare.png").returncode == 0
    with Image.open(tmp_path / "noted.png") as image:
        assert image.info["Software"] == f"Calotype {calotype.__version__}"
        assert "decoder tiny" in image.info["Comment"]
    assert b"Calotype" not in (tmp_path / "bare.png").read_bytes()


@pytest.mark.slow
def test_smaller_pictures_and_parts(run: Run, calo: str, tmp_path: Path) -> None:
    data = (tmp_path / calo).read_bytes()
    record = json.loads(run("decode", "--reduce", "8", "--json", calo, "small.png").stdout)
    assert (record["width"], record["height"]) == (6, 5)
    with Image.open(tmp_path / "small.png") as image:
        assert image.tobytes() == calotype.decode(data, reduce=8).tobytes()
    done = run(*TINY, "--crop", "3, 5,21,40", calo, "part.png")
    assert done.stderr.decode().startswith("photo.calo -> part.png: 18x35, ")
    with Image.open(tmp_path / "part.png") as image:
        assert image.tobytes() == calotype.decode(data, model="tiny", box=(3, 5, 21, 40)).tobytes()
    run("decode", "--reduce", "16", "--crop", "0,0,17,40", calo, "both.png")
    with Image.open(tmp_path / "both.png") as image:
        assert image.size == (2, 3)


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["--crop", "0,0,49,40"], 1, "photo.calo: the box (0, 0, 49, 40) leaves the picture, which is 48x40"),
        (["--crop", "0,0,4"], 2, "is not LEFT,TOP,RIGHT,BOTTOM"),
        (["--crop", "0,0,4.5,5"], 2, "is not LEFT,TOP,RIGHT,BOTTOM"),
        (["--crop", "5,0,5,5"], 2, "is empty"),
        (["--reduce", "4"], 2, "'1', '8', '16'"),
        (["--reduce", "8", "-m", "tiny"], 2, "--model would have no effect with --reduce"),
        (["--reduce", "8", "--backend", "openvino"], 2, "--backend would have no effect with --reduce"),
        (["--reduce", "8", "--device", "cpu"], 2, "--device would have no effect with --reduce"),
    ],
)
def test_views_that_are_refused(
    refused: Refused, calo: str, arguments: list[str], code: int, sentence: str
) -> None:
    exit_code, message = refused(["decode", *arguments, calo, "out.png"])
    assert (exit_code, sentence in message) == (code, True), message
