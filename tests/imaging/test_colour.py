from __future__ import annotations

import io

import numpy as np
import pytest
from icc_profiles import (
    ADOBE_RGB,
    DISPLAY_P3,
    SRGB,
    cmyk_profile,
    grey_profile,
    rgb_profile,
    to_srgb,
)
from numpy.typing import NDArray
from PIL import Image, ImageCms

from calotype.errors import CalotypeWarning, SourceError
from calotype.imaging import Metadata, Picture, load_picture, to_pillow_image
from calotype.limits import Limits

COLOURS = np.random.default_rng(3).integers(40, 216, (16, 16, 3), dtype=np.uint8)
GREYS = np.arange(256, dtype=np.uint8).reshape(16, 16)
WIDE = [(ADOBE_RGB, 563 / 256), (DISPLAY_P3, 2.2)]


def load(image: Image.Image, profile: bytes, strict: bool = True) -> Picture:
    image.info["icc_profile"] = profile
    return load_picture(image, limits=Limits(), strict=strict)


def distance(a: NDArray[np.uint8], b: NDArray[np.uint8] | NDArray[np.float64]) -> float:
    return float(np.abs(a.astype(float) - b).max())


@pytest.mark.parametrize(("primaries", "gamma"), WIDE)
def test_wide_gamut_becomes_srgb(primaries: NDArray[np.float64], gamma: float) -> None:
    muted = COLOURS // 4 + 96
    profile = rgb_profile(primaries, gamma)
    picture = load(Image.fromarray(muted), profile)
    assert distance(picture.rgb, to_srgb(muted, primaries, gamma)) <= 2
    assert distance(picture.rgb, muted) > 4
    assert picture.metadata.icc == profile


@pytest.mark.parametrize(("primaries", "gamma"), WIDE)
def test_profile_survives_a_round_trip(primaries: NDArray[np.float64], gamma: float) -> None:
    muted = COLOURS // 4 + 96
    profile = rgb_profile(primaries, gamma)
    picture = load(Image.fromarray(muted), profile)
    image = to_pillow_image(picture.rgb, None, picture.grey, picture.metadata)
    assert image.info["icc_profile"] == profile
    assert distance(np.asarray(image), muted) <= 2


def test_alpha_is_not_colour_managed() -> None:
    image = Image.fromarray(COLOURS)
    image.putalpha(Image.fromarray(GREYS))
    profile = rgb_profile(ADOBE_RGB, 2.2)
    picture = load(image, profile)
    assert picture.alpha is not None
    np.testing.assert_array_equal(picture.alpha, GREYS)
    back = to_pillow_image(picture.rgb, picture.alpha, False, picture.metadata)
    np.testing.assert_array_equal(np.asarray(back)[..., 3], GREYS)


def test_srgb_profiles_change_nothing() -> None:
    for profile in (
        ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(),
        rgb_profile(SRGB, 2.2),
    ):
        picture = load(Image.fromarray(COLOURS), profile)
        if profile == rgb_profile(SRGB, 2.2):
            assert distance(picture.rgb, COLOURS) > 0  # a pure power is not the sRGB curve
            continue
        np.testing.assert_array_equal(picture.rgb, COLOURS)
        image = to_pillow_image(picture.rgb, None, False, picture.metadata)
        np.testing.assert_array_equal(np.asarray(image), COLOURS)
        assert image.info["icc_profile"] == profile


def test_neutral_pixels_of_an_rgb_profile_stay_grey() -> None:
    picture = load(Image.fromarray(GREYS).convert("RGB"), rgb_profile(ADOBE_RGB, 2.2))
    assert picture.grey
    assert picture.metadata.icc is None  # an RGB profile cannot describe a grey picture
    assert load(Image.fromarray(GREYS), rgb_profile(ADOBE_RGB, 2.2)).grey


