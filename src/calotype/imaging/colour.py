"""Colour management: between a picture's ICC profile and sRGB, with LittleCMS."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, ImageCms

__all__ = ["ProfileError", "can_convert_to_profile", "from_srgb", "to_srgb"]

_MODES = {"RGB ": "RGB", "GRAY": "L", "CMYK": "CMYK", "Lab ": "LAB"}
_SAME = 2
"""The largest difference, in units of 1/255, of colours that count as equal: that of variants of sRGB."""


class ProfileError(Exception):
    """An ICC profile is damaged, or cannot describe the picture; the message says which."""


def to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Converts ``image`` (mode L, RGB, CMYK or LAB) to sRGB: L if it has mode L and no RGB profile, else RGB.

    ``profile`` describes the colours of ``image``; None means sRGB, or for CMYK and LAB Pillow's conversion.
    The conversion is relative colorimetric with black point compensation. Raises :class:`ProfileError`.
    """
    if profile is None:
        return image if image.mode == "L" else image.convert("RGB")
    opened, mode = _open_profile(profile)
    if mode == "RGB" and image.mode == "L":
        image = image.convert("RGB")
    if image.mode != mode:
        raise ProfileError(f"it describes {mode} colours, not {image.mode}")
    transform = _build_colour_transform(opened, _srgb_profile(), mode, "RGB")
    if mode == "L":
        return image.point(_grey_shades(transform, "L"))
    return image if mode == "RGB" and _is_identity(transform) else transform.apply(image)


def from_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    """Converts ``image`` (mode L or RGB, in sRGB) to the colours of ``profile``, in the same mode.

    Raises :class:`ProfileError`, also if the profile is for another mode.
    """
    transform = _transform_to_profile(profile, image.mode)
    if image.mode == "L":
        return image.point(_grey_shades(transform, "RGB"))
    return image if _is_identity(transform) else transform.apply(image)


def can_convert_to_profile(profile: bytes, mode: str) -> bool:
    """Returns whether :func:`from_srgb` can convert pictures of ``mode`` (L or RGB) to ``profile``."""
    try:
        _transform_to_profile(profile, mode)
    except ProfileError:
        return False
    return True


def _transform_to_profile(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform:
    opened, described = _open_profile(profile)
    if described != mode:
        raise ProfileError(f"it describes {described} colours, not {mode}")
    return _build_colour_transform(_srgb_profile(), opened, "RGB", mode)


def _open_profile(profile: bytes) -> tuple[ImageCms.ImageCmsProfile, str]:
    """Returns (the profile, the Pillow mode of its colours)."""
    try:
        opened = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        space = opened.profile.xcolor_space
    except (OSError, TypeError, ValueError) as error:
        raise ProfileError("it is damaged") from error
    if space not in _MODES:
        raise ProfileError(f"it describes {space.strip()} colours")
    return opened, _MODES[space]


def _srgb_profile() -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))


def _build_colour_transform(
    source: ImageCms.ImageCmsProfile, target: ImageCms.ImageCmsProfile, source_mode: str, target_mode: str
) -> ImageCms.ImageCmsTransform:
    flags = ImageCms.Flags.BLACKPOINTCOMPENSATION
    # A grey picture has only 256 shades, so that accuracy is preferred to speed.
    if "L" in (source_mode, target_mode):
        flags |= ImageCms.Flags.NOOPTIMIZE
    try:
        return ImageCms.buildTransform(
            source,
            target,
            source_mode,
            target_mode,
            ImageCms.Intent.RELATIVE_COLORIMETRIC,
            flags,
        )
    except (ImageCms.PyCMSError, OSError, TypeError, ValueError) as error:
        raise ProfileError("LittleCMS cannot convert with it") from error


def _grey_shades(transform: ImageCms.ImageCmsTransform, mode: str) -> list[int]:
    """Returns the 256 shades of grey after a transform of ``mode``."""
    ramp = Image.fromarray(np.arange(256, dtype=np.uint8)[None]).convert(mode)
    return list(np.asarray(transform.apply(ramp).convert("L"))[0].tolist())


def _is_identity(transform: ImageCms.ImageCmsTransform) -> bool:
    """Returns whether an RGB transform changes none of 9 x 9 x 9 colours visibly, and can be omitted."""
    levels = np.linspace(0, 255, 9).round().astype(np.uint8)
    colours = np.stack(np.meshgrid(levels, levels, levels), -1).reshape(27, 27, 3)
    converted = np.asarray(transform.apply(Image.fromarray(colours)))
    return int(np.abs(converted.astype(int) - colours).max()) <= _SAME
