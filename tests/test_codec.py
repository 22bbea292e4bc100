"""The codec end to end, with the tiny model (an 8x8 mosaic of the picture) unless the weights matter."""

from __future__ import annotations

import io
import threading
from pathlib import Path

import numpy as np
import pytest
from codec_samples import open_photo, open_small_photo
from PIL import Image

import calotype
from calotype.container import ChunkType, Header, parse_file
from calotype.decoding import OpenedFile, decode_latents
from calotype.encoding import encode_latents, pipeline
from calotype.errors import (
    SourceError,
    TargetSizeError,
)
from calotype.latents import channel_steps, noise_deviations, step_of_level
from calotype.limits import Limits
from calotype.models import load_encoder
from calotype.models.tiling import encode_tiled


@pytest.fixture(scope="module")
def photo() -> Image.Image:
    return open_photo()


@pytest.fixture(scope="module")
def small() -> Image.Image:
    return open_small_photo()


def mosaic(array: np.ndarray) -> np.ndarray:
    """The mean of every 8x8 block, spread over it: what the tiny model can show."""
    height, width = array.shape[:2]
    padded = np.pad(array, ((0, -height % 8), (0, -width % 8), (0, 0)), mode="edge").astype(float)
    blocks = padded.reshape(padded.shape[0] // 8, 8, padded.shape[1] // 8, 8, 3).mean((1, 3))
    return blocks.repeat(8, 0).repeat(8, 1)[:height, :width]


@pytest.mark.parametrize("size", [(1, 1), (7, 5), (8, 8), (64, 9), (131, 70)])
def test_any_size_comes_back_as_the_model_sees_it(photo: Image.Image, size: tuple[int, int]) -> None:
    source = np.asarray(photo.resize(size))
    decoded = calotype.decode(
        calotype.encode(source, model="tiny", quality=100, scale=1), model="tiny", as_array=True
    )
    assert decoded.shape == source.shape and decoded.dtype == np.uint8
    assert np.abs(decoded - mosaic(source)).max() < 4


def test_header_and_fixed_parts_take_at_most_28_bytes(photo: Image.Image) -> None:
    data = calotype.encode(photo, model="tiny")
    info = calotype.read_info(data)
    assert info.file_size - info.payload_size <= 28
    assert (info.width, info.height, info.mode, info.encoder) == (512, 512, "RGB", "tiny")


@pytest.mark.parametrize("effort", [1, *(pytest.param(effort, marks=pytest.mark.slow) for effort in (6, 8))])
@pytest.mark.parametrize("target", [pytest.param(900, marks=pytest.mark.slow), 2500])
def test_target_size_is_met_from_below(photo: Image.Image, target: int, effort: int) -> None:
    data = calotype.encode(photo, model="tiny", target_size=target, effort=effort)
    assert target * 0.98 <= len(data) <= target


@pytest.mark.slow
def test_bpp_counts_the_whole_file(photo: Image.Image) -> None:
    data = calotype.encode(photo, model="tiny", bpp=0.05)
    assert 0.98 * 0.05 <= 8 * len(data) / 512**2 <= 0.05


def test_kept_metadata_counts_towards_the_target(small: Image.Image) -> None:
    small = small.copy()
    small.info["xmp"] = b"<x/>" * 50
    data = calotype.encode(small, model="tiny", target_size=400, keep_metadata=True)
    assert len(data) <= 400 and parse_file(data, limits=Limits()).chunk(ChunkType.XMP) == b"<x/>" * 50


@pytest.mark.slow
def test_too_small_a_target_names_the_smallest_size(small: Image.Image) -> None:
    with pytest.raises(TargetSizeError) as caught:
        calotype.encode(small, model="tiny", target_size=20)
    smallest = caught.value.smallest
    assert len(calotype.encode(small, model="tiny", target_size=smallest)) <= smallest


@pytest.mark.slow
def test_more_quality_means_more_bytes_and_less_error(photo: Image.Image) -> None:
    source = mosaic(np.asarray(photo))
    sizes, errors = [], []
    for quality in (10, 40, 70, 100):
        data = calotype.encode(photo, model="tiny", quality=quality, scale=1)
        sizes.append(len(data))
        errors.append(float(((calotype.decode(data, model="tiny", as_array=True) - source) ** 2).mean()))
    assert sizes == sorted(sizes) and errors == sorted(errors, reverse=True)


def errors_of(photo: Image.Image, effort: int, wanted: np.ndarray) -> tuple[float, float]:
    """Returns two squared errors of a file of 600 bytes: of means over 4x4 latents, of latents in steps."""
    data = calotype.encode(photo, target_size=600, scale=1, effort=effort)
    reconstruction = decode_latents(parse_file(data, limits=Limits()))
    cells = (reconstruction.conditional_mean - wanted).reshape(4, 8, 4, 8, 4).mean((2, 4))
    steps = channel_steps(np.zeros_like(reconstruction.levels))
    return float((cells**2).sum()), float((((reconstruction.latents - wanted) / steps) ** 2).sum())


@pytest.mark.slow
def test_higher_effort_is_no_worse(photo: Image.Image, monkeypatch: pytest.MonkeyPatch) -> None:
    """In what it is for: from 5 up wide errors at equal bytes, beyond 7 the error of all latents in steps."""
    encoder, photo = load_encoder("pocket"), photo.resize((256, 256))
    exact = encode_tiled(encoder, np.asarray(photo))
    assert errors_of(photo, 6, exact)[0] < 0.9 * errors_of(photo, 3, exact)[0]
    # Closed-loop encoding codes other latents than the exact ones.
    monkeypatch.setattr(pipeline, "with_corrected_colours", lambda candidate, *_: candidate)
    # 9 depends on torch: tests/encoding/test_optimise.py
    assert errors_of(photo, 8, exact)[1] <= errors_of(photo, 7, exact)[1] * 1.0001


def test_encoding_is_deterministic(small: Image.Image) -> None:
    assert calotype.encode(small, model="tiny") == calotype.encode(np.asarray(small), model="tiny")


def test_grey_comes_back_grey(small: Image.Image) -> None:
    decoded = calotype.decode(calotype.encode(small.convert("L"), model="tiny"), model="tiny")
    assert decoded.mode == "L"
    assert calotype.decode(calotype.encode(small, model="tiny"), model="tiny").mode == "RGB"


def test_alpha_is_lossless_and_hidden_colour_is_not_coded(small: Image.Image) -> None:
    alpha = np.zeros((60, 88), np.uint8)
    alpha[:, 30:60] = np.linspace(0, 255, 30).astype(np.uint8)
    alpha[:, 60:] = 255
    pictures = []
    for hidden in (0, 255):
        array = np.dstack([np.asarray(small), alpha])
        array[alpha == 0, :3] = hidden
        pictures.append(calotype.encode(array, model="tiny"))
    assert pictures[0] == pictures[1]
    decoded = calotype.decode(pictures[0], model="tiny")
    assert decoded.mode == "RGBA"
    assert np.array_equal(np.asarray(decoded)[..., 3], alpha)


def test_metadata_is_dropped_unless_kept(small: Image.Image) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010F] = "Maker"
    exif.get_ifd(0x8825)[1] = "N"
    source = io.BytesIO()
    small.save(source, "JPEG", exif=exif, quality=95)
    stripped = calotype.encode(io.BytesIO(source.getvalue()), model="tiny")
    assert calotype.read_info(stripped).chunks == ()
    file = calotype.encode(io.BytesIO(source.getvalue()), model="tiny", keep_metadata=True)
    decoded = calotype.decode(file, model="tiny")
    assert decoded.size == (60, 88)  # turned upright
    exif_decoded = decoded.getexif()
    assert exif_decoded[0x010F] == "Maker" and exif_decoded.get(0x0112, 1) == 1
    assert exif_decoded.get_ifd(0x8825)[1] == "N"
    assert "exif" not in calotype.decode(file, model="tiny", keep_metadata=False).info


