"""Pillow plugin: ``Image.open("x.calo")`` and ``image.save("x.calo", quality=60)``.

Nothing is registered before :func:`register_pillow` is called.
"""

from __future__ import annotations

from typing import IO, Any

from PIL import Image, ImageFile

from calotype.container import EXTENSION, MAGIC, MEDIA_TYPE, parse
from calotype.container.header import read_header
from calotype.imaging import Metadata, load_picture, to_image
from calotype.limits import MAX_SIDE, Limits

__all__ = ["FORMAT", "CalotypeImageFile", "register_pillow"]

FORMAT = "CALOTYPE"
"""The name of the format in Pillow, as in ``image.format`` and ``image.save(file, format=...)``."""

_HEADER_BYTES = 64  # more than any fixed header has
_OPTIONS = ("quality", "target_size", "bpp", "scale", "effort", "model", "keep_metadata", "strict", "limits")
_METADATA = {"icc_profile": "icc", "exif": "exif", "xmp": "xmp"}

# How many pixels are too many is decided by Image.open and PIL.Image.MAX_IMAGE_PIXELS, as for any format.
_LIMITS = Limits(max_pixels=MAX_SIDE**2)


class CalotypeImageFile(ImageFile.ImageFile):
    """A .calo file: opening reads its header, loading decodes it, metadata included.

    Of ``info``, the keys ``icc_profile``, ``exif`` and ``xmp`` are there once it is loaded. A file that
    is damaged or unsupported raises :class:`~calotype.CalotypeError`, when opened or when loaded.
    """

    format = FORMAT
    format_description = "Calotype"

    def _open(self) -> None:
        assert self.fp is not None
        start = self.fp.read(_HEADER_BYTES)
        if not _accept(start):
            raise SyntaxError("not a Calotype file")
        header, _ = read_header(start, _LIMITS)
        self._size = header.width, header.height
        self._mode = ("L" if header.grey else "RGB") + ("A" if header.alpha else "")

    def load(self) -> Any:
        """Decodes the file, at the first call; returns Pillow's pixel access object."""
        if self._im is None and self.fp is not None:
            from calotype.codec import decode

            self.fp.seek(0)
            image = decode(self.fp.read(), limits=_LIMITS)
            self.im = image.im
            self.info.update(image.info)
            if self._exclusive_fp:
                self.fp.close()
            self.fp = None
        return super().load()

    def verify(self) -> None:
        """Checks all of the file, damaged metadata and trailing bytes too, but decodes no pixels."""
        if self.fp is not None:
            from calotype.decoding import decode_latents

            self.fp.seek(0)
            decode_latents(parse(self.fp.read(), limits=_LIMITS, strict=True))
        super().verify()

    def getexif(self) -> Image.Exif:
        """EXIF of the file, which is loaded for it."""
        self.load()
        return super().getexif()


def _accept(prefix: bytes) -> bool:
    return prefix.startswith(MAGIC)


def _save(image: Image.Image, file: IO[bytes], _filename: str | bytes) -> None:
    """Options of ``image.save`` are those of :class:`calotype.EncodeOptions`, and Pillow's for metadata.

    ``exif``, ``icc_profile`` and ``xmp`` describe ``image`` instead of what its ``info`` says, and are
    kept; ``keep_metadata=True`` keeps what ``info`` says too. Unknown options are ignored, as by Pillow.
    """
    from calotype.codec import encode

    given = image.encoderinfo
    options = {name: given[name] for name in _OPTIONS if name in given}
    named = {name: given[name] for name in _METADATA if given.get(name)}
    if named:
        image = _described(image, named, options)
        options["keep_metadata"] = True
    file.write(encode(image, **options))


def _described(image: Image.Image, named: dict[str, Any], options: dict[str, Any]) -> Image.Image:
    """``image`` as the metadata ``named`` describe it, without any other unless all is to be kept."""
    image = image.copy()
    for name, value in named.items():
        image.info[name] = value.tobytes() if isinstance(value, Image.Exif) else value
    picture = load_picture(image, limits=options.get("limits", Limits()), strict=options.get("strict", False))
    fields = {field for name, field in _METADATA.items() if name in named or options.get("keep_metadata")}
    kept = Metadata(**{field: getattr(picture.metadata, field) for field in fields})
    return to_image(picture.rgb, picture.alpha, picture.grey, kept)


def register_pillow() -> None:
    """Teaches Pillow to open and save .calo files, until the process ends. May be called again."""
    Image.register_open(FORMAT, CalotypeImageFile, _accept)
    Image.register_save(FORMAT, _save)
    Image.register_extension(FORMAT, EXTENSION)
    Image.register_mime(FORMAT, MEDIA_TYPE)
