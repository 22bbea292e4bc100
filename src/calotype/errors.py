"""Every error that Calotype raises on purpose.

::

    CalotypeError
    ├── SourceError           the picture to encode cannot be read, or is refused
    ├── TargetSizeError       no file that small can be made (ValueError too)
    ├── InventionError        no file whose invention is small enough can be made
    ├── BoxError              the part that is asked for is not within the picture (ValueError too)
    ├── OutputError           the result cannot be written
    ├── FormatError           the bytes are not a well-formed .calo file (OSError too)
    │   ├── TruncatedError    ... they end too early
    │   ├── ChecksumError     ... they do not decode to what was encoded
    │   └── UnsupportedError  ... they name a version, space, context model or encoder that this release lacks
    ├── LimitError            a stated limit would be exceeded (OSError too)
    ├── OutOfMemoryError      a network needs more memory than there is (MemoryError too)
    └── ModelError            a model's weights or the packages it needs are missing

Each carries ``exit_code``, the exit code of the command line. Each can be pickled and copied, so that
processes can pass it on; therefore ``args`` are the arguments of the class. Wrong arguments raise
``ValueError`` or ``TypeError``, as everywhere in Python. A :class:`CalotypeWarning` says that a result is not
what a caller may expect, and why.
"""

from __future__ import annotations

__all__ = [
    "BoxError",
    "CalotypeError",
    "CalotypeWarning",
    "ChecksumError",
    "FormatError",
    "InventionError",
    "LimitError",
    "ModelError",
    "OutOfMemoryError",
    "OutputError",
    "PartialPictureWarning",
    "SourceError",
    "TargetSizeError",
    "TruncatedError",
    "UnsupportedError",
]


class CalotypeError(Exception):
    """The base class; its message is one sentence that can be shown to a user."""

    exit_code = 1


class SourceError(CalotypeError):
    """The picture to encode cannot be read, or is refused."""


class TargetSizeError(CalotypeError, ValueError):
    """The smallest possible file, of ``smallest`` bytes, is larger than the ``target`` in bytes."""

    def __init__(self, target: int, smallest: int) -> None:
        super().__init__(target, smallest)
        self.target, self.smallest = target, smallest

    def __str__(self) -> str:
        return (
            f"target size {self.target} bytes is too small: "
            f"the smallest file for this picture is {self.smallest} bytes"
        )


class InventionError(CalotypeError):
    """No file can be made whose picture invents as little as asked for."""


class BoxError(CalotypeError, ValueError):
    """The ``box`` (left, top, right, bottom) is not within a picture of ``size`` (width, height)."""

    def __init__(self, box: tuple[int, int, int, int], size: tuple[int, int]) -> None:
        super().__init__(box, size)
        self.box, self.size = box, size

    def __str__(self) -> str:
        box, (width, height) = ", ".join(map(str, self.box)), self.size
        return f"the box ({box}) leaves the picture, which is {width}x{height} pixels"


class OutputError(CalotypeError):
    """The result cannot be written."""


class FormatError(CalotypeError, OSError):
    """The bytes are not a well-formed .calo file; an ``OSError``, as callers of Pillow expect."""

    exit_code = 3


class TruncatedError(FormatError):
    """The file ends too early."""


class ChecksumError(FormatError):
    """The bytes do not decode to what was encoded."""


class UnsupportedError(FormatError):
    """The file names a version, space, context model or encoder that this release does not know."""


class LimitError(CalotypeError, OSError):
    """A limit of :class:`calotype.Limits` would be exceeded; an ``OSError``, as callers of Pillow expect."""

    exit_code = 4


class OutOfMemoryError(CalotypeError, MemoryError):
    """A network needs more memory than there is; Python's own ``MemoryError`` may be raised as well."""

    exit_code = LimitError.exit_code

    def __init__(self, message: str = "there is not enough memory") -> None:
        super().__init__(message)


class ModelError(CalotypeError):
    """A model's weights or the packages it needs are missing."""

    exit_code = 5


class CalotypeWarning(UserWarning):
    """A part of the file was left out, or an option could not be used."""


class PartialPictureWarning(CalotypeWarning):
    """A picture was made from a file without its end; what the missing bytes coded is predicted."""