def test_threads_share_a_codec(small: Image.Image) -> None:
    shared = calotype.Codec(threads=1)
    expected = calotype.encode(small, model="tiny")
    results: list[bytes] = []

    def work() -> None:
        data = shared.encode(small, model="tiny")
        shared.decode(data, model="tiny")
        results.append(data)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [expected] * 4


def test_the_palette_recipe_is_a_coding_of_its_own(photo: Image.Image) -> None:
    data = calotype.encode(photo, model="tiny", recipe="palette")
    info = calotype.read_info(data)
    assert (info.coding, info.context_model, info.width, info.height) == ("palette", 0, 512, 512)
    assert info.payload_size <= 5120
    decoded = calotype.decode(data, model="tiny", as_array=True)
    assert 1 < np.abs(decoded - mosaic(np.asarray(photo))).mean() < 12  # not exact, not far: dithered


def test_the_step_of_a_palette_file_gives_its_noise(photo: Image.Image) -> None:
    """Its level and noise codes mean what they mean elsewhere, so that any decoder can use them."""
    rng = np.random.default_rng(0)
    latents = np.cumsum(rng.normal(0, 0.2, (4, 40, 40)), 2).astype(np.float32)
    header = Header(coding=1, space=1, context_model=0, encoder=250, width=320, height=320, level=0)
    parsed = parse_file(encode_latents(latents, header, calotype.EncodeOptions()), limits=Limits())
    decoded = decode_latents(parsed)
    deviation = np.std(decoded.latents - latents, axis=(1, 2))
    assert noise_deviations(parsed.header.noise, decoded.levels) == pytest.approx(deviation, rel=0.14)
    assert set(decoded.levels.ravel()) == {parsed.header.level}
    assert step_of_level(parsed.header.level) == pytest.approx(np.sqrt(12) * deviation.mean(), rel=0.1)


