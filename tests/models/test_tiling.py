"""Batches, tiles and parts of pictures in networks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from calotype.models import DecoderInput
from calotype.models.tiling import decode_all, decode_tiled
from calotype.models.windows import Area


class Recording:
    """A decoder whose every pixel depends on all latents up to ``margin`` away, and on where it is."""

    def __init__(self, margin: int | None, last_margin: int | None = None) -> None:
        self.margin = margin
        self.last_margin = margin if last_margin is None else last_margin
        self.shapes: list[tuple[int, int]] = []

    def decode(
        self,
        latents: NDArray[np.float32],
        log_step: NDArray[np.float32],
        noise: NDArray[np.float64],
        conditional_mean: NDArray[np.float32] | None = None,
        origin: tuple[int, int] = (0, 0),
        part: Area | None = None,
    ) -> NDArray[np.float32]:
        height, width = latents.shape[1:]
        self.shapes.append((height, width))
        assert origin[0] % 2 == origin[1] % 2 == 0
        reach = 3 if self.margin is None else self.margin
        padded = np.pad(latents[0] + log_step[0], reach)
        sums = sliding_window_view(padded, (2 * reach + 1, 2 * reach + 1)).sum((2, 3)) / (2 * reach + 1) ** 2
        rows, columns = (np.arange(size) + start for size, start in zip((height, width), origin, strict=True))
        planes = np.stack([sums, sums + 0.01 * np.sin(rows)[:, None], sums + 0.01 * np.sin(columns)])
        shown = planes if part is None else planes[:, *part]
        return shown.astype(np.float32).repeat(8, 1).repeat(8, 2)


class Flat(Recording):
    """Grey."""

    def decode(self, latents: NDArray[np.float32], *others: Any) -> NDArray[np.float32]:
        self.shapes.append(latents.shape[1:])
        height, width = (8 * (side.stop - side.start) for side in others[-1])
        return np.full((3, height, width), 0.5, np.float32)


def decoder_input(height: int, width: int, extension: int = 0) -> DecoderInput:
    rng = np.random.default_rng(3)
    latents = rng.random((4, height, width)).astype(np.float32)
    return DecoderInput(latents, np.zeros((1, height, width), np.float32), np.zeros(4), latents, extension)


@pytest.mark.parametrize("margin", [0, 4, None])
@pytest.mark.parametrize("extension", [0, 8])
@pytest.mark.parametrize(
    "part", [(slice(0, 9), slice(0, 150)), (slice(3, 4), slice(131, 149)), (slice(2, 9), slice(7, 140))]
)
def test_a_part_is_the_part_of_the_whole(
    margin: int | None, extension: int, part: tuple[slice, slice]
) -> None:
    inputs = decoder_input(9, 150, extension)
    whole = decode_tiled(Recording(margin), inputs)
    assert whole.shape == (72, 1200, 3)
    decoded = decode_tiled(Recording(margin), replace(inputs, part=part))
    rows, columns = (slice(8 * axis.start, 8 * axis.stop) for axis in part)
    assert decoded.shape == whole[rows, columns].shape
    assert np.abs(decoded.astype(int) - whole[rows, columns]).max() <= 1


def test_a_part_takes_its_share_of_the_decoder() -> None:
    """Of 4,096 x 4,096 pixels 512 x 512: one window, a twenty-third of what the network works on."""
    inputs = decoder_input(512, 512)
    positions = {}
    for name, part in (("whole", None), ("part", (slice(101, 165), slice(300, 364)))):
        decoder = Flat(34, 3)
        decode_tiled(decoder, replace(inputs, part=part))
        positions[name] = [height * width for height, width in decoder.shapes]
    assert len(positions["whole"]) == 8 and len(positions["part"]) == 1
    assert sum(positions["part"]) < sum(positions["whole"]) / 23


def test_a_batch_is_cropped_afterwards() -> None:
    class Batch(Recording):
        def decode_batch(self, *arguments: Any) -> NDArray[np.float32]:
            *arrays, origin, part = arguments
            return np.stack([self.decode(*one, origin, part) for one in zip(*arrays, strict=True)])

    inputs = [decoder_input(5, 6, extension) for extension in (0, 2)]
    wanted = replace(inputs[1], part=(slice(1, 3), slice(2, 6)))
    first, second = decode_all(Batch(None), [inputs[0], wanted])
    assert np.array_equal(first, decode_tiled(Recording(None), inputs[0]))
    assert np.array_equal(second, decode_tiled(Recording(None), inputs[1])[8:24, 16:48])
    # With a margin a batch is decoded in tiles, each at its place in the pictures.
    large = [decoder_input(9, 150), decoder_input(9, 150)]
    for found, alone in zip(decode_all(Batch(4), large), large, strict=True):
        assert np.array_equal(found, decode_tiled(Recording(4), alone))
