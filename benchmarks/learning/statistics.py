# SPDX-License-Identifier: Apache-2.0
"""Interquartile mean and its bootstrap interval (Agarwal et al. 2021, section 4)."""

import numpy as np

RESAMPLES = 5000


def interquartile_mean(scores: np.ndarray) -> np.ndarray:
    """Return the mean (...) of `scores` (n, ...) without the lowest and the highest quarter."""
    cut = len(scores) // 4
    return np.sort(scores, axis=0)[cut:len(scores) - cut].mean(0)


def interval(scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the 95 % percentile bootstrap interval (...) of that mean, resampling runs (n,)."""
    rng = np.random.default_rng(0)
    drawn = rng.integers(len(scores), size=(len(scores), RESAMPLES))
    low, high = np.quantile(interquartile_mean(scores[drawn]), (0.025, 0.975), axis=0)
    return low, high
