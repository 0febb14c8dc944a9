"""Two methods on the same prompts: the difference of their rates, whether it is proven, and what would prove it.

Prompts of one family are never taken as independent. It knows two answers a prompt, one of each method: several samples
of one prompt belong into one family.
"""

import math
from collections import defaultdict
from collections.abc import Sequence
from functools import lru_cache
from statistics import NormalDist
from typing import Any, Literal

import numpy as np

from goodvibe_bench.metric.student import quantile
from goodvibe_bench.types import Noun


class PairedDifference(Noun):
    """After minus before, on the same prompts."""

    value: float
    """A share in [-1, 1]; negative = fewer secure after."""
    low: float
    high: float
    n: int
    """Prompts."""
    families: int
    gained: int
    """Prompts not secure before and secure after."""
    lost: int
    design_effect: float
    """How many times the variance is that of as many independent prompts; 1 where every family has one prompt."""
    p_mcnemar: float
    """Exact McNemar; it takes prompts as independent, so it is too small where families have several."""
    p_families: float
    """Exact sign-flip test over families, two-sided; McNemar's where every family has one prompt."""
    method: str
    confidence: float


class OverSeeds(Noun):
    """What training anew would give on the same prompts, from the seeds that were trained."""

    differences: tuple[float, ...]
    """Of each seed."""
    value: float
    low: float
    high: float
    confidence: float


def over_seeds(differences: Sequence[float], confidence: float = 0.95) -> OverSeeds | None:
    """Return the mean of each seed's difference with Student's t interval; None for fewer than two seeds.

    `paired_difference` takes the trained models as given and asks about other prompts; this takes the prompts as given
    and asks about other seeds. It takes seeds as independent and about normal.
    """
    if len(differences) < 2:
        return None
    found = np.array(differences)
    value = float(found.mean())
    error = float(found.std(ddof=1)) / math.sqrt(len(found)) * quantile(len(found) - 1, (1 + confidence) / 2)
    low, high = max(-1.0, value - error), min(1.0, value + error)
    return OverSeeds(differences=tuple(differences), value=value, low=low, high=high, confidence=confidence)


def paired_difference(pairs: Sequence[tuple[str, bool, bool]], confidence: float = 0.95) -> PairedDifference:
    """Return the difference over (family, before, after), one tuple a prompt, in any order.

    One prompt a family: the score interval of Tango 1998. Else the same with all counts divided by the design effect
    (Rao & Scott 1992; at least 1; without any change, where it cannot be seen, the largest it can be) and Student's t
    with as many degrees of freedom as equal families would have, less one (Kish: n^2 / sum of squared sizes). Simulated
    coverage at 95% was 94 to 100% from 10 to 120 families of up to 4 prompts, with correlation up to 0.4; a cluster-
    robust t interval without the score's care fell to 71%. One family of several prompts says nothing: [-1, 1].
    p-values: McNemar 1947, exact; and every family's net change with its sign flipped in all ways, exact.
    Raises ValueError for no pairs.
    """
    from statsmodels.stats.contingency_tables import mcnemar

    if not pairs:
        raise ValueError("a difference of nothing")
    if not 0 < confidence < 1:
        raise ValueError(f"a confidence of {confidence} is none")
    changes: dict[str, list[int]] = defaultdict(list)
    for family, before, after in pairs:
        changes[family].append(int(after) - int(before))
    n, gained = len(pairs), sum(bool(after) > bool(before) for _, before, after in pairs)
    lost = sum(bool(after) < bool(before) for _, before, after in pairs)
    grouped = sorted((sum(found), len(found)) for found in changes.values())  # the order of pairs must not count
    net, sizes = np.array([total for total, _ in grouped]), np.array([size for _, size in grouped])
    low, high, effect = _interval(net, sizes, gained, lost, confidence)
    value = (gained - lost) / n
    exact: Any = mcnemar([[0, gained], [lost, 0]], exact=True)
    return PairedDifference(
        value=value,
        low=min(float(low), value),
        high=max(float(high), value),
        n=n,
        families=len(changes),
        gained=gained,
        lost=lost,
        design_effect=float(effect),
        p_mcnemar=min(float(exact.pvalue), 1.0),
        p_families=sign_flip(net),
        method="tango" if len(changes) == n else "tango, design effect",
        confidence=confidence,
    )


def holm(p_values: dict[str, float]) -> dict[str, float]:
    """Return the p-values adjusted for how many there are (Holm 1979), under the same names and in the same order.

    By hand: statsmodels takes a second to import and collects garbage at every call. A test holds the two together.
    Raises ValueError for none, and for what is no probability.
    """
    if not p_values:
        raise ValueError("no p-values")
    if not all(0 <= p <= 1 for p in p_values.values()):
        raise ValueError(f"not all are probabilities: {p_values}")
    adjusted, highest = dict(p_values), 0.0
    for place, (name, p) in enumerate(sorted(p_values.items(), key=lambda one: one[1])):
        highest = max(highest, min((len(p_values) - place) * p, 1.0))
        adjusted[name] = highest
    return adjusted


def non_inferior(difference: PairedDifference, margin: float) -> Literal["kept", "dropped", "inconclusive"]:
    """Return whether the rate fell by more than `margin`, a share of 0 or more that one is ready to lose.

    "dropped": the whole interval is below -margin, so a fall of more than the margin is proven. "kept": the whole
    interval is above -margin, so such a fall is ruled out; a smaller one is not, and may even be proven. Else, and
    where the end is -margin itself, "inconclusive". Each of the two errors has a chance of about (1 - confidence) / 2
    at most. With a margin of 0, "kept" means a proven gain, and no change at all mostly stays inconclusive, however
    many prompts there are.
    Raises ValueError for a margin outside [0, 1).
    """
    if not 0 <= margin < 1:
        raise ValueError(f"a margin of {margin} is no share of 0 or more")
    if difference.high < -margin:
        return "dropped"
    return "kept" if difference.low > -margin else "inconclusive"


