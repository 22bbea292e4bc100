"""The bytes of a patch in VP8 and in AV1: ``python -m benchmarks.patch_codecs``.

The patches are a face and a line of drawn text, each at three sizes, from the sample photographs. The results
are in results/patch-codecs.md.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from benchmarks.pictures import RESULTS, ROOT
from calotype.imaging import luma, pack_av1, pack_vp8, unpack_av1, unpack_vp8

__all__ = ["main"]

_PSNR = 28.0
"""The PSNR of luma, in decibels, at which bytes are compared."""

_QUALITIES = range(0, 101, 2)


def _parts() -> Iterator[tuple[str, NDArray[np.uint8]]]:
    """Yields names and pixels uint8[H, W, 3]."""
    with Image.open(ROOT / "samples" / "astronaut.png") as image:
        face = image.convert("RGB").crop((180, 55, 268, 174))
    for width, height in ((24, 32), (44, 60), (88, 119)):
        yield f"face, {width}x{height}", np.asarray(face.resize((width, height), Image.Resampling.LANCZOS))
    with Image.open(ROOT / "samples" / "coffee.png") as image:
        table = image.convert("RGB")
    for size in (12, 16, 24):
        font = ImageFont.load_default(size)
        width, height = int(font.getlength("Harbour 217")) + 8, size + 8
        line = table.crop((40, 30, 40 + width, 30 + height))
        ImageDraw.Draw(line).text((4, 2), "Harbour 217", fill=(250, 250, 240), font=font)
        yield f"text of {size} px, {width}x{height}", np.asarray(line)


def _psnr(picture: NDArray[np.uint8], original: NDArray[np.uint8]) -> float:
    error = float(np.square(luma(picture) - luma(original)).mean())
    return 10 * float(np.log10(255**2 / max(error, 1e-9)))


def _smallest(sizes: Iterator[tuple[float, int]]) -> int:
    """Returns the bytes at ``_PSNR``, interpolated between the two trials (PSNR, bytes) next to it."""
    before: tuple[float, int] | None = None
    for psnr, size in sizes:
        if psnr >= _PSNR:
            if before is None:
                return size
            return round(before[1] + (size - before[1]) * (_PSNR - before[0]) / (psnr - before[0]))
        before = psnr, size
    raise ValueError("no quality reaches the PSNR")


def _av1_sizes(rgb: NDArray[np.uint8], *, monochrome: bool) -> Iterator[tuple[float, int]]:
    height, width = rgb.shape[:2]
    for quality in _QUALITIES:
        data = pack_av1(rgb, quality, monochrome=monochrome)
        assert data is not None
        yield _psnr(unpack_av1(data, width, height, monochrome=monochrome), rgb), len(data)


def _vp8_sizes(rgb: NDArray[np.uint8]) -> Iterator[tuple[float, int]]:
    height, width = rgb.shape[:2]
    for quality in _QUALITIES:
        data = pack_vp8(rgb, quality)
        yield _psnr(unpack_vp8(data, width, height), rgb), len(data)


def _header_sizes(rgb: NDArray[np.uint8]) -> tuple[int, int]:
    """Returns the bytes that are left out of a WebP and of an AVIF file."""
    sizes = []
    for format_, data in (("WEBP", pack_vp8(rgb, 30)), ("AVIF", pack_av1(rgb, 30, monochrome=False))):
        file = io.BytesIO()
        options = {"method": 6} if format_ == "WEBP" else {"speed": 6, "codec": "aom"}
        if format_ == "AVIF":
            options["advanced"] = {"tune": "psnr", "tune-content": "screen"}
        Image.fromarray(rgb).save(file, format_, quality=30, **options)
        sizes.append(len(file.getvalue()) - len(data or b""))
    return sizes[0], sizes[1]


def main() -> int:
    """Writes the table and returns 0."""
    lines = [
        "# Patches by VP8 and by AV1\n",
        f"`python -m benchmarks.patch_codecs`: bytes of parts of pictures at a PSNR of luma of {_PSNR:g} dB,",
        "without the headers that a decoder writes itself, and the bytes of these headers.\n",
        "| part | VP8 | AV1 | AV1, luma only | headers of WebP | headers of AVIF |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for name, rgb in _parts():
        vp8, colours, grey = (
            _smallest(_vp8_sizes(rgb)),
            *(_smallest(_av1_sizes(rgb, monochrome=monochrome)) for monochrome in (False, True)),
        )
        webp, avif = _header_sizes(rgb)
        lines.append(f"| {name} | {vp8} | {colours} | {grey} | {webp} | {avif} |")
        print(lines[-1], flush=True)
    (RESULTS / "patch-codecs.md").write_text("\n".join(lines) + "\n", "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
