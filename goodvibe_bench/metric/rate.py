"""Rates with intervals. A rate of nothing is an error, never zero."""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from statistics import NormalDist

from goodvibe_bench.metric.student import quantile
from goodvibe_bench.types import Estimate


def rate(hits: int, n: int, confidence: float = 0.95) -> Estimate:
    """Return hits / n with its Wilson interval, all in [0, 1]. Raises ValueError when n is 0."""
    if n <= 0:
        raise ValueError("a rate of nothing")
    if not 0 <= hits <= n:
        raise ValueError(f"{hits} of {n} is no rate")
    low, high = wilson(hits, n, NormalDist().inv_cdf((1 + confidence) / 2))
    return Estimate(value=hits / n, low=low, high=high, n=n, method="wilson", confidence=confidence)


def rate_of(flags: Sequence[bool], confidence: float = 0.95) -> Estimate:
    """Return the share of true flags with its interval."""
    return rate(sum(flags), len(flags), confidence)


def clustered_rate(flags: Iterable[tuple[str, bool]], confidence: float = 0.95) -> Estimate:
    """Return the share of true flags, each with its family; the samples of one family are not independent.

    Wilson where every family has one sample. Else Wilson with both counts divided by the design effect (Rao & Scott
    1992) and Student's t with as many degrees of freedom as equal families would have, less one (Kish). Simulated
    coverage at 95% was 92 to 96% for 15 to 120 families of 3 to 9 samples, correlation within a family 0.2 to 0.67 and
    true shares from 0.03 to 0.9. One family of several samples says nothing: [0, 1]. Raises ValueError for no flags.
    """
    return _clustered(*_families(flags), confidence)


def counted_rate(families: Iterable[tuple[int, int]], confidence: float = 0.95) -> Estimate:
    """Return what `clustered_rate` does, from the true flags and the size of every family, in any order."""
    pairs = sorted(families)
    return _clustered([hits for hits, _ in pairs], [size for _, size in pairs], confidence)


def _clustered(hits: Sequence[int], sizes: Sequence[int], confidence: float) -> Estimate:
    n, total = sum(sizes), sum(hits)
    if n == 0:
        raise ValueError("a rate of nothing")
    if len(sizes) == n:
        return rate(total, n, confidence)
    low, high = 0.0, 1.0
    if len(sizes) > 1:
        effect, largest = _effect(hits, sizes), sum(size**2 for size in sizes) / n
        critical = quantile(n / largest - 1, (1 + confidence) / 2)
        low, high = wilson(total / effect, n / effect, critical)
    return Estimate(value=total / n, low=low, high=high, n=n, method="wilson, design effect", confidence=confidence)


def design_effect(families: Iterable[tuple[int, int]]) -> float:
    """Return how many times the variance of the share of true flags is that of as many independent ones, 1 or more.

    `families` are the true flags and the size of each, in any order. Where all flags are equal it cannot be seen, and
    is the largest it can be: as if a family's flags never differed.
    """
    pairs = sorted(families)
    return _effect([hits for hits, _ in pairs], [size for _, size in pairs])


def _families(flags: Iterable[tuple[str, bool]]) -> tuple[list[int], list[int]]:
    """Return the true flags and the size of every family, sorted: the order of flags must not count."""
    found: dict[str, list[bool]] = defaultdict(list)
    for family, flag in flags:
        found[family].append(flag)
    if not found:
        raise ValueError("a rate of nothing")
    pairs = sorted((sum(one), len(one)) for one in found.values())
    return [hits for hits, _ in pairs], [size for _, size in pairs]


def _effect(hits: Sequence[int], sizes: Sequence[int]) -> float:
    n, families = sum(sizes), len(sizes)
    if families == n:
        return 1.0
    value, largest = sum(hits) / n, sum(size**2 for size in sizes) / n
    alone = n * n / (n - 1) * value * (1 - value)
    whole = sum((one - value * size) ** 2 for one, size in zip(hits, sizes, strict=True))
    return variance_ratio(whole, families, alone, largest)


def variance_ratio(whole: float, families: int, alone: float, largest: float) -> float:
    """Return a design effect, 1 or more: a share's variance with families as draws over that with single samples.

    `whole` is the sum over families of their squared distances from the share (weights may be in them), `alone` the
    variance with single samples. `largest` is returned where it cannot be seen: one family, or no variance.
    """
    if families == 1 or alone <= 0:
        return largest
    return max(1.0, families / (families - 1) * whole / alone)


def wilson(hits: float, n: float, critical: float) -> tuple[float, float]:
    """Return the ends of Wilson's score interval (1927); counts may be fractions.

    Rounding puts an end of 0 or 1 a hair inside, which is mended.
    """
    value, square = hits / n, critical**2
    centre = (value + square / (2 * n)) / (1 + square / n)
    half = critical / (1 + square / n) * math.sqrt(value * (1 - value) / n + square / (4 * n * n))
    return max(0.0, min(centre - half, value)), min(1.0, max(centre + half, value))
