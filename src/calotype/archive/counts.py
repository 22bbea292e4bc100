"""The counts of a run, which add up to its input."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from calotype.errors import CalotypeError

__all__ = ["Counts"]


@dataclass
class Counts:
    """The counts of the pictures of the input by their results.

    ``input`` is the sum of ``archived``, ``already`` (in the archive before, or named twice), ``failed``, and
    ``failed_before`` (in the errors table and not tried again). ``duplicates`` and ``originals`` are among
    ``archived``. ``recovered`` counts the pictures of parts that an earlier run had written but not recorded;
    they are counted as ``already`` when they are listed. ``ignored`` counts files of folders whose names are
    not those of pictures; they are not part of the input. Sizes are in bytes.
    """

    input: int = 0
    archived: int = 0
    already: int = 0
    failed: int = 0
    failed_before: int = 0
    duplicates: int = 0
    originals: int = 0
    recovered: int = 0
    ignored: int = 0
    parts: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    seconds: float = 0.0
    interrupted: bool = False

    def check(self) -> None:
        """Raises :class:`CalotypeError` if the counts do not add up to the input."""
        if self.input != self.archived + self.already + self.failed + self.failed_before:
            raise CalotypeError(f"internal error, please report it: the counts do not add up: {asdict(self)}")

    def as_dict(self) -> dict[str, int | float | bool]:
        """Returns the same as plain values, ready for JSON."""
        return asdict(self)
