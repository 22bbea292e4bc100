"""Transparency: a losslessly coded alpha plane, and colours of hidden pixels that take few bytes."""

from __future__ import annotations

import io
import struct

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

from calotype.errors import CalotypeError, FormatError, LimitError
from calotype.imaging.webp import lossless_webp_size

__all__ = ["fill_hidden", "over_white", "pack_alpha", "unpack_alpha"]

_WEBP_SIDE = 16_383
_WEBP_PIXELS = 178_956_970  # Pillow's WebP reader refuses larger pictures, independently of the limits here.
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_MID_GREY = 128


def pack_alpha(alpha: NDArray[np.uint8]) -> bytes:
    """Packs ``alpha`` (uint8[H, W], 255 is opaque) losslessly into a file.

    The file is the smaller of a lossless WebP with ``alpha`` in all channels, and a greyscale PNG; always
    the PNG if the plane is too large for WebP.
    """
    height, width = alpha.shape
    plane = Image.fromarray(alpha)
    files = [_save_plane(plane, "PNG", optimize=True)]
    if max(width, height) <= _WEBP_SIDE and width * height <= _WEBP_PIXELS:
        files.append(_save_plane(Image.merge("RGB", [plane] * 3), "WEBP", lossless=True, quality=100))
    return min(files, key=len)


def _save_plane(image: Image.Image, format_: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, format_, **options)
    return file.getvalue()


def unpack_alpha(data: bytes, width: int, height: int) -> NDArray[np.uint8]:
    """Unpacks the plane uint8[height, width] from ``data``, a file of :func:`pack_alpha`.

    The size in the file's header is compared before pixels are decoded. Raises :class:`FormatError` if
    it is not such a file, is damaged or has another size, and :class:`LimitError` if Pillow's own limit
    is set lower than the plane's size.
    """
    try:
        return _read_plane(data, width, height)
    except CalotypeError:
        raise
    except Image.DecompressionBombError as error:
        raise LimitError(f"the alpha plane: Pillow refuses it by its MAX_IMAGE_PIXELS: {error}") from error
    except Exception as error:  # Pillow's readers raise exceptions of many types.
        raise FormatError(f"the alpha plane is damaged: {error}") from error


def _read_plane(data: bytes, width: int, height: int) -> NDArray[np.uint8]:
    reader: type[PngImageFile] | type[WebPImageFile]
    size: tuple[int, int] | None
    if data.startswith(_PNG_SIGNATURE):
        reader, mode, size = PngImageFile, "L", struct.unpack(">II", data[16:24])
    else:
        reader, mode, size = WebPImageFile, "RGB", lossless_webp_size(data)
    if size is None:
        raise FormatError("the alpha plane is neither a PNG nor a lossless WebP file")
    if size != (width, height):
        raise FormatError(f"the alpha plane has {size[0]}x{size[1]} pixels, but the picture {width}x{height}")
    image = reader(io.BytesIO(data))
    if image.mode != mode or image.size != size:
        raise FormatError(f"the alpha plane has mode {image.mode}, not {mode}")
    return np.array(image.getchannel(0))


def over_white(rgb: NDArray[np.uint8], alpha: NDArray[np.uint8] | None) -> NDArray[np.uint8]:
    """Composites ``rgb`` (uint8[H, W, 3], sRGB) over white; ``alpha`` is uint8[H, W], or None if opaque."""
    if alpha is None:
        return rgb
    paper = Image.new("RGB", rgb.shape[1::-1], "white")
    paper.paste(Image.fromarray(rgb), mask=Image.fromarray(alpha))
    return np.asarray(paper)


def fill_hidden(rgb: NDArray[np.uint8], alpha: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Replaces the colours of ``rgb`` (uint8[H, W, 3]) where ``alpha`` (uint8[H, W]) is 0; H, W >= 1.

    Hidden pixels get a smooth continuation of the visible ones around them, which takes few bytes;
    visible ones keep their values exactly. The method is push-pull interpolation (Gortler et al.,
    "The Lumigraph", 1996) in integers, in linear time.
    """
    known = alpha != 0
    if known.all():
        return rgb
    colour = rgb.copy()
    if not known.any():
        colour[:] = _MID_GREY
        return colour
    pyramid = [(colour, known)]
    while not pyramid[-1][1].all():
        pyramid.append(_known_means_of_2x2(*pyramid[-1]))
    for (fine, fine_known), (coarse, _) in zip(pyramid[-2::-1], pyramid[:0:-1], strict=True):
        height, width = fine_known.shape
        grown = _double_by_interpolation(_double_by_interpolation(coarse, 0), 1)[:height, :width]
        np.copyto(fine, grown, where=~fine_known[..., None])
    return colour


def _known_means_of_2x2(
    colour: NDArray[np.uint8], known: NDArray[np.bool_]
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Returns the means over the known pixels of 2 x 2 blocks, and which blocks have known pixels.

    The size is half, rounded up.
    """
    odd = [(0, side % 2) for side in known.shape]
    weight = np.pad(known, odd).astype(np.uint16)[..., None]
    weighted = np.pad(colour, [*odd, (0, 0)]) * weight
    count, total = (a[::2, ::2] + a[1::2, ::2] + a[::2, 1::2] + a[1::2, 1::2] for a in (weight, weighted))
    mean = (total + count // 2) // np.maximum(count, 1)
    return mean.astype(np.uint8), count[..., 0] > 0


def _double_by_interpolation(colour: NDArray[np.uint8], axis: int) -> NDArray[np.uint8]:
    """Doubles the length of ``axis`` by linear interpolation between the centres of pixels."""
    centre = np.moveaxis(colour, axis, 0).astype(np.uint16)
    before = np.concatenate([centre[:1], centre[:-1]])
    after = np.concatenate([centre[1:], centre[-1:]])
    pairs = np.stack([3 * centre + before + 2, 3 * centre + after + 2], axis=1) >> 2
    return np.moveaxis(pairs.reshape(-1, *centre.shape[1:]).astype(np.uint8), 0, axis)
