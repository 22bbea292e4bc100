"""The experiments of 2022 on a small picture, with the tiny model."""

from __future__ import annotations

import csv
import json
import zlib
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import calotype
from calotype.cli import main
from calotype.errors import OutputError
from calotype.experiments import ALSO, Experiment, Settings, coding_variants, run_experiment, write_results
from calotype.experiments.variants import lowest_quality_of_size
from calotype.latents import palette

SAMPLE = Path(__file__).parents[2] / "samples" / "astronaut.png"
OTHERS = tuple(name for name in ALSO if name != "imagequant")  # a library that few have


@pytest.fixture(scope="module")
def photo() -> NDArray[np.uint8]:
    with Image.open(SAMPLE) as image:
        return np.asarray(image.convert("RGB").resize((180, 177)))


@pytest.fixture(scope="module")
def experiment(photo: NDArray[np.uint8]) -> Experiment:
    return run_experiment(photo, Settings(model="tiny", also=OTHERS))


@pytest.fixture(scope="module")
def latents() -> NDArray[np.float32]:
    rng = np.random.default_rng(2)
    return np.cumsum(rng.normal(0, 0.25, (4, 24, 40)), 2).astype(np.float32)


def deviation(latents: NDArray[np.float32], name: str, also: tuple[str, ...] = ()) -> float:
    (variant,) = [variant for variant in coding_variants(latents, also) if variant.name == name]
    return float(np.std(variant.latents - latents))


def test_the_stages_of_the_recipe(latents: NDArray[np.float32]) -> None:
    stages = {variant.name: variant for variant in coding_variants(latents)}
    assert list(stages) == [
        "vae",
        "bits-8",
        "palette-plain",
        "zlib-plain",
        "palette-dithered",
        "zlib-dithered",
    ]
    assert stages["vae"].size == 4 * 4 * 24 * 40
    assert stages["bits-8"].size == 4 * 24 * 40
    assert stages["palette-dithered"].size == 1024 + 24 * 40
    pixels = palette.latents_to_bytes(latents)
    colours = palette.choose_palette(pixels)
    data = palette.pack_palette_payload(colours, palette.dither_to_palette(pixels, colours))
    assert stages["zlib-dithered"].size == len(data)
    assert np.array_equal(
        stages["zlib-dithered"].latents,
        palette.latents_from_bytes(palette.unpack_palette_payload(data, 24, 40)),
    )
    assert np.array_equal(stages["vae"].latents, latents)


def test_dithering_adds_noise_and_bits_take_it_away(latents: NDArray[np.float32]) -> None:
    names = ("bits-8", "zlib-plain", "zlib-dithered")
    stages = [deviation(latents, name) for name in names]
    assert stages[0] < stages[1] < stages[2]
    errors = [deviation(latents, f"bits-{bits}", ("bits",)) for bits in range(8, 1, -1)]
    assert errors == sorted(errors)
    for coarse, fine in zip(errors[2:], errors[1:], strict=False):
        assert coarse == pytest.approx(2 * fine, rel=0.25)


def test_lossless_webp_keeps_the_eight_bits(latents: NDArray[np.float32]) -> None:
    stages = {variant.name: variant for variant in coding_variants(latents, ("webp-lossless",))}
    assert np.array_equal(stages["latents-webp-lossless"].latents, stages["bits-8"].latents)
    assert stages["latents-webp-lossless"].size < stages["bits-8"].size


def test_lossy_formats_are_raised_to_the_recipes_size(photo: NDArray[np.uint8]) -> None:
    image = Image.fromarray(photo)
    for format_name in ("JPEG", "WEBP"):
        data = lowest_quality_of_size(image, format_name, 3000)
        smaller = lowest_quality_of_size(image, format_name, 2000)
        assert 2000 <= len(smaller) <= len(data) and 3000 <= len(data) < 4000
    best = lowest_quality_of_size(image, "JPEG", 10**9)
    assert len(best) > 20_000  # the highest quality, where none is large enough


def test_every_stage_has_a_picture_and_figures(experiment: Experiment, photo: NDArray[np.uint8]) -> None:
    names = [result.name for result in experiment.results]
    assert len(set(names)) == len(names) == 6 + 6 + 3 + 2
    by_name = {result.name: result for result in experiment.results}
    for result in experiment.results:
        assert result.rgb.shape == photo.shape and result.rgb.dtype == np.uint8
        assert result.figures["psnr"] > 8 and 0 < result.figures["ms_ssim"] < 1
    assert "--lpips" in experiment.missing["lpips"]
    assert by_name["vae"].figures["psnr"] > by_name["zlib-plain"].figures["psnr"]
    assert by_name["picture-jpeg"].size >= by_name["zlib-dithered"].size
    assert calotype.read_info(experiment.file).coding == "palette"
    decoded = calotype.decode(experiment.file, model="tiny", as_array=True)
    assert np.abs(decoded.astype(int) - by_name["zlib-dithered"].rgb).max() <= 1


def test_results_are_written_all_or_nothing(experiment: Experiment, tmp_path: Path) -> None:
    out = tmp_path / "out"
    write_results(experiment, out)
    names = {result.name for result in experiment.results}
    pictures = {path.stem for path in out.glob("*.png")}
    assert pictures == names | {"original", "sheet"}
    with (out / "figures.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    content = json.loads((out / "figures.json").read_text())
    assert [row["stage"] for row in rows] == [row["stage"] for row in content["stages"]]
    assert int(rows[0]["bytes"]) == content["stages"][0]["bytes"] == 16 * 23 * 23
    assert rows[0]["lpips"] == "" and content["stages"][0]["lpips"] is None
    with Image.open(out / "sheet.png") as sheet:
        assert sheet.width > 4 * 180 and sheet.height > 5 * 177
    with pytest.raises(OutputError, match="force"):
        write_results(experiment, out)
    write_results(experiment, out, force=True)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "precious.txt").write_text("x")
    with pytest.raises(OutputError, match="other files"):
        write_results(experiment, tmp_path / "mine", force=True)


def test_libimagequant_agrees_where_opacity_does_not_matter(latents: NDArray[np.float32]) -> None:
    pytest.importorskip("imagequant", reason="the cross-check needs libimagequant")
    opaque = latents.copy()
    opaque[3] = 5  # the highest of the 8 bits
    theirs = deviation(opaque, "imagequant", ("imagequant",))
    ours = deviation(opaque, "zlib-dithered")
    assert 0.5 * ours < theirs < 2 * ours


def test_the_command_writes_every_stage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Image.open(SAMPLE) as image:
        image.convert("RGB").resize((64, 48)).save(tmp_path / "a.png")
    files = [str(tmp_path / "a.png"), "--out", str(tmp_path / "out")]
    arguments = ["experiment", "palette", *files, "-m", "tiny"]
    assert main([*arguments, "--also", "bits", "--json"]) == 0
    said = capsys.readouterr()
    records = [json.loads(line) for line in said.out.splitlines()]
    assert [record["stage"] for record in records][-2:] == ["picture-jpeg", "picture-webp"]
    assert "256 colours, dithered, zlib" in said.err and "LPIPS: needs a graph" in said.err
    assert zlib.crc32((tmp_path / "out" / "recipe.calo").read_bytes())
    assert main(arguments) == 1
    assert "--force" in capsys.readouterr().err
