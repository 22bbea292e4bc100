"""The Bjøntegaard delta rate (BD-rate): the mean difference in bytes of two codecs at equal quality."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from importlib import import_module

from calotype.compare.plot import Point
from calotype.errors import ModelError

__all__ = ["METHOD", "bd_rate"]

METHOD = "PCHIP"
"""The interpolation of curves: piecewise cubic and monotone, without overshoot."""


def bd_rate(
    curve: Sequence[Point], anchor: Sequence[Point], *, lower_is_better: bool = False
) -> float | None:
    """Returns the mean difference in rate of ``curve`` against ``anchor``, in per cent: -50 is half the
    bytes.

    Both are points (rate, metric). Returns None if their ranges of quality do not overlap, or if one of them
    has fewer than two points. Raises :class:`ModelError` without the package ``bjontegaard``.
    """
    try:
        compute = import_module("bjontegaard").bd_rate
    except ImportError as error:
        raise ModelError("BD-rates need a package: pip install 'calotype[compare]'") from error
    ours, theirs = (_rising(points, -1 if lower_is_better else 1) for points in (curve, anchor))
    if min(len(ours), len(theirs)) < 2:
        return None
    if max(ours[0][1], theirs[0][1]) >= min(ours[-1][1], theirs[-1][1]):
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # The package warns of a small overlap; the tables show its range.
        value = compute(
            *zip(*theirs, strict=True),
            *zip(*ours, strict=True),
            method=METHOD.lower(),
            require_matching_points=False,
            min_overlap=0,
        )
    return float(value)


def _rising(points: Sequence[Point], sign: int) -> list[Point]:
    """Sorts points by rate, and drops those that are no better than one of a lower rate."""
    rising: list[Point] = []
    for rate, value in sorted(points):
        if not rising or (rate > rising[-1][0] and sign * value > rising[-1][1]):
            rising.append((rate, sign * value))
    return rising
