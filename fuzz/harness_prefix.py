"""The beginning of a file, at once and in pieces: the first byte says of which size, the rest is the file.

Without checksums on the way nearly every payload decodes to something, so that a fuzzer reaches all of the
partial decoder. Time and memory are bounded by ``LIMITS``, which a prefix meets as a whole file does.
"""

from __future__ import annotations

import warnings
from dataclasses import replace

from common import main, refusals_are_fine, watched

with watched():
    import numpy as np

    import calotype
    from calotype.decoding import ArrivingFile, OpenedFile
    from calotype.errors import CalotypeError, TruncatedError
    from calotype.limits import Limits

__all__ = ["one_input"]

LIMITS = Limits(max_pixels=4096, max_chunks=8, max_chunk_bytes=2048, max_metadata_bytes=2048)
OPTIONS = calotype.DecodeOptions(model="tiny", partial=True, limits=LIMITS)
MAX_BYTES = 4096


def at_once(data: bytes) -> OpenedFile | CalotypeError:
    try:
        return OpenedFile.of(data, OPTIONS)
    except CalotypeError as error:
        return error


def in_pieces(data: bytes, size: int) -> OpenedFile | CalotypeError:
    arriving = ArrivingFile(OPTIONS)
    try:
        for begin in range(0, len(data), size):
            arriving.feed(data[begin : begin + size])
            assert 0 <= arriving.fraction <= 1
        return arriving.opened()
    except CalotypeError as error:
        return error


@refusals_are_fine
def one_input(data: bytes) -> None:
    size, file = 1 + (data[0] if data else 0), data[1 : 1 + MAX_BYTES]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", calotype.CalotypeWarning)
        once, pieces = at_once(file), in_pieces(file, size)
        if isinstance(once, CalotypeError) or isinstance(pieces, CalotypeError):
            # Pieces may fail by the payload where the whole fails by what is behind it.
            assert isinstance(once, CalotypeError) and isinstance(pieces, CalotypeError)
            raise once
        assert once.fraction == pieces.fraction
        for name in ("latents", "log_step", "conditional_mean"):
            assert np.array_equal(getattr(once.latents, name), getattr(pieces.latents, name))
        image = calotype.decode(file, OPTIONS)
        assert image.info.get("partial", 1.0) == once.fraction
        for factor in (8, 16):
            small = calotype.decode(file, replace(OPTIONS, reduce=factor))
            assert small.size == (-(-image.width // factor), -(-image.height // factor))
            assert small.info.get("partial", 1.0) == once.fraction
        if once.fraction < 1:
            try:
                calotype.decode(file, model="tiny", limits=LIMITS)
            except TruncatedError:
                return
            raise AssertionError("a partial file passes for a whole one")
        whole = calotype.decode(file, model="tiny", limits=LIMITS)
        assert np.array_equal(np.asarray(whole), np.asarray(image))


if __name__ == "__main__":
    main(one_input)
