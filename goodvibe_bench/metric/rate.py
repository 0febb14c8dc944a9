"""Rates with intervals. A rate of nothing is an error, never zero."""

from collections.abc import Sequence
from typing import Any

from statsmodels.stats.proportion import proportion_confint

from goodvibe_bench.types import Estimate


def rate(hits: int, n: int, confidence: float = 0.95) -> Estimate:
    """Return hits / n with its Wilson interval, all in [0, 1]. Raises ValueError when n is 0."""
    if n <= 0:
        raise ValueError("a rate of nothing")
    if not 0 <= hits <= n:
        raise ValueError(f"{hits} of {n} is no rate")
    interval: Any = proportion_confint(hits, n, alpha=1 - confidence, method="wilson")
    low, high = interval
    value = hits / n
    low, high = min(float(low), value), max(float(high), value)  # rounding puts a bound of 0 or 1 a hair inside
    return Estimate(value=value, low=low, high=high, n=n, method="wilson", confidence=confidence)


def rate_of(flags: Sequence[bool], confidence: float = 0.95) -> Estimate:
    """Return the share of true flags with its interval."""
    return rate(sum(flags), len(flags), confidence)
