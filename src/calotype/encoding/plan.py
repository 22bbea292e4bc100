"""The plan for a picture: its rate target and the stages that run, from its options.

Only this module defines what an effort does. Others take the fields of the plan.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from calotype.encoding.rdo import CASCADES, Cascade
from calotype.fidelity import most_record_bytes
from calotype.latents import level_of_quality
from calotype.options import DEFAULT_QUALITY, EncodeOptions

__all__ = ["EFFORTS", "Correction", "Effort", "Plan", "RateTarget", "Rdo", "size_target"]


@dataclass(frozen=True)
class RateTarget:
    """The rate of a file: either quantisation at ``level``, or at most ``size`` bytes for the whole file.

    Exactly one of the two is given.
    """

    level: int | None = None
    size: int | None = None

    @classmethod
    def of(cls, options: EncodeOptions, width: int, height: int) -> RateTarget:
        """Returns the rate target of the options, for a picture of ``width`` x ``height`` pixels to show.

        It is that of the file without its record.
        """
        size = size_target(options, width, height)
        if size is not None:
            return cls(size=max(1, size - most_record_bytes(size)) if options.record else size)
        return cls(level=level_of_quality(DEFAULT_QUALITY if options.quality is None else options.quality))


def size_target(options: EncodeOptions, width: int, height: int) -> int | None:
    """Returns the largest size of the whole file in bytes; None if the options have a quality."""
    if options.bpp is not None:
        return max(1, int(options.bpp * width * height / 8))
    return options.target_size


@dataclass(frozen=True)
class Rdo:
    """The settings of the RDO quantiser: see :class:`calotype.encoding.rdo.RdoQuantiser`.

    The encoder tries each of ``cascades`` and keeps the best result.
    """

    lambda_: float = 0.0
    error_diffusion: float = 0.0
    cascades: tuple[Cascade, ...] = CASCADES[:1]


class Correction(Enum):
    """When latents get the round-trip correction.

    It takes longer than one encode at a quality, but not longer than the search for a target size.
    """

    NEVER = "never"
    FOR_A_SIZE = "with a target size"
    ALWAYS = "always"


@dataclass(frozen=True)
class Effort:
    """The stages of one effort.

    With ``faces``, faces get finer latents at coarse levels. With ``closed_loop``, colours are corrected by
    means of the decoded picture where colour errors would be visible. ``round_trip`` defines when latents get
    the round-trip correction. With ``descent``, latents are optimised by gradient descent.
    """

    rdo: Rdo
    faces: bool = False
    closed_loop: bool = False
    round_trip: Correction = Correction.NEVER
    descent: bool = False


_LAMBDA = 0.05
"""The Lagrangian multiplier: squared error, in squared steps, per bit. It was measured
(training/README.md)."""

_ERROR_DIFFUSION = 0.5
"""The fraction of its neighbours' mean error that error diffusion adds to a latent. It was measured
likewise."""


def _effort_with_rdo(cascades: int, round_trip: Correction, descent: bool = False) -> Effort:
    rdo = Rdo(_LAMBDA, _ERROR_DIFFUSION, CASCADES[:cascades])
    return Effort(rdo, faces=True, closed_loop=True, round_trip=round_trip, descent=descent)


EFFORTS: dict[int, Effort] = {
    **dict.fromkeys((1, 2, 3, 4), Effort(Rdo())),
    **dict.fromkeys((5, 6), _effort_with_rdo(1, Correction.FOR_A_SIZE)),
    7: _effort_with_rdo(2, Correction.ALWAYS),
    8: _effort_with_rdo(3, Correction.ALWAYS),
    9: _effort_with_rdo(4, Correction.ALWAYS, descent=True),
}


@dataclass(frozen=True)
class Plan:
    """The stages for one picture, from its options.

    The fields are those of :class:`Effort`, but ``round_trip`` is whether the correction applies to this
    picture, and ``rate`` is what its file has to meet. With ``text`` lines of text are protected like faces,
    and with ``patches`` parts of the picture may become patches.
    """

    rate: RateTarget
    rdo: Rdo
    faces: bool
    text: bool
    patches: bool
    closed_loop: bool
    round_trip: bool
    descent: bool

    @classmethod
    def of(cls, options: EncodeOptions, width: int, height: int) -> Plan:
        """Returns the plan for a picture of ``width`` x ``height`` pixels to show.

        The palette coding does not use a plan.
        """
        effort, rate = EFFORTS[options.effort], RateTarget.of(options, width, height)
        corrected = {Correction.NEVER: False, Correction.FOR_A_SIZE: rate.size is not None}
        return cls(
            rate,
            effort.rdo,
            faces=effort.faces and "faces" in options.protected,
            text=effort.faces and "text" in options.protected,
            patches=effort.faces and bool(options.protected),
            closed_loop=effort.closed_loop,
            round_trip=corrected.get(effort.round_trip, True),
            descent=effort.descent,
        )
