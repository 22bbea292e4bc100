"""Output in other picture formats."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from calotype.errors import CalotypeWarning, OutputError
from calotype.imaging.colour import ProfileError, to_srgb
from calotype.imaging.metadata import EXIF_PREFIX
from calotype.imaging.provenance import Provenance, with_note
from calotype.imaging.tiff import tiff_with_exif

__all__ = ["FORMATS", "FORMAT_ALIASES", "PictureFormat", "pack_picture"]

_XMP_TAG = 700
_BOTH = frozenset({"L", "RGB"})
_COLOUR = frozenset({"RGB"})
_MAX_SEGMENT = 65_500
"""The largest size of metadata in a JPEG file, in bytes."""

_MAX_ID_SECTION = 255
"""The longest comment in a TGA file, in bytes."""


@dataclass(frozen=True)
class PictureFormat:
    """An output format.

    ``pillow`` is its name in Pillow. ``alpha`` says whether it holds transparency, and ``metadata`` whether
    it holds EXIF and XMP, of at most ``longest`` bytes each. ``profiles`` are the modes, without alpha, whose
    ICC profiles it holds. ``parameters`` are arguments for a small loss. ``comment`` is the name of the
    argument for a comment in Pillow's writer, if there is one.
    """

    pillow: str
    alpha: bool
    profiles: frozenset[str] = frozenset()
    metadata: bool = False
    parameters: dict[str, Any] = field(default_factory=dict)
    longest: int | None = None
    comment: str | None = None


FORMATS = {
    "png": PictureFormat("PNG", True, _BOTH, True),
    "webp": PictureFormat("WEBP", True, _COLOUR, True, {"lossless": True}),
    "tiff": PictureFormat("TIFF", True, _BOTH, True, {"compression": "tiff_adobe_deflate"}),
    "jpg": PictureFormat(
        "JPEG", False, _BOTH, True, {"quality": 95, "subsampling": "4:4:4"}, longest=_MAX_SEGMENT
    ),
    "avif": PictureFormat("AVIF", True, _COLOUR, True, {"quality": 95, "subsampling": "4:4:4"}),
    "jp2": PictureFormat("JPEG2000", True, comment="comment"),
    "tga": PictureFormat("TGA", True, comment="id_section"),
    "bmp": PictureFormat("BMP", False),
    "ppm": PictureFormat("PPM", False),
}
"""The output formats by their extensions. Formats with fewer colours, such as GIF, are left out.

