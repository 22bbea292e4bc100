"""Estimates from a sample, with confidence intervals.

Double sampling with regression (Cochran, *Sampling Techniques*, 3rd edition, chapter 12): cheap auxiliary
variables are known for many pictures, and the expensive variable for some of these. The variance that a
linear regression on the auxiliary variables explains is estimated from the many; only the residual variance
depends on the size of the small sample.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

__all__ = ["CONFIDENCE", "Estimate", "estimate_mean", "student_quantile"]

CONFIDENCE = 0.95
"""The probability that an interval holds the true value."""

_MIN_VALUES = 2
"""The least number of values that have a variance."""

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A value with its confidence interval."""

    value: float
    low: float
    high: float

    @property
    def relative_half_width(self) -> float:
        """Half the width of the confidence interval as a share of the value.

        It is infinite if the value is 0 and the width is not.
        """
        half = (self.high - self.low) / 2
        return half / abs(self.value) if self.value else (float("inf") if half else 0.0)

    def times(self, factor: float) -> Estimate:
        """Returns the estimate of ``factor``, which is not negative, times the quantity."""
        return Estimate(self.value * factor, self.low * factor, self.high * factor)


def estimate_mean(
    values: Values,
    population: int,
    auxiliary: Values | None = None,
    auxiliary_of_many: Values | None = None,
    *,
    lower_bound: float = -np.inf,
) -> Estimate:
    """Returns the mean of a quantity over ``population`` units, of which ``values`` float64[n] were drawn.

    ``auxiliary`` float64[n, k] belongs to the same units. ``auxiliary_of_many`` float64[m, k] belongs to a
    larger sample that contains them. The interval does not reach below ``lower_bound``. With one value it
    has no upper end; without any value the estimate is NaN.
    """
    count = len(values)
    if not count:
        return Estimate(np.nan, lower_bound, np.inf)
    mean, many = float(values.mean()), population
    residuals, parameters = values - mean, 1
    if auxiliary is not None and auxiliary_of_many is not None:
        used = auxiliary.std(axis=0) > 0
        if used.any() and count > 3 * (1 + used.sum()):
            scale = auxiliary[:, used].std(axis=0)
            centre = auxiliary[:, used].mean(axis=0)
            normalised = (auxiliary[:, used] - centre) / scale
            slopes = np.linalg.lstsq(normalised, values - mean, rcond=None)[0]
            residuals = values - mean - normalised @ slopes
            parameters += int(used.sum())
            many = min(len(auxiliary_of_many), population)
            mean += float(((auxiliary_of_many[:, used].mean(axis=0) - centre) / scale) @ slopes)
    if count < _MIN_VALUES:
        if count < population:
            return Estimate(mean, lower_bound, np.inf)
        return Estimate(mean, mean, mean)
    degrees_of_freedom = max(count - parameters, 1)
    explained = float(values.var(ddof=1))
    unexplained = float((residuals**2).sum()) / degrees_of_freedom
    variance = unexplained * max(1 / count - 1 / many, 0.0) + explained * max(1 / many - 1 / population, 0.0)
    half = student_quantile(degrees_of_freedom) * float(np.sqrt(variance))
    return Estimate(*(max(value, lower_bound) for value in (mean, mean - half, mean + half)))


def student_quantile(degrees_of_freedom: int) -> float:
    """Returns the quantile of Student's t for two-sided intervals of :data:`CONFIDENCE`.

    It is an expansion in 1 / ``degrees_of_freedom`` (Abramowitz and Stegun, 26.7.5), accurate to 1 % from 4
    degrees of freedom on.
    """
    z = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
    )
    return z + sum(term / float(degrees_of_freedom) ** power for power, term in enumerate(terms, 1))
