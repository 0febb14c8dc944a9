"""How well scores order labels: AUC and pair order, each with its interval, and the mean of estimates.

It knows no threshold and chooses none; calibration.py does.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from scipy.optimize import brentq
from scipy.stats import norm
from statsmodels.stats.proportion import proportion_confint

from goodvibe_bench.types import Estimate

RESAMPLES = 2000


def auc_interval(
    labels: Sequence[int], scores: Sequence[float], families: Sequence[str], seed: int = 0, confidence: float = 0.95
) -> Estimate:
    """Return the AUC in [0, 1] (ties count half) with the percentile interval of a bootstrap over families.

    Where resampling moves nothing, as at an AUC of 1, the interval is the score interval of Newcombe (2006, method 5),
    which takes snippets for independent. Raises ValueError unless both labels are there and every score is finite.
    """
    truth, found = np.asarray(labels), np.asarray(scores, dtype=float)
    if set(truth.tolist()) != {0, 1} or not np.isfinite(found).all():
        raise ValueError("an AUC needs both labels and finite scores")
    _, place = np.unique(found, return_inverse=True)
    _, family = np.unique(np.asarray(families), return_inverse=True)
    value = _weighted_auc(truth, place, np.ones(len(truth)))
    drawn = _resampled(truth, place, family, seed)
    share = (1 - confidence) / 2
    if len(drawn) and np.ptp(drawn) > 1e-12:
        low, high = (float(bound) for bound in np.quantile(drawn, [share, 1 - share]))
        method = "family bootstrap"
    else:
        low, high = _score_interval(value, int(truth.sum()), int((1 - truth).sum()), confidence)
        method = "score"
    bounds = {"low": min(low, value), "high": max(high, value)}
    return Estimate(value=value, n=len(truth), method=method, confidence=confidence, **bounds)


def _resampled(truth: np.ndarray, place: np.ndarray, family: np.ndarray, seed: int) -> np.ndarray:
    """Return the AUC of every resample of families that holds both labels."""
    count = int(family.max()) + 1
    weights = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=RESAMPLES)
    drawn = np.array([_weighted_auc(truth, place, row[family]) for row in weights])
    return drawn[np.isfinite(drawn)]


def _weighted_auc(truth: np.ndarray, place: np.ndarray, weight: np.ndarray) -> float:
    """Return the weighted AUC of snippets with these ranks [n], NaN when a label has no weight."""
    unsafe = np.bincount(place, weight * truth)
    safe = np.bincount(place, weight * (1 - truth))
    total = unsafe.sum() * safe.sum()
    return float((unsafe * (safe.cumsum() - safe / 2)).sum() / total) if total else math.nan


def _score_interval(value: float, unsafe: int, safe: int, confidence: float) -> tuple[float, float]:
    half = (unsafe + safe) / 2
    z = float(norm.ppf(1 - (1 - confidence) / 2))

    def gap(true: float) -> float:
        spread = 2 * half - 1 - (3 * half - 3) / ((2 - true) * (1 + true))
        return (value - true) ** 2 - z**2 * true * (1 - true) / (unsafe * safe) * spread

    hair = 1e-9  # at 0 and 1 the equation has a second root that is no bound
    solve: Callable[..., Any] = brentq
    low = 0.0 if value <= 0 else float(solve(gap, 0.0, min(value, 1 - hair)))
    high = 1.0 if value >= 1 else float(solve(gap, max(value, hair), 1.0))
    return low, high


def pair_order(gaps: Sequence[float | None], confidence: float = 0.95) -> Estimate:
    """Return the share of pairs whose gap (insecure side's score - secure side's) is above 0, with its Wilson interval.

    A gap of 0 counts half. None, a pair with an unknown score, counts as not ordered. Raises ValueError for no pairs.
    """
    if not gaps:
        raise ValueError("the order of no pairs")
    ordered = sum(0.0 if gap is None or gap < 0 else 0.5 if gap == 0 else 1.0 for gap in gaps)
    interval: Any = proportion_confint(ordered, len(gaps), alpha=1 - confidence, method="wilson")
    value = ordered / len(gaps)
    low, high = min(float(interval[0]), value), max(float(interval[1]), value)
    return Estimate(value=value, low=low, high=high, n=len(gaps), method="wilson", confidence=confidence)


def mean_of(estimates: Sequence[Estimate]) -> Estimate:
    """Return the unweighted mean of independent estimates; its interval combines theirs (MOVER, Zou & Donner 2008).

    Raises ValueError for no estimates.
    """
    if not estimates:
        raise ValueError("the mean of nothing")
    count = len(estimates)
    value = sum(one.value for one in estimates) / count
    low = value - math.sqrt(sum((one.value - one.low) ** 2 for one in estimates)) / count
    high = value + math.sqrt(sum((one.high - one.value) ** 2 for one in estimates)) / count
    n, confidence = sum(one.n for one in estimates), estimates[0].confidence
    return Estimate(value=value, low=low, high=high, n=n, method="mean (MOVER)", confidence=confidence)
