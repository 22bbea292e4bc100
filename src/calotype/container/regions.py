"""Regions of the picture whose latents are quantised more finely (docs/format.md, section 3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from calotype.container.field import Field
from calotype.container.varint import MAX_VARINT
from calotype.errors import FormatError

__all__ = ["MAX_REGIONS", "Region", "pack_regions", "unpack_regions"]

MAX_REGIONS = 255
"""The largest number of regions in a file."""

_FIELDS = (
    Field("region's left", size=0, high=MAX_VARINT),
    Field("region's top", size=0, high=MAX_VARINT),
    Field("region's width", size=0, low=1, high=MAX_VARINT, offset=1, error=FormatError),
    Field("region's height", size=0, low=1, high=MAX_VARINT, offset=1, error=FormatError),
    Field("region's levels", low=1, high=127, error=FormatError),
)


@dataclass(frozen=True)
class Region:
    """A rectangle of latent positions and its level offset (1 to 127), the header's level minus its own."""

    left: int
    top: int
    width: int
    height: int
    levels: int


def pack_regions(regions: Sequence[Region]) -> bytes:
    """Packs regions as data of a REGIONS chunk. Raises ``ValueError`` for none, too many and invalid ones."""
    if not 0 < len(regions) <= MAX_REGIONS:
        raise ValueError(f"regions (={len(regions)} of them) must be 1 to {MAX_REGIONS}")
    rows = [(region.left, region.top, region.width, region.height, region.levels) for region in regions]
    return b"".join(field.write(value) for row in rows for field, value in zip(_FIELDS, row, strict=True))


def unpack_regions(data: bytes) -> tuple[Region, ...]:
    """Unpacks the data of a REGIONS chunk. Raises :class:`FormatError`."""
    regions: list[Region] = []
    position = 0
    while position < len(data) or not regions:
        if len(regions) == MAX_REGIONS:
            raise FormatError(f"the file has more than {MAX_REGIONS} regions")
        numbers = []
        for field in _FIELDS:
            value, position = field.read(data, position)
            numbers.append(value)
        regions.append(Region(*numbers))
    return tuple(regions)
