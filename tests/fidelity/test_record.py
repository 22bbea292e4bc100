"""The record in the file: within its share, seen by readers, dropped where it is damaged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import calotype
from calotype.container import Chunk, ChunkType, FidelityRecord, unpack_record
from calotype.container.chunks import read_chunks, write_chunk
from calotype.fidelity import Fidelity, mark_uncertain, most_record_bytes, record_chunk, uncertainty_plane

SIDE = 64


@pytest.fixture(scope="module")
def photo() -> NDArray[np.uint8]:
    rng = np.random.default_rng(4)
    return rng.integers(0, 256, (SIDE // 4, SIDE // 4, 3), np.uint8).repeat(4, 0).repeat(4, 1)


@pytest.fixture(scope="module")
def recorded(photo: NDArray[np.uint8]) -> bytes:
    return calotype.encode(photo, model="tiny", target_size=600, effort=1, scale=1, record=True)


def with_chunk(file: bytes, data: bytes) -> bytes:
    """The file with other data in its FIDELITY chunk, which is the last one."""
    size = sum(
        len(write_chunk(Chunk(ChunkType.FIDELITY, chunk.data)))
        for chunk in calotype_chunks(file)
        if chunk.type == ChunkType.FIDELITY
    )
    return file[: len(file) - size] + write_chunk(Chunk(ChunkType.FIDELITY, data))


def calotype_chunks(file: bytes) -> tuple[Chunk, ...]:
    from calotype.container import parse_file

    return parse_file(file, limits=calotype.Limits()).chunks


def test_the_file_keeps_to_its_size_and_says_how_true_it_is(recorded: bytes) -> None:
    assert len(recorded) <= 600
    info = calotype.read_info(recorded)
    assert [chunk.name for chunk in info.chunks] == ["FIDELITY"]
    assert info.chunks[0].size + 6 <= most_record_bytes(600)
    assert info.fidelity is not None and info.fidelity.decoder == 240
    assert 0 <= info.fidelity.invention <= 1
    assert info.as_dict()["fidelity"]["map"] == info.fidelity.map


def test_without_it_nothing_is_recorded(photo: NDArray[np.uint8]) -> None:
    assert calotype.read_info(calotype.encode(photo, model="tiny", effort=1)).fidelity is None


def test_a_map_is_as_fine_as_its_share_allows() -> None:
    rng = np.random.default_rng(1)
    scores = rng.random((32, 32), np.float32)
    fidelity = Fidelity(512, 505, scores, np.zeros_like(scores))
    sizes, cells = [], []
    for most in (2000, 200, 60, 10):
        frame = record_chunk(fidelity, 240, most)
        ((chunk,), _) = read_chunks(frame, 0, calotype.Limits(), True)
        sizes.append(len(frame))
        cells.append(unpack_record(chunk.data, 512, 505).cell)
    assert all(size <= most for size, most in zip(sizes, (2000, 200, 60, 10), strict=True))
    assert cells[0] == 16 and cells[1] < cells[2] and cells[3] == 0


def test_a_coarser_cell_has_the_largest_level_of_its_parts() -> None:
    scores = np.zeros((4, 4), np.float32)
    scores[0, 3], scores[3, 0] = 0.95, 0.6
    ((chunk,), _) = read_chunks(
        record_chunk(Fidelity(64, 64, scores, scores), 240, 15), 0, calotype.Limits(), True
    )
    assert unpack_record(chunk.data, 64, 64).map in (("03", "10"), ("3",))


def test_the_overlay_marks_what_is_uncertain(recorded: bytes, photo: NDArray[np.uint8]) -> None:
    sure = with_chunk(recorded, b"\xf0\0\0\xff")
    plain = calotype.decode(recorded, as_array=True)
    assert np.array_equal(calotype.decode(sure, overlay=True, as_array=True), plain)
    record = FidelityRecord(240, 1.0, 0.0, 32, ("30", "00"))
    plane = uncertainty_plane(record, SIDE, SIDE)
    assert plane[:32, :32].min() == 255 and plane[32:].max() == 0
    marked = mark_uncertain(plain, plane)
    assert np.array_equal(marked[32:], plain[32:]) and not np.array_equal(marked[:32, :32], plain[:32, :32])
    unsure = with_chunk(recorded, b"\xf0\xff\0\1" + deflated(bytes([3, 0, 0, 0])))
    assert np.array_equal(calotype.decode(unsure, overlay=True, as_array=True), marked)
    part = calotype.decode(unsure, overlay=True, box=(8, 8, 40, 40), as_array=True)
    assert part.shape == (32, 32, 3)


def test_the_overlay_leaves_no_colours_in_a_grey_picture(photo: NDArray[np.uint8]) -> None:
    grey = Image.fromarray(photo[..., 0])
    recorded = calotype.encode(grey, model="tiny", effort=1, record=True)
    unsure = with_chunk(recorded, b"\xf0\xff\0\1" + deflated(bytes([3, 0, 0, 0])))
    marked = calotype.decode(unsure, overlay=True, as_array=True)
    assert np.ptp(marked[40:], -1).max() == 0
    assert np.ptp(marked[:32, :32], -1).max() > 0


def deflated(levels: bytes) -> bytes:
    import zlib

    compressor = zlib.compressobj(9, wbits=-15)
    return compressor.compress(levels) + compressor.flush()


def test_a_damaged_record_is_dropped_and_the_picture_decodes(recorded: bytes) -> None:
    lies = with_chunk(recorded, b"\xf0\xff\0\1" + deflated(bytes(99)))
    assert calotype.read_info(lies).fidelity is None
    with pytest.warns(calotype.CalotypeWarning, match="FIDELITY"):
        shown = calotype.decode(lies, overlay=True, as_array=True)
    assert np.array_equal(shown, calotype.decode(lies, as_array=True))
    with pytest.raises(calotype.CalotypeError, match="cells"):
        calotype.decode(lies, overlay=True, strict=True)


def test_an_overlay_of_a_file_without_a_record(photo: NDArray[np.uint8], tmp_path: Path) -> None:
    data = calotype.encode(photo, model="tiny", effort=1)
    with pytest.warns(calotype.CalotypeWarning, match="no record"):
        calotype.decode(data, overlay=True)
