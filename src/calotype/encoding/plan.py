"""What the options of a picture mean for its encoder: how large its file is to be, and which steps are taken.

This is the only place that knows what an effort is.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from calotype.encoding.rdo import CASCADES, Cascade
from calotype.latents import level_of_quality
from calotype.options import DEFAULT_QUALITY, EncodeOptions

__all__ = ["EFFORTS", "Correction", "Effort", "Plan", "RateTarget", "Rdo"]


@dataclass(frozen=True)
class RateTarget:
    """What a file is to take: what comes of quantising at ``level``, or at most ``size`` bytes in all.

    Exactly one of them is given.
    """

    level: int | None = None
    size: int | None = None

    @classmethod
    def of(cls, options: EncodeOptions, width: int, height: int) -> RateTarget:
        """What the options ask for, of a picture that is shown with ``width`` x ``height`` pixels."""
        if options.bpp is not None:
            return cls(size=max(1, int(options.bpp * width * height / 8)))
        if options.target_size is not None:
            return cls(size=options.target_size)
        return cls(level=level_of_quality(DEFAULT_QUALITY if options.quality is None else options.quality))


@dataclass(frozen=True)
class Rdo:
    """How latents are quantised: see :class:`calotype.encoding.rdo.RdoQuantiser`.

    Each of ``cascades`` is tried, and the best kept.
    """

    lambda_: float = 0.0
    error_diffusion: float = 0.0
    cascades: tuple[Cascade, ...] = CASCADES[:1]


class Correction(Enum):
    """When latents get the round-trip correction, which takes longer than encoding once."""

    NEVER = "never"
    FOR_A_SIZE = "where a size is to be met, the search for which takes as long anyway"
    ALWAYS = "always"


@dataclass(frozen=True)
class Effort:
    """What one effort spends its time on.

    ``faces`` get finer latents where the rest has coarse ones. With ``closed_loop`` colours are corrected by
    the decoded picture where tints would show. ``round_trip`` says when latents get the round-trip
    correction. With ``descent`` they are optimised by gradient descent.
    """

    rdo: Rdo
    faces: bool = False
    closed_loop: bool = False
    round_trip: Correction = Correction.NEVER
    descent: bool = False


_LAMBDA = 0.05
"""Bits against squared error in steps; measured (training/README.md)."""

_ERROR_DIFFUSION = 0.5
"""Share of its neighbours' error that a latent takes over, likewise."""


def _optimised(cascades: int, round_trip: Correction, descent: bool = False) -> Effort:
    rdo = Rdo(_LAMBDA, _ERROR_DIFFUSION, CASCADES[:cascades])
    return Effort(rdo, faces=True, closed_loop=True, round_trip=round_trip, descent=descent)


EFFORTS: dict[int, Effort] = {
    **dict.fromkeys((1, 2, 3, 4), Effort(Rdo())),
    **dict.fromkeys((5, 6), _optimised(1, Correction.FOR_A_SIZE)),
    7: _optimised(2, Correction.ALWAYS),
    8: _optimised(3, Correction.ALWAYS),
    9: _optimised(4, Correction.ALWAYS, descent=True),
}


@dataclass(frozen=True)
class Plan:
    """The steps for one picture, decided once, from its options; the fields are those of :class:`Effort`."""

    rate: RateTarget
    rdo: Rdo
    faces: bool
    closed_loop: bool
    round_trip: bool
    descent: bool

    @classmethod
    def of(cls, options: EncodeOptions, width: int, height: int) -> Plan:
        """For a picture that is shown with ``width`` x ``height`` pixels.

        The palette coding has one way only: of its plan nothing counts.
        """
        effort, rate = EFFORTS[options.effort], RateTarget.of(options, width, height)
        corrected = {Correction.NEVER: False, Correction.FOR_A_SIZE: rate.size is not None}
        return cls(
            rate,
            effort.rdo,
            faces=effort.faces and options.protect == "faces",
            closed_loop=effort.closed_loop,
            round_trip=corrected.get(effort.round_trip, True),
            descent=effort.descent,
        )
