"""The fixed header, which a decoder reads before the payload.

docs/format.md, section 2, specifies it byte by byte.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass
from enum import IntEnum

from calotype.container.field import Field
from calotype.errors import FormatError, LimitError, TruncatedError, UnsupportedError
from calotype.limits import MAX_SIDE, Limits

__all__ = ["FORMAT_VERSION", "FULL_SCALE", "MAGIC", "Coding", "Header", "fixed_header", "read_header"]

MAGIC = b"\xc1CAL\r\n"
"""The first six bytes. 0xC1 occurs in no UTF-8 text, and a transfer in text mode changes CR LF."""

FORMAT_VERSION = 1

FULL_SCALE = 64
"""The scale, in 64ths, of a picture whose coded size is the size to show."""


EXTENSION_LATENTS = 8
"""The number of positions by which a decoder extends the latents of an extended picture on every side."""


class Coding(IntEnum):
    """How the payload codes the latents."""

    HIERARCHICAL = 0
    PALETTE = 1


# From bit 0 on; the other bits are reserved and zero.
_FLAGS = ("grey", "alpha", "scaled", "regions", "extended", "regions_first")

_FIELDS = (
    Field("version", low=FORMAT_VERSION, high=FORMAT_VERSION),
    Field("flags", high=(1 << len(_FLAGS)) - 1),
    Field("coding", high=max(Coding)),
    Field("space"),
    Field("context_model"),
    Field("encoder"),
    Field("width", size=0, low=1, high=MAX_SIDE, offset=1, error=LimitError),
    Field("height", size=0, low=1, high=MAX_SIDE, offset=1, error=LimitError),
    Field("scale", low=1),  # only with the flag "scaled"
    Field("level", high=127),
    Field("noise", size=2, high=0xFFFF),
)


@dataclass(frozen=True, kw_only=True)
class Header:
    """The fields of the fixed header. Raises ``ValueError`` if a value is out of range.

    ``coding`` is a :class:`Coding`; ``space``, ``context_model`` and ``encoder`` are ids, 0 to 255; ``width``
    and ``height`` are those of the picture to show, in pixels, 1 to ``MAX_SIDE``; the coded size is ``scale``
    / 64 of them, with ``scale`` from 1 to 255; ``level`` (0 to 127) selects the quantiser's step; ``noise``
    holds one 4-bit code per latent channel. The others are flags. With ``grey`` the picture has no colour.
    With ``alpha`` or ``regions`` the file must have an intact ALPHA or REGIONS chunk, and with
    ``regions_first`` REGIONS comes before the payload. With ``extended`` decoders repeat the outermost
    latents ``EXTENSION_LATENTS`` times on every side, and crop the picture.
    """

    version: int = FORMAT_VERSION
    coding: int
    space: int
    context_model: int
    encoder: int
    width: int
    height: int
    scale: int = FULL_SCALE
    level: int
    noise: tuple[int, int, int, int] = (0, 0, 0, 0)
    grey: bool = False
    alpha: bool = False
    regions: bool = False
    extended: bool = False
    regions_first: bool = False

    def __post_init__(self) -> None:
        if self.regions_first and not self.regions:
            raise ValueError(f"regions_first (={self.regions_first}) must be False without regions")
        # The header has room for four codes (docs/format.md), whatever the space.
        if len(self.noise) != 4 or not all(0 <= code <= 15 for code in self.noise):
            raise ValueError(f"noise (={self.noise}) must be four codes between 0 and 15")
        fixed_header(self)

    @property
    def scaled(self) -> bool:
        """Returns whether the coded size differs from the size to show."""
        return self.scale != FULL_SCALE

    @property
    def coded_size(self) -> tuple[int, int]:
        """Returns the coded size: (width, height) of the picture that the latents describe, in pixels."""
        return -(-self.width * self.scale // FULL_SCALE), -(-self.height * self.scale // FULL_SCALE)

    @property
    def extension(self) -> int:
        """Returns the number of positions by which a decoder extends the latents on every side."""
        return EXTENSION_LATENTS if self.extended else 0


def _header_number(header: Header, name: str) -> int:
    """Returns the stored value of the field ``name`` of ``header``."""
    if name == "flags":
        return sum(bool(getattr(header, flag)) << bit for bit, flag in enumerate(_FLAGS))
    if name == "noise":
        return sum(operator.index(code) << 4 * channel for channel, code in enumerate(header.noise))
    return operator.index(getattr(header, name))


def fixed_header(header: Header) -> bytes:
    """Returns the fixed header, from the magic to ``noise``: the 17 to 20 bytes that the checksum covers."""
    fields = [field for field in _FIELDS if field.name != "scale" or header.scaled]
    return MAGIC + b"".join(field.write(_header_number(header, field.name)) for field in fields)


def read_header(data: bytes, limits: Limits) -> tuple[Header, int]:
    """Returns (header, position behind it) of the file ``data``.

    Raises :class:`FormatError` (or a subclass: :class:`TruncatedError`, :class:`UnsupportedError`) and
    :class:`LimitError` if the picture is larger than ``limits`` allow.
    """
    _check_magic(data)
    position = len(MAGIC)
    numbers: dict[str, int] = {}
    for field in _FIELDS:
        if field.name == "scale" and not numbers["flags"] >> _FLAGS.index("scaled") & 1:
            continue
        numbers[field.name], position = field.read(data, position)
    limits.check_size(numbers["width"], numbers["height"])
    if numbers.get("scale") == FULL_SCALE:
        raise FormatError(f"the file has the scale {FULL_SCALE}, which must be omitted (it means full size)")
    flags, noise = numbers.pop("flags"), numbers.pop("noise")
    codes = (noise & 15, noise >> 4 & 15, noise >> 8 & 15, noise >> 12)
    said = {name: bool(flags >> bit & 1) for bit, name in enumerate(_FLAGS) if name != "scaled"}
    if said["regions_first"] and not said["regions"]:
        raise UnsupportedError(f"the file has flags {flags}: regions before its payload, but no regions")
    header = Header(
        **numbers,
        noise=codes,
        grey=said["grey"],
        alpha=said["alpha"],
        regions=said["regions"],
        extended=said["extended"],
        regions_first=said["regions_first"],
    )
    limits.check_size(*header.coded_size)
    return header, position


def _check_magic(data: bytes) -> None:
    start = data[: len(MAGIC)]
    if start == MAGIC:
        return
    if not data:
        raise TruncatedError("the file is empty")
    if MAGIC.startswith(start):
        raise TruncatedError(f"the file ends after {len(data)} bytes, inside its signature")
    if data[:4] == MAGIC[:4]:
        raise FormatError(
            "the file's line endings were changed in a transfer: transfer it again in binary mode"
        )
    raise FormatError(f"not a .calo file: it starts with {start.hex(' ')}, not {MAGIC.hex(' ')}")
