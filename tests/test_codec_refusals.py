"""What the codec refuses: unknown ids and options, files that do not match their checksum, limits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from codec_samples import open_small_photo
from PIL import Image

import calotype
from calotype.container import Header, file_checksum, parse_file, serialise_file
from calotype.entropy import symbols
from calotype.errors import (
    ChecksumError,
    FormatError,
    LimitError,
    ModelError,
    SourceError,
    UnsupportedError,
)
from calotype.limits import Limits
from calotype.models import DEFAULT_CONTEXT_MODEL


@pytest.fixture(scope="module")
def small() -> Image.Image:
    return open_small_photo()


def rewritten(data: bytes, **changes: int) -> bytes:
    """The file with header fields changed and the checksum left as it was."""
    parsed = parse_file(data, limits=Limits())
    fields = {name: getattr(parsed.header, name) for name in Header.__dataclass_fields__}
    return serialise_file(Header(**(fields | changes)), parsed.payload, parsed.checksum, parsed.chunks)


def test_unknown_ids_are_named(small: Image.Image) -> None:
    data = calotype.encode(small, model="tiny")
    for field, message in (
        ("space", "space 77"),
        ("context_model", "context model 77"),
        ("encoder", "model 77"),
    ):
        with pytest.raises(UnsupportedError, match=message):
            calotype.decode(rewritten(data, **{field: 77}))
    with pytest.raises(UnsupportedError, match="coding 2"):
        calotype.decode(data[:8] + bytes([2]) + data[9:])


def test_codings_do_not_mix(small: Image.Image) -> None:
    hierarchical = calotype.encode(small, model="tiny")
    palette = calotype.encode(small, model="tiny", recipe="palette")
    for data, changes in (
        (hierarchical, {"coding": 1, "context_model": 0}),
        (palette, {"coding": 0, "context_model": DEFAULT_CONTEXT_MODEL}),
    ):
        with pytest.raises(FormatError):
            calotype.decode(rewritten(data, **changes))
    with pytest.raises(UnsupportedError, match=str(DEFAULT_CONTEXT_MODEL)):
        calotype.decode(rewritten(palette, context_model=DEFAULT_CONTEXT_MODEL))


def test_a_desynchronised_decode_is_an_error(small: Image.Image, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine whose context model differs in the last bit must notice, whatever the payload."""
    data = calotype.encode(small, model="tiny")
    from calotype.entropy.model import SiteNet

    predict = SiteNet.predict

    def drifted(self: SiteNet, *args: object) -> tuple[np.ndarray, np.ndarray]:
        mean, scale = predict(self, *args)  # type: ignore[arg-type]
        return mean + 8, scale

    monkeypatch.setattr(SiteNet, "predict", drifted)
    with pytest.raises(calotype.errors.FormatError):
        calotype.decode(data, model="tiny")


def test_a_checksum_of_other_integers_is_refused(small: Image.Image) -> None:
    data = calotype.encode(small, model="tiny")
    parsed = parse_file(data, limits=Limits())
    wrong = file_checksum(parsed.header, b"other")
    with pytest.raises(ChecksumError, match="checksum"):
        calotype.decode(serialise_file(parsed.header, parsed.payload, wrong, parsed.chunks))


def test_the_encoder_checks_what_it_wrote(small: Image.Image, monkeypatch: pytest.MonkeyPatch) -> None:
    encode_symbols = symbols.encode_symbols

    def faulty(starts: list[int], freqs: list[int]) -> bytes:
        data = encode_symbols(starts, freqs)
        return data[:-1] + bytes([data[-1] ^ 1])

    monkeypatch.setattr(symbols, "encode_symbols", faulty)
    with pytest.raises(calotype.CalotypeError):
        calotype.encode(small, model="tiny")


def test_limits_are_checked_on_both_sides(small: Image.Image) -> None:
    tight = Limits(max_pixels=1000)
    with pytest.raises(LimitError, match="88x60"):
        calotype.encode(small, model="tiny", limits=tight)
    with pytest.raises(LimitError, match="88x60"):
        calotype.decode(calotype.encode(small, model="tiny"), limits=tight)


def test_unknown_models_and_options_are_refused(small: Image.Image) -> None:
    with pytest.raises(ModelError, match=r"'nosuch'.*pocket"):
        calotype.encode(small, model="nosuch")
    with pytest.raises(ValueError, match="exclude"):
        calotype.encode(small, quality=3, target_size=5)
    for wrong in ({"quality": 101}, {"effort": 0}, {"target_size": 0}, {"bpp": -1.0}):
        with pytest.raises(ValueError, match=str(next(iter(wrong.values())))):
            calotype.encode(small, **wrong)


def test_an_error_comes_after_what_was_before_it(small: Image.Image, tmp_path: Path) -> None:
    """Whatever fits into one batch."""
    shared = calotype.Codec(threads=1)
    (tmp_path / "bad.png").write_bytes(b"no picture")
    files = shared.encode_many([small, small, tmp_path / "bad.png", small], model="tiny")
    good = calotype.encode(small, model="tiny")
    assert [next(files), next(files)] == [good, good]
    with pytest.raises(SourceError, match=r"bad\.png"):
        next(files)
    pictures = shared.decode_many([good, good, good[:-1], good], model="tiny")
    assert [next(pictures).size, next(pictures).size] == [small.size] * 2
    with pytest.raises(FormatError):
        next(pictures)
