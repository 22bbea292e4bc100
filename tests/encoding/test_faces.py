"""Regions with finer latents, and faces that get them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import calotype
from calotype.container import (
    Chunk,
    ChunkType,
    Header,
    Region,
    pack_regions,
    parse_file,
    serialise_file,
    unpack_patches,
    unpack_regions,
)
from calotype.decoding import decode_latents
from calotype.encoding import encode_latents
from calotype.encoding.candidate import Candidate, code_latents
from calotype.encoding.plan import Plan, RateTarget
from calotype.encoding.prepare import PreparedPicture
from calotype.encoding.regions import distorts_faces, face_regions
from calotype.encoding.stages import fitted, with_finer_regions
from calotype.encoding.write import write_verified_file
from calotype.errors import CalotypeError, ChecksumError, FormatError
from calotype.latents import channel_steps
from calotype.limits import Limits
from calotype.models import load_face_finder, tiling
from calotype.models.tiling import find_faces_tiled
from calotype.options import EncodeOptions

SAMPLES = Path(__file__).parents[2] / "samples"
HEADER = Header(coding=0, space=1, context_model=242, encoder=250, width=160, height=128, level=0)
FACE = (220, 110)
"""Where the nose of the astronaut is, x and y in pixels."""


@pytest.fixture
def latents() -> NDArray[np.float32]:
    rng = np.random.default_rng(2)
    return np.cumsum(rng.normal(0, 0.3, (4, 16, 20)), 2).astype(np.float32)


def with_regions(latents: NDArray[np.float32], *regions: Region, **options: float) -> bytes:
    chunk = Chunk(ChunkType.REGIONS, pack_regions(regions))
    chosen = EncodeOptions(effort=1, **options)  # type: ignore[arg-type]
    return encode_latents(latents, replace(HEADER, regions=True), chosen, (chunk,))


def test_latents_are_finer_where_a_region_is(latents: NDArray[np.float32]) -> None:
    data = with_regions(latents, Region(2, 3, 8, 5, 16), Region(6, 5, 9, 9, 32), quality=20)
    parsed = parse_file(data, limits=Limits(), strict=True)
    reconstruction = decode_latents(parsed)
    wanted = np.full((16, 20), parsed.header.level)
    wanted[3:8, 2:10] -= 16
    wanted[5:14, 6:15] = parsed.header.level - 32
    assert np.array_equal(reconstruction.levels, wanted)
    assert (np.abs(reconstruction.latents - latents) <= channel_steps(wanted) / 2 + 1e-6).all()


@pytest.mark.parametrize(
    "region", [Region(13, 0, 8, 1, 9), Region(0, 16, 1, 1, 9), Region(1 << 31, 0, 1, 1, 9)]
)
def test_a_region_must_lie_in_the_picture(latents: NDArray[np.float32], region: Region) -> None:
    plain = parse_file(with_regions(latents, Region(0, 0, 1, 1, 9)), limits=Limits())
    chunk = Chunk(ChunkType.REGIONS, pack_regions([region]))
    data = serialise_file(plain.header, plain.payload, plain.checksum, [chunk])
    with pytest.raises(FormatError, match="region of"):
        calotype.decode(data, model="tiny")


def test_changed_regions_are_detected(latents: NDArray[np.float32]) -> None:
    plain = parse_file(with_regions(latents, Region(2, 3, 8, 5, 16)), limits=Limits())
    for other in (Region(2, 3, 8, 5, 17), Region(2, 3, 8, 4, 16), Region(3, 3, 8, 5, 16)):
        chunk = Chunk(ChunkType.REGIONS, pack_regions([other]))
        with pytest.raises((ChecksumError, CalotypeError)):
            calotype.decode(
                serialise_file(plain.header, plain.payload, plain.checksum, [chunk]), model="tiny"
            )


def test_the_palette_has_no_regions(latents: NDArray[np.float32]) -> None:
    header = replace(HEADER, coding=1, context_model=0)
    plain = parse_file(encode_latents(latents, header, EncodeOptions()), limits=Limits())
    chunk = Chunk(ChunkType.REGIONS, pack_regions([Region(0, 0, 1, 1, 9)]))
    data = serialise_file(replace(plain.header, regions=True), plain.payload, plain.checksum, [chunk])
    with pytest.raises(FormatError, match="palette"):
        calotype.decode(data, model="tiny")


def test_boxes_around_probable_faces() -> None:
    probability = np.zeros((40, 50), np.float32)
    probability[10:14, 20:25], probability[12:14, 22:24] = 0.6, 0.95
    probability[38, :2], probability[39, :2] = 0.95, 0.95
    probability[20:24, 40:44], probability[21, 41:44] = 0.7, 0.95  # likely, but too little of it surely
    assert face_regions(probability, 80, 10**6) == (Region(19, 9, 7, 6, 28), Region(0, 37, 3, 3, 28))
    assert face_regions(probability, 66, 10**6)[0].levels == 18  # fine enough
    low_rate, high_rate = (face_regions(probability, 100, bits) for bits in (8 * 150, 8 * 1500))
    assert 4 <= low_rate[0].levels < high_rate[0].levels == 28
    assert face_regions(probability, 100, 8 * 30) == ()
    assert face_regions(np.zeros((40, 50), np.float32), 100, 10**6) == ()


class Everywhere:
    """Finds one face, at the same place always."""

    margin = 0

    def find(self, latents: NDArray[np.float32]) -> NDArray[np.float32]:
        probability = np.zeros(latents.shape[1:], np.float32)
        probability[4:8, 6:9] = 1
        return probability


class Unasked:
    """An encoder for pictures whose latents are there already."""

    margin = 0

    def encode(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        raise AssertionError


def source_of(options: EncodeOptions, **fields: int) -> tuple[PreparedPicture, Plan]:
    header = replace(HEADER, **fields)
    rgb = np.zeros((header.height, header.width, 3), np.uint8)
    return PreparedPicture(rgb, header, (), options.limits, options.scale is not None), Plan.of(
        options, header.width, header.height
    )


@pytest.mark.parametrize("rate", [{"target_size": 260}, {"quality": 10.0}])
def test_a_protected_file_keeps_to_its_options(latents: NDArray[np.float32], rate: dict[str, float]) -> None:
    source, plan = source_of(EncodeOptions(scale=1, **rate))  # type: ignore[arg-type]
    candidate = code_latents(latents, source.header, (), plan.rate, plan.rdo)
    assert distorts_faces(candidate)
    draft = with_finer_regions(candidate, source, plan, Unasked(), Everywhere())
    finer = fitted(draft, source, plan, Unasked())
    parsed = parse_file(write_verified_file(finer), limits=Limits(), strict=True)
    assert parsed.chunks == finer.chunks
    (region,) = unpack_regions(finer.chunks[0].data)
    assert (region.left, region.top, region.width, region.height) == (5, 3, 5, 6)

    def error(candidate: Candidate) -> float:
        return float(np.square(candidate.reconstruction.conditional_mean - latents)[:, 4:8, 6:9].mean())

    assert error(finer) < 0.6 * error(candidate)
    if "quality" in rate:
        assert parsed.header.level == candidate.header.level
        assert finer.size < 1.25 * candidate.size
    else:
        assert finer.size <= 260


def test_small_faces_are_coded_larger_if_the_user_leaves_it_open(latents: NDArray[np.float32]) -> None:
    shapes: list[tuple[int, ...]] = []

    class Padder(Unasked):
        def encode(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
            shapes.append(pixels.shape[1:])
            return np.pad(latents, ((0, 0), (0, 4), (0, 4)))

    options = EncodeOptions(quality=10)
    source, plan = source_of(options, width=256, height=204, scale=40)
    candidate = code_latents(latents, source.header, (), plan.rate, plan.rdo)
    free = replace(candidate, rate=RateTarget(size=400))
    larger = with_finer_regions(free, source, plan, Padder(), Everywhere())
    assert shapes == [(160, 192)] and larger.header.scale == 48
    tight = replace(candidate, rate=RateTarget(size=40))
    assert with_finer_regions(tight, source, plan, Padder(), Everywhere()) is tight  # neither way fits
    shapes.clear()
    fixed = replace(source, scale_is_given=True)
    same = with_finer_regions(candidate, fixed, plan, Padder(), Everywhere())
    assert not shapes and same.header.scale == 40 and same.chunks


@pytest.mark.parametrize("limits", [Limits(max_chunks=0), Limits(max_chunk_bytes=3)])
def test_no_chunk_is_added_that_a_reader_would_refuse(latents: NDArray[np.float32], limits: Limits) -> None:
    source, plan = source_of(EncodeOptions(scale=1, quality=10, limits=limits))
    candidate = code_latents(latents, source.header, (), plan.rate, plan.rdo)
    assert with_finer_regions(candidate, source, plan, Unasked(), Everywhere()) is candidate
    parse_file(write_verified_file(candidate), limits=limits, strict=True)


@pytest.mark.slow
def test_the_astronaut_has_a_face_and_a_rocket_none() -> None:
    with Image.open(SAMPLES / "astronaut.png") as photo:
        data = calotype.encode(photo.convert("RGB"), target_size=1250)
    assert len(data) <= 1250
    parsed = parse_file(data, limits=Limits(), strict=True)
    unit = 8 * 512 / parsed.header.coded_size[0]
    regions, patches = (parsed.chunk(type_) for type_ in (ChunkType.REGIONS, ChunkType.PATCHES))
    boxes = [] if patches is None else list(unpack_patches(patches, 512, 512).rectangles)
    for region in () if regions is None else unpack_regions(regions):
        sides = (region.left, region.top, region.width, region.height)
        boxes.append(tuple(side * unit for side in sides))
    assert any(
        left <= FACE[0] <= left + width and top <= FACE[1] <= top + height
        for left, top, width, height in boxes
    )
    assert sum(width * height for _, _, width, height in boxes) < 0.2 * 512**2
    with Image.open(SAMPLES / "rocket.jpg") as photo:
        assert not parse_file(calotype.encode(photo.convert("RGB"), target_size=1250), limits=Limits()).chunks


def test_no_face_is_protected_if_that_is_not_wanted(latents: NDArray[np.float32]) -> None:
    def wanted(**options: Any) -> bool:
        return Plan.of(EncodeOptions(**options), 160, 128).faces

    assert wanted() and wanted(effort=5)
    assert not wanted(protect="none")
    assert not wanted(effort=4)
    plain = code_latents(latents, HEADER, (), RateTarget(level=64), Plan.of(EncodeOptions(), 160, 128).rdo)
    assert not distorts_faces(plain)
    assert load_face_finder("tiny") is None
    with pytest.raises(ValueError, match="protect"):
        EncodeOptions(protect="all")  # type: ignore[arg-type]


def test_tiles_find_what_the_whole_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    finder = load_face_finder("pocket", 1)
    assert finder is not None
    latents = np.random.default_rng(1).normal(0, 1, (4, 30, 218)).astype(np.float32)
    monkeypatch.setattr(tiling, "MAX_POSITIONS", 30 * 180)
    assert np.abs(find_faces_tiled(finder, latents) - finder.find(latents)).max() < 1e-5