def test_a_grey_profile_is_applied() -> None:
    profile = grey_profile(1.0)
    picture = load(Image.fromarray(GREYS), profile)
    linear = GREYS / 255
    expected = 255 * np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    assert picture.grey
    assert distance(picture.rgb[..., 0], expected) <= 1
    assert picture.metadata.icc == profile
    image = to_pillow_image(picture.rgb, None, True, picture.metadata)
    assert (image.mode, image.info["icc_profile"]) == ("L", profile)
    assert distance(np.asarray(image), GREYS) <= 2


def test_cmyk_with_a_profile() -> None:
    image = Image.new("CMYK", (2, 1))
    image.putpixel((1, 0), (255, 0, 0, 0))
    picture = load(image, cmyk_profile(cyan_lightness=50))
    assert picture.rgb[0, 0].tolist() == [255, 255, 255]
    assert distance(picture.rgb[0, 1], np.full(3, 119)) <= 2  # L* 50; naively it would be cyan
    assert picture.metadata.icc is None  # what is decoded is not CMYK


def test_cmyk_without_a_profile() -> None:
    picture = load_picture(Image.new("CMYK", (1, 1), (255, 0, 0, 0)), limits=Limits(), strict=True)
    assert picture.rgb[0, 0].tolist() == [0, 255, 255]


@pytest.mark.parametrize(
    ("mode", "profile"),
    [
        ("RGB", b"no profile at all"),
        ("RGB", b""),
        ("RGB", rgb_profile(DISPLAY_P3, 2.2)[:200]),
        ("RGB", grey_profile(2.2)),
        ("RGB", cmyk_profile(50)),
        ("CMYK", rgb_profile(DISPLAY_P3, 2.2)),
        ("L", cmyk_profile(50)),
    ],
)
def test_unusable_profiles_are_ignored_with_a_warning(mode: str, profile: bytes) -> None:
    image = Image.fromarray(COLOURS).convert(mode)
    with pytest.warns(CalotypeWarning, match="ICC profile that cannot be used"):
        picture = load(image, profile, strict=False)
    np.testing.assert_array_equal(picture.rgb, np.asarray(image.convert("RGB")))
    assert picture.metadata.icc is None
    with pytest.raises(SourceError, match="ICC profile that cannot be used"):
        load(image, profile, strict=True)


@pytest.mark.parametrize("profile", [b"", b"junk", grey_profile(2.2), cmyk_profile(50)])
def test_unusable_profiles_are_not_attached(profile: bytes) -> None:
    with pytest.warns(CalotypeWarning, match="ICC profile is left out"):
        image = to_pillow_image(COLOURS, metadata=Metadata(icc=profile))
    np.testing.assert_array_equal(np.asarray(image), COLOURS)
    assert "icc_profile" not in image.info


@pytest.mark.parametrize("stride", [pytest.param(3, marks=pytest.mark.slow), 29])
def test_any_damage_to_a_profile_is_survived(stride: int) -> None:
    whole = rgb_profile(DISPLAY_P3, 2.2)
    for position in range(0, len(whole), stride):
        damaged = bytearray(whole)
        damaged[position] ^= 0xFF
        try:
            load(Image.fromarray(COLOURS), bytes(damaged))
        except SourceError as error:
            assert "ICC profile" in str(error)


@pytest.mark.parametrize(
    ("grey", "alpha", "mode"), [(0, 0, "RGB"), (0, 1, "RGBA"), (1, 0, "L"), (1, 1, "LA")]
)
def test_modes_of_decoded_images(grey: bool, alpha: bool, mode: str) -> None:
    image = to_pillow_image(COLOURS, GREYS if alpha else None, bool(grey))
    assert image.mode == mode
    assert image.info == {}
    if grey:
        luma = COLOURS @ [0.299, 0.587, 0.114]
        assert distance(np.asarray(image.getchannel("L")), luma) <= 0.51
    else:
        np.testing.assert_array_equal(np.asarray(image)[..., :3], COLOURS)


def test_files_carry_their_profile() -> None:
    file = io.BytesIO()
    profile = rgb_profile(ADOBE_RGB, 2.2)
    Image.fromarray(COLOURS).save(file, "PNG", icc_profile=profile)
    assert load_picture(file, limits=Limits(), strict=True).metadata.icc == profile
