# SPDX-License-Identifier: Apache-2.0
"""Statistics of reports: intervals of rates and of interquartile means, quantiles."""

import math

import numpy as np

RESAMPLES = 5000  # of a bootstrap
NORMAL_95 = 1.959963984540054  # two-sided 95 % quantile of the standard normal distribution


def wilson_interval(successes: int, episodes: int) -> tuple[float, float]:
    """Return the 95 % interval of a success rate (Wilson 1927), (0, 1) for no episodes."""
    if episodes == 0:
        return 0.0, 1.0
    z2 = NORMAL_95**2
    rate = successes / episodes
    centre = (rate + z2 / (2 * episodes)) / (1 + z2 / episodes)
    half = NORMAL_95 / (1 + z2 / episodes) * math.sqrt(
        rate * (1 - rate) / episodes + z2 / (4 * episodes**2))
    return max(0.0, centre - half), min(1.0, centre + half)


def student_95(freedom: int) -> float:
    """
    Return the two-sided 95 % quantile of Student's t, for 3 degrees of freedom or more.

    Abramowitz & Stegun 1964, equation 26.7.5, three terms: within 2 % of it.
    """
    z = NORMAL_95
    return z + (z**3 + z) / (4 * freedom) + (
        5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2) + (
        3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * freedom**3)


def quantile(values: list[float], share: float) -> float:
    """Return the smallest value that at least `share` of `values` do not exceed, NaN for none."""
    if not values:
        return math.nan
    # 0.07 * 100 is more than 7 in floating point.
    return sorted(values)[max(0, math.ceil(share * len(values) - 1e-9) - 1)]


def interquartile_mean(scores: np.ndarray) -> np.ndarray:
    """
    Return the mean (...) of `scores` (n, ...) without the lowest and the highest quarter.

    Agarwal et al. 2021, "Deep reinforcement learning at the edge of the statistical precipice",
    section 4.
    """
    cut = len(scores) // 4
    return np.sort(scores, axis=0)[cut:len(scores) - cut].mean(0)


def bootstrap_interval(scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the 95 % percentile bootstrap interval (...) of that mean, resampling runs (n,)."""
    rng = np.random.default_rng(0)
    drawn = rng.integers(len(scores), size=(len(scores), RESAMPLES))
    low, high = np.quantile(interquartile_mean(scores[drawn]), (0.025, 0.975), axis=0)
    return low, high
