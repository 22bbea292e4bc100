"""Colour spaces that are described by numbers, and their ICC profiles."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "ADOBE_RGB",
    "LINEAR",
    "ROMM_RGB",
    "SRGB",
    "SRGB_CURVE",
    "SRGB_PRIMARIES",
    "ColourPrimaries",
    "ColourSpace",
    "ColourSpaceError",
    "TransferCurve",
    "colour_space_of_codes",
]


class ColourSpaceError(Exception):
    """A colour space is invalid or cannot be converted; the message says why."""


@dataclass(frozen=True)
class ColourPrimaries:
    """CIE xy chromaticities of white, red, green and blue."""

    white: tuple[float, float]
    red: tuple[float, float]
    green: tuple[float, float]
    blue: tuple[float, float]

    def is_close_to(self, other: ColourPrimaries) -> bool:
        """Returns whether the two differ by no more than the rounding in files."""
        return bool(np.abs(np.subtract(self._array, other._array)).max() <= _SAME_CHROMATICITY)

    def to_d50(self) -> NDArray[np.float64]:
        """Returns XYZ relative to D50 of red, green and blue as columns of float64[3, 3]. Raises
        SpaceError."""
        xy = np.array(self._array, np.float64)
        if not np.isfinite(xy).all() or (xy[:, 1] <= 0).any():
            raise ColourSpaceError("its primaries are not valid colours")
        xyz = np.stack([xy[:, 0] / xy[:, 1], np.ones(4), (1 - xy.sum(1)) / xy[:, 1]])
        white, colours = xyz[:, 0], xyz[:, 1:]
        if abs(np.linalg.det(colours)) < 1e-6 or (_BRADFORD @ white <= 0).any():
            raise ColourSpaceError("its primaries are not valid colours")
        colours = colours * np.linalg.solve(colours, white)
        cones = (_BRADFORD @ _D50) / (_BRADFORD @ white)
        adapted = np.linalg.inv(_BRADFORD) @ (cones[:, None] * (_BRADFORD @ colours))
        if np.abs(adapted).max() > _MAX_XYZ:
            raise ColourSpaceError("its primaries are not valid colours")
        return np.asarray(adapted)

    @property
    def _array(self) -> list[tuple[float, float]]:
        return [self.white, self.red, self.green, self.blue]


@dataclass(frozen=True)
class TransferCurve:
    """The curve from coded values v in 0..1 to linear light: (a v + b) ** gamma from v = d up, c v below.

    If there is a ``table``, it holds instead linear light in 0..65535 at equal distances of v.
    """

    gamma: float
    a: float = 1.0
    b: float = 0.0
    c: float = 0.0
    d: float = 0.0
    table: tuple[int, ...] = field(default=())

    def tag(self) -> bytes:
        """Returns the data of an ICC tag. Raises :class:`ColourSpaceError`."""
        if self.table:
            return struct.pack(f">4s4xI{len(self.table)}H", b"curv", len(self.table), *self.table)
        numbers = (self.gamma, self.a, self.b, self.c, self.d)
        if not (_MIN_GAMMA <= self.gamma <= _MAX_GAMMA):
            raise ColourSpaceError(f"its gamma ({self.gamma:.5g}) is invalid")
        return struct.pack(">4s4xHH", b"para", 3, 0) + b"".join(map(_s15fixed16, numbers))


SRGB_CURVE = TransferCurve(2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
LINEAR = TransferCurve(1.0)

_SAME_CHROMATICITY = 0.0015
_SAME_GAMMA = 0.05  # The relative difference up to which libpng, too, takes two values for equal.
_MIN_GAMMA, _MAX_GAMMA = 0.1, 10.0
_MAX_XYZ = 4.0
_D50 = np.array([0.9642, 1.0, 0.8249])
_D65 = (0.3127, 0.3290)
_C = (0.310, 0.316)
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])

SRGB_PRIMARIES = ColourPrimaries(_D65, (0.64, 0.33), (0.30, 0.60), (0.15, 0.06))
_SMPTE_C = ColourPrimaries(_D65, (0.630, 0.340), (0.310, 0.595), (0.155, 0.070))

# ITU-T H.273, tables 2 and 3. Code 2 is "unspecified", which is treated like no declaration.
_PRIMARIES = {
    1: SRGB_PRIMARIES,
    2: SRGB_PRIMARIES,
    4: ColourPrimaries(_C, (0.67, 0.33), (0.21, 0.71), (0.14, 0.08)),
    5: ColourPrimaries(_D65, (0.64, 0.33), (0.29, 0.60), (0.15, 0.06)),
    6: _SMPTE_C,
    7: _SMPTE_C,
    8: ColourPrimaries(_C, (0.681, 0.319), (0.243, 0.692), (0.145, 0.049)),
    9: ColourPrimaries(_D65, (0.708, 0.292), (0.170, 0.797), (0.131, 0.046)),
    11: ColourPrimaries((0.314, 0.351), (0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),
    12: ColourPrimaries(_D65, (0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),
    22: ColourPrimaries(_D65, (0.630, 0.340), (0.295, 0.605), (0.155, 0.077)),
}
_BT709_CURVE = TransferCurve(1 / 0.45, 1 / 1.099, 0.099 / 1.099, 1 / 4.5, 0.081)
_CURVES = {
    1: _BT709_CURVE,
    2: SRGB_CURVE,
    4: TransferCurve(2.2),
    5: TransferCurve(2.8),
    6: _BT709_CURVE,
    7: TransferCurve(1 / 0.45, 1 / 1.1115, 0.1115 / 1.1115, 1 / 4, 0.0913),
    8: LINEAR,
    11: _BT709_CURVE,  # This code and 12 differ from it only beyond 0..1.
    12: _BT709_CURVE,
    13: SRGB_CURVE,
    14: _BT709_CURVE,
    15: _BT709_CURVE,
}
_HIGH_DYNAMIC_RANGE = {16: "PQ", 18: "HLG"}


@dataclass(frozen=True)
class ColourSpace:
    """An RGB space or, without primaries, a space of greys."""

    primaries: ColourPrimaries = SRGB_PRIMARIES
    curve: TransferCurve = SRGB_CURVE

    @property
    def is_srgb(self) -> bool:
        """Returns whether the space is sRGB. A gamma of 2.2 counts as its curve: files use it for that."""
        curve = self.curve
        usual = curve == TransferCurve(curve.gamma) and abs(curve.gamma / 2.2 - 1) <= _SAME_GAMMA
        return (curve == SRGB_CURVE or usual) and self.primaries.is_close_to(SRGB_PRIMARIES)

    def profile(self, grey: bool) -> bytes:
        """Returns the ICC profile (version 4) of the space; with ``grey`` that of its greys.

        Raises :class:`ColourSpaceError`.
        """
        curve = self.curve.tag()
        tags = {
            b"desc": _text_tag("described by the source"),
            b"cprt": _text_tag("CC0"),
            b"wtpt": _xyz_tag(_D50),
        }
        if grey:
            tags[b"kTRC"] = curve
        else:
            colours = self.primaries.to_d50()
            tags |= {name: _xyz_tag(colours[:, i]) for i, name in enumerate((b"rXYZ", b"gXYZ", b"bXYZ"))}
            tags |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve)
        return _icc_profile(b"GRAY" if grey else b"RGB ", tags)


SRGB = ColourSpace()
ADOBE_RGB = ColourSpace(
    ColourPrimaries(_D65, (0.64, 0.33), (0.21, 0.71), (0.15, 0.06)), TransferCurve(563 / 256)
)
ROMM_RGB = ColourSpace(
    ColourPrimaries((0.3457, 0.3585), (0.7347, 0.2653), (0.1596, 0.8404), (0.0366, 0.0001)),
    TransferCurve(1.8, c=1 / 16, d=1 / 32),
)


def colour_space_of_codes(primaries: int, transfer: int) -> ColourSpace:
    """Returns the space with the code points of ITU-T H.273 (those of cICP and nclx).

    Raises :class:`ColourSpaceError`.
    """
    if transfer in _HIGH_DYNAMIC_RANGE:
        raise ColourSpaceError(f"it has high dynamic range ({_HIGH_DYNAMIC_RANGE[transfer]})")
    if primaries not in _PRIMARIES:
        raise ColourSpaceError(f"its primaries have the code {primaries}")
    if transfer not in _CURVES:
        raise ColourSpaceError(f"its transfer function has the code {transfer}")
    return ColourSpace(_PRIMARIES[primaries], _CURVES[transfer])


def _s15fixed16(value: float) -> bytes:
    return struct.pack(">i", round(value * 65536))


def _xyz_tag(values: NDArray[np.float64]) -> bytes:
    return b"XYZ \0\0\0\0" + b"".join(_s15fixed16(float(value)) for value in values)


def _text_tag(text: str) -> bytes:
    encoded = text.encode("utf-16-be")
    return struct.pack(">4s4xII4sII", b"mluc", 1, 12, b"enUS", len(encoded), 28) + encoded


def _icc_profile(space: bytes, tags: dict[bytes, bytes]) -> bytes:
    position = 128 + 4 + 12 * len(tags)
    table, body = struct.pack(">I", len(tags)), b""
    offsets: dict[bytes, int] = {}  # Equal data are written once.
    for signature, data in tags.items():
        if data not in offsets:
            offsets[data] = position + len(body)
            body += data + bytes(-len(data) % 4)
        table += signature + struct.pack(">II", offsets[data], len(data))
    size = position + len(body)
    head = struct.pack(">I4xI4s4s4s12x4s28x", size, 0x04300000, b"mntr", space, b"XYZ ", b"acsp")
    head += b"".join(_s15fixed16(float(value)) for value in _D50)
    return head.ljust(128, b"\0") + table + body
