"""Quantiles of Student's t, by hand: scipy.special takes an eighth of a second to import, before every leaderboard.

A test holds it and scipy together.
"""

import math
from functools import lru_cache


@lru_cache(maxsize=1024)
def quantile(freedom: float, p: float) -> float:
    """Return what Student's t with `freedom` degrees of freedom (any number above 0) stays below with chance `p`.

    P(|t| > T) = I(x; freedom / 2, 1 / 2) with x = freedom / (freedom + T^2), I being the regularised incomplete beta
    function; x is found by halving. A quantile beyond some 1e130 is given as that. Raises ValueError unless freedom > 0
    and 0.5 <= p < 1.
    """
    if not (freedom > 0 and 0.5 <= p < 1):
        raise ValueError(f"no quantile of Student's t: {freedom} degrees of freedom, p = {p}")
    low, high = -600.0, 0.0  # of log x
    while (middle := (low + high) / 2) not in {low, high}:
        low, high = (middle, high) if _beta(middle, freedom / 2) < 2 * (1 - p) else (low, middle)
    return math.sqrt(freedom * -math.expm1(low) * math.exp(-low))


def _beta(log_x: float, a: float) -> float:
    """Return I(x; a, 1/2), from the continued fraction of whichever tail it converges fast for."""
    x, rest, b = math.exp(log_x), -math.expm1(log_x), 0.5
    if rest == 0:
        return 1.0
    scale = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * log_x + b * math.log(rest))
    if x < (a + 1) / (a + b + 2):
        return scale * _fraction(x, a, b) / a
    return 1 - scale * _fraction(rest, b, a) / b


def _fraction(x: float, a: float, b: float) -> float:
    """Return the continued fraction of the incomplete beta function (DLMF 8.17.22), by Lentz's method."""
    tiny = 1e-300
    c, d = 1.0, 1 / (1 - (a + b) * x / (a + 1) or tiny)
    found = d
    for m in range(1, 500):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for term in (even, odd):
            d, c = 1 / (1 + term * d or tiny), 1 + term / c or tiny
            found *= c * d
        if abs(c * d - 1) < 1e-15:
            break
    return found