WebP has no grey pictures, and not every reader supports grey AVIF: both get coloured pixels.
"""

FORMAT_ALIASES = {"jpeg": "jpg", "tif": "tiff", "pnm": "ppm"}
"""Other extensions for some of :data:`FORMATS`."""


def pack_picture(image: Image.Image, picture_format: PictureFormat) -> bytes:
    """Writes ``image`` in the given format, with those EXIF, XMP and ICC data of its ``info`` that it can
    hold.

    A provenance note in ``info`` is written into EXIF and XMP, in PNG also as text, in JPEG 2000, TGA and PPM
    as a comment; BMP has no place for it.

    Pixels in a profile that the format cannot hold are converted to sRGB. EXIF and XMP that it cannot hold
    are left out with a :class:`CalotypeWarning`. Raises :class:`OutputError` if the format cannot hold the
    picture.
    """
    name = picture_format.pillow
    profile = image.info.get("icc_profile")
    if profile and image.mode.removesuffix("A") not in picture_format.profiles:
        image, profile = _in_srgb(image, profile, name), None
    metadata = _metadata_to_write(image, picture_format)
    provenance = Provenance.of(image.info)
    if provenance is not None and picture_format.metadata:
        metadata = _metadata_with_note(metadata, provenance, picture_format.longest)
    parameters = dict(picture_format.parameters, icc_profile=profile or None)
    is_tiff = name == "TIFF"
    if not is_tiff:
        parameters |= _writer_arguments(metadata, name, provenance)
    if provenance is not None and picture_format.comment is not None:
        parameters[picture_format.comment] = provenance.note.encode("ascii", "replace")[:_MAX_ID_SECTION]
    content = BytesIO()
    plain = image.copy()
    plain.info = {}  # Some writers would take metadata from there as well.
    try:
        plain.save(content, name, **parameters)
    except (OSError, ValueError, KeyError) as error:
        raise OutputError(f"cannot be written as {name} ({error})") from error
    if provenance is not None and name == "PPM":
        return _ppm_with_comment(content.getvalue(), provenance)
    return _with_tiff_tags(content.getvalue(), metadata) if is_tiff else content.getvalue()


def _in_srgb(image: Image.Image, profile: bytes, name: str) -> Image.Image:
    """Converts ``image`` to sRGB in the same mode; alpha does not change."""
    mode = image.mode.removesuffix("A")
    try:
        result = to_srgb(image.convert(mode), profile)
    except ProfileError as error:
        raise OutputError(
            f"cannot be written as {name}, which holds no such ICC profile: it cannot be converted ({error})"
        ) from error
    if mode != image.mode:
        result.putalpha(image.getchannel("A"))
    result.info = image.info
    return result


def _metadata_to_write(image: Image.Image, picture_format: PictureFormat) -> dict[str, bytes]:
    """Returns EXIF and XMP of ``image``, if the format can hold them."""
    source_metadata = {name: image.info[name] for name in ("exif", "xmp") if image.info.get(name)}
    longest = picture_format.longest
    lost_names = [
        name
        for name, data in source_metadata.items()
        if not picture_format.metadata or (longest is not None and len(data) > longest)
    ]
    if lost_names:
        names = " and ".join(name.upper() for name in lost_names)
        what = "so much" if picture_format.metadata else "such data"
        _warn_of_metadata(f"{names} left out: {picture_format.pillow} files cannot hold {what}")
    return {name: data for name, data in source_metadata.items() if name not in lost_names}


def _metadata_with_note(
    metadata: dict[str, bytes], provenance: Provenance, longest: int | None
) -> dict[str, bytes]:
    """Returns ``metadata`` with the note; Pillow's writers expect EXIF with its prefix."""
    limit = None if longest is None else longest - len(EXIF_PREFIX)
    plain = {name: data.removeprefix(EXIF_PREFIX) for name, data in metadata.items()}
    noted = with_note(plain, provenance, limit)
    return noted | {"exif": EXIF_PREFIX + noted["exif"]}


def _writer_arguments(metadata: dict[str, bytes], name: str, provenance: Provenance | None) -> dict[str, Any]:
    """Returns ``metadata``, and in PNG ``provenance``, as arguments of Pillow's writer of the format."""
    arguments: dict[str, Any] = dict(metadata)
    if name == "PNG":
        texts = PngInfo()
        if "xmp" in arguments:
            texts.add_itxt("XML:com.adobe.xmp", arguments.pop("xmp").decode("utf-8", "replace"))
        if provenance is not None:
            texts.add_text("Software", provenance.software)
            texts.add_text("Comment", provenance.note)
        arguments["pnginfo"] = texts
    return arguments


def _ppm_with_comment(data: bytes, provenance: Provenance) -> bytes:
    """Adds the note to the PPM file ``data`` as a comment behind its magic number."""
    magic, content = data.split(b"\n", 1)
    return b"%b\n# %b\n%b" % (magic, provenance.note.encode("ascii", "replace"), content)


def _with_tiff_tags(data: bytes, metadata: dict[str, bytes]) -> bytes:
    """Adds ``metadata`` to the TIFF file ``data``."""
    exif = Image.Exif()
    if "exif" in metadata:
        try:
            exif.load(metadata["exif"])
            tiff_with_exif(data, exif)
        except Exception as error:  # Pillow raises many exceptions for damaged EXIF.
            _warn_of_metadata(f"EXIF left out: it is damaged ({error})")
            exif = Image.Exif()
    if "xmp" in metadata:
        exif[_XMP_TAG] = metadata["xmp"]
    return tiff_with_exif(data, exif) if len(exif) else data


def _warn_of_metadata(message: str) -> None:
    warnings.warn(message, CalotypeWarning, stacklevel=4)
