"""ProgressiveDecoder: files that arrive in pieces."""

from __future__ import annotations

import numpy as np
import pytest
from golden_files import LIMITS, golden, ignoring_warnings
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import calotype
from calotype import ProgressiveDecoder
from calotype.container import parse_file
from calotype.decoding import decode_latents
from calotype.entropy import SiteNet
from calotype.errors import ChecksumError, LimitError, TruncatedError
from calotype.limits import Limits


@ignoring_warnings
@pytest.mark.parametrize(
    "name", ["rgb-24x24", "rgba-40x24", "regions-112x80", "regions-first-112x80", "grey-17x9"]
)
@pytest.mark.parametrize("pieces", [1, 7, 20])
def test_pieces_give_the_pictures_of_prefixes(name: str, pieces: int) -> None:
    data = golden(name)
    arriving = ProgressiveDecoder(model="tiny")
    assert arriving.fraction == 0
    size = -(-len(data) // pieces)
    parsed = parse_file(data, limits=LIMITS)
    for begin in range(0, len(data), size):
        before = arriving.fraction
        arriving.feed(data[begin : begin + size])
        assert 0 <= arriving.fraction <= 1
        # It falls only when a chunk begins to arrive, whose length nobody knew before.
        behind = begin + size > parsed.payload_start + parsed.payload_size
        assert arriving.fraction >= before or behind
        prefix = data[: begin + size]
        try:
            expected = calotype.decode(prefix, model="tiny", partial=True)
        except TruncatedError as error:
            with pytest.raises(TruncatedError) as refused:
                arriving.picture()
            assert str(refused.value) == str(error)
            continue
        image = arriving.picture()
        assert np.array_equal(np.asarray(image), np.asarray(expected))
        assert image.info == expected.info
        assert image.info.get("partial", 1.0) == arriving.fraction
    assert arriving.fraction == 1
    assert "partial" not in arriving.picture().info


def test_twenty_pieces_cost_what_one_decode_costs(monkeypatch: pytest.MonkeyPatch) -> None:
    channels: list[int] = []
    original = SiteNet.predict
    monkeypatch.setattr(SiteNet, "predict", lambda *given: channels.append(given[1]) or original(*given))
    data = golden("fine-64x64")
    decode_latents(parse_file(data, limits=LIMITS))
    once = len(channels)
    arriving = ProgressiveDecoder(model="tiny")
    size = -(-len(data) // 20)
    for begin in range(0, len(data), size):
        arriving.feed(data[begin : begin + size])
    assert once == 40
    assert len(channels) - once == once  # at most 1.5 times would do
    arriving.picture()
    assert len(channels) == 2 * once


def test_an_error_stays() -> None:
    data = bytearray(golden("rgb-24x24"))
    start = parse_file(bytes(data), limits=LIMITS).payload_start
    data[start : start + 5] = bytes(5)  # no coder state
    arriving = ProgressiveDecoder()
    arriving.feed(data[:start])
    with pytest.raises(ChecksumError):
        arriving.feed(data[start:])
    for again in (arriving.picture, lambda: arriving.feed(b""), lambda: arriving.fraction):
        with pytest.raises(ChecksumError):
            again()
    arriving = ProgressiveDecoder(limits=Limits(max_pixels=100))
    with pytest.raises(LimitError):
        arriving.feed(golden("rgb-24x24"))
    arriving = ProgressiveDecoder()
    arriving.feed(memoryview(golden("rgb-24x24")[:9]))
    assert arriving.fraction == 0
    with pytest.raises(TruncatedError):
        arriving.picture()
    with pytest.raises(TypeError, match="data"):
        arriving.feed("text")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="codec"):
        ProgressiveDecoder(codec=3)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        ProgressiveDecoder(no_such=3)


@ignoring_warnings
@settings(deadline=None, max_examples=15, derandomize=True)
@given(st.data())
def test_any_piece_of_any_picture(data: st.DataObject) -> None:
    width, height = data.draw(st.integers(1, 24)), data.draw(st.integers(1, 24))
    mode = data.draw(st.sampled_from(["RGB", "L", "RGBA"]))
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    plain = rng.integers(0, 256, (height, width, 4), np.uint8)
    photo = Image.fromarray(plain).convert(mode)
    file = calotype.encode(photo, model="tiny", effort=1, quality=data.draw(st.integers(0, 100)))
    cut = data.draw(st.integers(0, len(file) - 1))
    try:
        image = calotype.decode(file[:cut], model="tiny", partial=True)
    except TruncatedError:
        assert cut < parse_file(file, limits=LIMITS).payload_start
        return
    assert image.size == photo.size
    assert 0 < image.info["partial"] < 1
