"""The data of a PATCHES chunk: rectangles, the headers that are restored, Pillow's VP8 and AV1, laying over.

The first two bytes are the size of the picture, less one, the others those of the chunk.
"""

from __future__ import annotations

from common import main, refusals_are_fine, watched

with watched():
    import numpy as np

    from calotype.container import Header, pack_patches, unpack_patches
    from calotype.decoding.patches import DecodedPatches
    from calotype.decoding.view import DecodedView
    from calotype.options import DecodeOptions

__all__ = ["one_input"]


@refusals_are_fine
def one_input(data: bytes) -> None:
    if len(data) < 2:
        return
    size = width, height = data[0] + 1, data[1] + 1
    packed = data[2:]
    patches = unpack_patches(packed, *size)
    assert pack_patches(patches) == packed
    decoded = DecodedPatches.of(packed, size)
    assert decoded.atlas.shape[0] * decoded.atlas.shape[1] <= width * height
    header = Header(coding=0, space=1, context_model=2, encoder=3, width=width, height=height, level=64)
    under = np.full((height, width, 3), 128, np.uint8)
    whole = decoded.laid_over(under, DecodedView.of(header, DecodeOptions()))
    outside = np.ones((height, width), bool)
    for left, top, across, down in patches.rectangles:
        outside[top : top + down, left : left + across] = False
    assert (whole[outside] == 128).all()
    box = width // 3, height // 3, width, max(height // 3 + 1, 2 * height // 3)
    part = decoded.laid_over(
        under[box[1] : box[3], box[0] : box[2]], DecodedView.of(header, DecodeOptions(box=box))
    )
    assert np.array_equal(part, whole[box[1] : box[3], box[0] : box[2]])
    small = np.full((-(-height // 8), -(-width // 8), 3), 128, np.uint8)
    decoded.laid_over(small, DecodedView.of(header, DecodeOptions(reduce=8)))


if __name__ == "__main__":
    main(one_input)