def prompts_needed(difference: PairedDifference, margin: float, power: float = 0.8) -> int | None:
    """Return how many prompts in all would make an inconclusive answer conclusive, were `difference` the true one.

    Delta method: n = design effect * (z_confidence + z_power)^2 * variance / (value + margin)^2, the variance of one
    prompt's change from the share that changed (with one change and two prompts added, so never 0: Agresti & Min 2005).
    More prompts means more families of the same sizes, not larger ones. `power` is the chance to come out conclusive.
    Returns `n` where the answer is conclusive already; None where the value is -margin, which no number settles. A
    guess: the difference that it starts from has an interval of its own.
    Raises ValueError for a margin outside [0, 1) or a power outside [0.5, 1).
    """
    if not 0.5 <= power < 1:
        raise ValueError(f"a power of {power} is not in [0.5, 1)")
    if non_inferior(difference, margin) != "inconclusive":
        return difference.n
    distance = abs(difference.value + margin)
    if distance < 1e-9:
        return None
    changed = (difference.gained + difference.lost + 1) / (difference.n + 2)
    variance = max(changed - difference.value**2, 0.0)
    reach = NormalDist().inv_cdf((1 + difference.confidence) / 2) + NormalDist().inv_cdf(power)
    return max(difference.n + 1, math.ceil(difference.design_effect * variance * (reach / distance) ** 2))


def _interval(net: Any, sizes: Any, gained: Any, lost: Any, confidence: float) -> tuple[Any, Any, Any]:
    """Return low, high and design effect from net changes (..., families) and sizes (families), counts (...)."""
    n, families = sizes.sum(), len(sizes)
    if families == n:
        return *_tango(gained, lost, n, NormalDist().inv_cdf((1 + confidence) / 2)), np.float64(1)
    largest = (sizes**2).sum() / n
    if families == 1:
        return np.float64(-1), np.float64(1), largest
    value = np.asarray(gained - lost) / n
    between = families / (families - 1) * ((net - value[..., None] * sizes) ** 2).sum(-1)
    alone = n / (n - 1) * (gained + lost - n * value**2)
    ratio = np.maximum(between / np.where(alone > 0, alone, 1), 1.0)
    effect = np.where(alone > 0, ratio, largest)
    critical = quantile(float(n / largest) - 1, (1 + confidence) / 2)
    return *_tango(gained / effect, lost / effect, n / effect, critical), effect


def _tango(gained: Any, lost: Any, n: Any, critical: float) -> tuple[Any, Any]:
    """Return the two differences whose score statistic (Tango 1998) is +-critical; counts may be fractions."""
    value = np.asarray((gained - lost) / n, dtype=float)
    ends = np.ones_like(value)
    return _root(gained, lost, n, critical, -ends, value), _root(gained, lost, n, -critical, value, ends)


def _root(gained: Any, lost: Any, n: Any, target: float, low: Any, high: Any) -> Any:
    for _ in range(50):  # halving [-1, 1] fifty times leaves 2e-15
        middle = (low + high) / 2
        above = _score(gained, lost, n, middle) > target  # the score falls as the difference grows
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    return (low + high) / 2


def _score(gained: Any, lost: Any, n: Any, difference: Any) -> Any:
    linear = (2 * n - gained + lost) * difference - gained - lost
    root = np.sqrt(np.maximum(linear**2 + 8 * n * lost * difference * (1 - difference), 0))
    variance = n * ((root - linear) / (2 * n) + difference * (1 - difference))
    return (gained - lost - n * difference) / np.sqrt(np.maximum(variance, 1e-300))


def sign_flip_bounds(sums: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return two numbers that `sign_flip` lies between, without its convolutions, for each of `sums` [..., families].

    Of a sum that is t of its standard deviations from 0 it is at most 2 exp(-t^2 / 2) (Hoeffding 1963), and where
    t <= 1 at least 3/16 (Dvorak & Klein 2021, arXiv 2104.10005).
    """
    total, square = sums.sum(axis=-1), (sums * sums).sum(axis=-1)
    near = total * total <= square
    high = np.minimum(1.0, 2 * np.exp(-(total * total) / np.maximum(2 * square, 1)))
    return np.where(near, 3 / 16, 0.0), np.where(near, 1.0, high)


def sign_flip(sums: np.ndarray) -> float:
    """Return the exact two-sided p of families' net changes: how often their sum, each with its sign flipped at will,
    is as far from 0 as it is.
    """
    counts = np.bincount(np.abs(sums))
    total = int(counts @ np.arange(len(counts)))
    chance = np.ones(1)  # of the sum over the families whose sign is minus
    for size, count in enumerate(counts.tolist()):
        if size and count:
            spread = np.zeros(size * count + 1)
            spread[::size] = _halves(count)
            chance = np.convolve(chance, spread)
    far = np.abs(total - 2 * np.arange(total + 1)) >= abs(int(sums.sum()))
    return min(float(chance[far].sum()), 1.0)


@lru_cache(maxsize=1024)
def _halves(count: int) -> np.ndarray:
    """Return the chances of 0 to `count` heads in as many throws of a coin."""
    return np.array([math.comb(count, heads) / 2**count for heads in range(count + 1)])
