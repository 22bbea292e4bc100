"""Pillow plugin: ``Image.open("x.calo")`` and ``image.save("x.calo", quality=60)``.

Nothing is registered before :func:`register_pillow` is called.
"""

from __future__ import annotations

import math
from dataclasses import fields, replace
from typing import IO, Any, BinaryIO, cast

from PIL import Image, ImageFile

from calotype.container import EXTENSION, MAGIC, MEDIA_TYPE, ChunkType, parse_file, peek_header_and_metadata
from calotype.imaging import (
    Metadata,
    can_convert_to_profile,
    load_picture,
    metadata_to_info,
    to_pillow_image,
    with_metadata,
)
from calotype.limits import MAX_SIDE, Limits
from calotype.options import REDUCTIONS, EncodeOptions

__all__ = ["FORMAT", "CalotypeImageFile", "register_pillow"]

FORMAT = "CALOTYPE"
"""The name of the format in Pillow, as in ``image.format`` and ``image.save(file, format=...)``."""

_METADATA = {"icc_profile": "icc", "exif": "exif", "xmp": "xmp"}

# Image.open checks the number of pixels against PIL.Image.MAX_IMAGE_PIXELS, as for any format.
_LIMITS = Limits(max_pixels=MAX_SIDE**2)


class CalotypeImageFile(ImageFile.ImageFile):
    """A .calo file: opening reads its header and its metadata, loading decodes it.

    ``info`` has the keys ``icc_profile``, ``exif`` and ``xmp`` if the file has such data. ``coded_size`` is
    the coded size in pixels, which may be larger than the picture. A file that is damaged or unsupported
    raises a :class:`~calotype.CalotypeError` that is an ``OSError`` too, as callers of Pillow expect. Damage
    to the header raises it at opening, other damage at loading. With ``ImageFile.LOAD_TRUNCATED_IMAGES`` a
    file that ends too early is loaded as far as it goes, with a :class:`~calotype.PartialPictureWarning`;
    ``info["partial"]`` is then the fraction of it that is there. After :meth:`draft`, which
    ``Image.thumbnail`` calls, a picture with an eighth or a sixteenth of the width and height is loaded, in a
    small part of the time.
    """

    format = FORMAT
    format_description = "Calotype"
    coded_size: tuple[int, int]
    _reduce = 1

    def _open(self) -> None:
        assert self.fp is not None
        if not _is_calotype_file(self.fp.read(len(MAGIC))):
            raise SyntaxError("not a Calotype file")
        self.fp.seek(0)
        header, chunks = peek_header_and_metadata(cast(BinaryIO, self.fp), _LIMITS)
        self._size = header.width, header.height
        self._mode = ("L" if header.grey else "RGB") + ("A" if header.alpha else "")
        self.coded_size = header.coded_size
        if math.prod(self.coded_size) > math.prod(self._size):  # Image.open checks this size.
            Image._decompression_bomb_check(self.coded_size)
        icc = chunks.get(ChunkType.ICC)
        if icc is not None and not can_convert_to_profile(icc, self._mode.removesuffix("A")):
            icc = None
        self.info.update(
            metadata_to_info(Metadata(icc, chunks.get(ChunkType.EXIF), chunks.get(ChunkType.XMP)))
        )

    def draft(
        self, mode: str | None, size: tuple[int, int] | None
    ) -> tuple[str, tuple[int, int, float, float]] | None:
        """Selects the size to load: the smallest of 1, 1/8 and 1/16 of the picture that is at least ``size``.

        Returns (mode, box): the part of the smaller picture that stands for the whole one; None if nothing
        changes. ``mode`` has no effect. As for JPEG files, a second call changes nothing.
        """
        if size is None or self._im is not None or self._reduce > 1:
            return None
        width, height = self._size
        enough = [by for by in REDUCTIONS if by * size[0] <= width and by * size[1] <= height]
        self._reduce = max(enough, default=1)
        if self._reduce == 1:
            return None
        self._size = -(-width // self._reduce), -(-height // self._reduce)
        return self._mode, (0, 0, width / self._reduce, height / self._reduce)

    def load(self) -> Any:
        """Decodes the file, at the first call; returns Pillow's pixel access object."""
        if self._im is None and self.fp is not None:
            from calotype.codec import decode

            self.fp.seek(0)
            partial = ImageFile.LOAD_TRUNCATED_IMAGES
            image = decode(
                self.fp.read(), limits=_LIMITS, partial=partial, provenance=False, reduce=self._reduce
            )
            self.im = image.im
            if "partial" in image.info:
                self.info["partial"] = image.info["partial"]
            if self._exclusive_fp:
                self.fp.close()
            self.fp = None
        return super().load()

    def verify(self) -> None:
        """Checks the whole file, its metadata and trailing bytes included, but decodes no pixels."""
        if self.fp is not None:
            from calotype.decoding import decode_latents

            self.fp.seek(0)
            decode_latents(parse_file(self.fp.read(), limits=_LIMITS, strict=True))
        super().verify()


def _is_calotype_file(prefix: bytes) -> bool:
    return prefix.startswith(MAGIC)


def _save_calotype(image: Image.Image, file: IO[bytes], _filename: str | bytes) -> None:
    """Options of ``image.save`` are those of :class:`calotype.EncodeOptions`, and Pillow's for metadata.

    ``exif``, ``icc_profile`` and ``xmp`` replace those in the ``info`` of ``image`` and are written; empty
    ones and None are not. ``keep_metadata=True`` writes those in ``info`` as well. Raises ``TypeError`` for
    an unknown option.
    """
    from calotype.codec import encode

    given = dict(image.encoderinfo)
    metadata = {name: given.pop(name) for name in _METADATA if name in given}
    if unknown := sorted(given.keys() - {field.name for field in fields(EncodeOptions)}):
        raise TypeError(f"there is no option {', '.join(unknown)}: those of calotype.EncodeOptions are known")
    options = replace(EncodeOptions(), **given)
    if metadata:
        image = _image_to_encode(image, metadata, options)
        options = replace(options, keep_metadata=True)
    file.write(encode(image, options))


def _image_to_encode(image: Image.Image, metadata: dict[str, Any], options: EncodeOptions) -> Image.Image:
    """Returns ``image`` with the given metadata, and without any other unless all is to be kept."""
    named = {
        name: value.tobytes() if isinstance(value, Image.Exif) else value
        for name, value in metadata.items()
        if value
    }
    others = _METADATA.keys() - metadata.keys() if options.keep_metadata else set()
    keep = {_METADATA[name] for name in named.keys() | others}
    picture = load_picture(
        with_metadata(image, named), limits=options.limits, strict=options.strict, keep=keep
    )
    return to_pillow_image(picture.rgb, picture.alpha, picture.grey, picture.metadata)


def register_pillow() -> None:
    """Teaches Pillow to open and save .calo files, until the process ends. May be called again."""
    Image.register_open(FORMAT, CalotypeImageFile, _is_calotype_file)
    Image.register_save(FORMAT, _save_calotype)
    Image.register_extension(FORMAT, EXTENSION)
    Image.register_mime(FORMAT, MEDIA_TYPE)
