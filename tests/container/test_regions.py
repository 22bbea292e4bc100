"""The data of a REGIONS chunk."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calotype.container import Region, pack_regions, unpack_regions
from calotype.container.regions import MAX_REGIONS
from calotype.container.varint import MAX_VARINT
from calotype.errors import CalotypeError, FormatError

sides = st.one_of(st.integers(0, 300), st.integers(0, MAX_VARINT - 1))
regions = st.builds(
    Region, sides, sides, sides.map(lambda n: n + 1), sides.map(lambda n: n + 1), st.integers(1, 127)
)
deterministic = settings(deadline=None, derandomize=True)


@deterministic
@given(st.lists(regions, min_size=1, max_size=8))
def test_packed_regions_are_unpacked(packed: list[Region]) -> None:
    assert unpack_regions(pack_regions(packed)) == tuple(packed)


def test_a_small_region_takes_five_bytes() -> None:
    assert pack_regions([Region(3, 127, 128, 1, 24)]) == bytes([3, 127, 127, 0, 24])


@deterministic
@given(st.binary(max_size=40))
def test_arbitrary_bytes_give_an_error_or_regions_that_write_them(data: bytes) -> None:
    try:
        unpacked = unpack_regions(data)
    except CalotypeError:
        return
    assert pack_regions(unpacked) == data


@pytest.mark.parametrize("data", [b"", bytes([0, 0, 0, 0]), bytes([0, 0, 0, 0, 0]), bytes([0, 0, 0, 0, 128])])
def test_invalid_regions_are_refused(data: bytes) -> None:
    with pytest.raises(FormatError):
        unpack_regions(data)


def test_the_number_of_regions_is_limited() -> None:
    region = Region(0, 0, 1, 1, 1)
    assert len(unpack_regions(pack_regions([region] * MAX_REGIONS))) == MAX_REGIONS
    with pytest.raises(FormatError, match="255"):
        unpack_regions(pack_regions([region]) * (MAX_REGIONS + 1))
    for count in (0, MAX_REGIONS + 1):
        with pytest.raises(ValueError, match=f"{count} of them"):
            pack_regions([region] * count)
