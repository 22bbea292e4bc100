"""One number in the file: its size and range, for both reader and writer."""

from __future__ import annotations

from dataclasses import dataclass

from calotype.container.varint import read_varint, write_varint
from calotype.errors import CalotypeError, TruncatedError, UnsupportedError

__all__ = ["Field"]


@dataclass(frozen=True)
class Field:
    """An unsigned integer between ``low`` and ``high``, stored minus ``offset``.

    ``size`` is in bytes, little-endian; 0 means a varint. ``error`` is raised when the number that a
    file holds is out of range.
    """

    name: str
    size: int = 1
    low: int = 0
    high: int = 255
    offset: int = 0
    error: type[CalotypeError] = UnsupportedError

    def write(self, value: int) -> bytes:
        """Returns the bytes of ``value``. Raises ``ValueError`` if it is out of range."""
        if not self.low <= value <= self.high:
            raise ValueError(f"{self.name} (={value}) must be between {self.low} and {self.high}")
        stored = value - self.offset
        return stored.to_bytes(self.size, "little") if self.size else write_varint(stored)

    def read(self, data: bytes, position: int) -> tuple[int, int]:
        """Returns (value, position behind it). Raises :class:`TruncatedError`, or ``error`` if out of
        range."""
        if self.size:
            end = position + self.size
            if end > len(data):
                raise TruncatedError(f"the file ends after {len(data)} bytes, inside its {self.name}")
            stored = int.from_bytes(data[position:end], "little")
        else:
            stored, end = read_varint(data, position, self.name)
        value = stored + self.offset
        if not self.low <= value <= self.high:
            known = f"{self.low} to {self.high}" if self.low < self.high else f"only {self.low}"
            raise self.error(f"the file has {self.name} {value}, but this release knows {known}")
        return value, end