def test_the_palette_recipe_has_one_size(small: Image.Image) -> None:
    with pytest.raises(ValueError, match="target_size"):
        calotype.encode(small, recipe="palette", target_size=900)
    with pytest.raises(ValueError, match="'dots'"):
        calotype.encode(small, recipe="dots")


def test_paths_and_open_files_are_read(small: Image.Image, tmp_path: Path) -> None:
    small.save(tmp_path / "a.png")
    data = calotype.encode(tmp_path / "a.png", model="tiny")
    (tmp_path / "a.calo").write_bytes(data)
    expected = calotype.decode(data, model="tiny", as_array=True)
    for source in (tmp_path / "a.calo", str(tmp_path / "a.calo"), io.BytesIO(data), bytearray(data)):
        assert np.array_equal(calotype.decode(source, model="tiny", as_array=True), expected)
    with pytest.raises(SourceError, match="missing"):
        calotype.decode(tmp_path / "missing.calo")
    with pytest.raises(TypeError, match="bytes"):
        calotype.decode(io.StringIO("text"))  # type: ignore[call-overload]


def test_every_public_name_is_in_all() -> None:
    public = {name for name in dir(calotype) if not name.startswith("_")}
    public |= {name for name in vars(calotype) if not name.startswith("_")} - {"TYPE_CHECKING", "lazy_names"}
    modules = {name for name in public if type(getattr(calotype, name)).__name__ == "module"}
    assert public - modules - {"annotations"} == set(calotype.__all__) - {"__version__"}


@pytest.mark.slow
def test_decoders_receive_conditional_means(photo: Image.Image) -> None:
    """Within half a step of what they were rounded to, and nearer to the truth."""
    latents = encode_tiled(load_encoder("pocket"), np.asarray(photo))
    data = calotype.encode(photo, quality=20, scale=1, effort=1)
    coded = OpenedFile.of(data, calotype.DecodeOptions()).latents
    steps = channel_steps(np.full(latents.shape[1:], calotype.read_info(data).level))
    assert (np.abs(coded.conditional_mean - coded.latents) <= steps / 2).all()
    assert (
        np.square(coded.conditional_mean - latents).mean() < 0.9 * np.square(coded.latents - latents).mean()
    )
    palette = OpenedFile.of(
        calotype.encode(photo, model="tiny", recipe="palette"), calotype.DecodeOptions()
    ).latents
    assert np.array_equal(palette.conditional_mean, palette.latents)


def test_an_array_can_be_written_to(small: Image.Image) -> None:
    array = calotype.decode(calotype.encode(small, model="tiny"), model="tiny", as_array=True)
    array[0, 0] = 7
    assert array[0, 0].tolist() == [7, 7, 7]


def test_decoded_pictures_have_a_provenance_note(small: Image.Image) -> None:
    data = calotype.encode(small, model="tiny", effort=1)
    info = calotype.decode(data, model="tiny").info
    assert info["software"] == f"Calotype {calotype.__version__}"
    assert info["provenance"].startswith(f"Decoded by {info['software']} from {len(data):,} bytes ")
    assert "(encoder tiny, decoder tiny)" in info["provenance"]
    assert calotype.decode(data, model="tiny", provenance=False).info == {}
    with pytest.warns(calotype.PartialPictureWarning):
        partial = calotype.decode(data[:-1], model="tiny", partial=True).info["provenance"]
    assert f"from the first {len(data) - 1:,} bytes" in partial
