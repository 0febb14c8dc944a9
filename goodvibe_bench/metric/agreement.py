"""How far two judges agree on the same samples. It does not say which of the two is right."""

from collections import Counter
from collections.abc import Sequence
from statistics import NormalDist
from typing import Any

from goodvibe_bench.metric.rate import rate
from goodvibe_bench.types import Estimate, Noun


class Agreement(Noun):
    """Two judges' labels side by side; 1 = unsafe."""

    kappa: Estimate | None
    """Cohen's kappa, in [-1, 1]; None where a judge gave one label only, for then kappa says nothing."""
    disagreement: Estimate
    """Share of the samples that both labelled on which their labels differ."""
    n: int
    """Samples that both labelled."""
    unlabelled: int
    """Samples that at least one of them left without a label; they are in no other figure here."""


def agreement(a: Sequence[int | None], b: Sequence[int | None], confidence: float = 0.95) -> Agreement:
    """Return kappa (Cohen 1960) and the share of disagreement (Wilson) of two judges; a[i] and b[i] are one sample.

    Kappa's interval is asymptotic (Fleiss, Cohen & Everitt 1969): rough under some 50 samples. Where its variance is
    zero, as in full agreement, the ends are those of the disagreement put into kappa = 1 - disagreement / expected.
    Raises ValueError for unequal lengths, labels other than 0, 1 and None, and no sample that both labelled.
    """
    if len(a) != len(b):
        raise ValueError(f"{len(a)} labels against {len(b)}: not the same samples")
    if not {*a, *b} <= {0, 1, None}:
        raise ValueError("labels are 0, 1 or None")
    counts = Counter((x, y) for x, y in zip(a, b, strict=True) if x is not None and y is not None)
    n = counts.total()
    if n == 0:
        raise ValueError("no sample that both labelled")
    table = [[counts[0, 0], counts[0, 1]], [counts[1, 0], counts[1, 1]]]
    differ = rate(table[0][1] + table[1][0], n, confidence)
    return Agreement(kappa=_kappa(table, differ, confidence), disagreement=differ, n=n, unlabelled=len(a) - n)


def _kappa(table: list[list[int]], differ: Estimate, confidence: float) -> Estimate | None:
    if 0 in (*map(sum, table), *map(sum, zip(*table, strict=True))):
        return None
    from statsmodels.stats.inter_rater import cohens_kappa

    found: Any = cohens_kappa(table)
    value = min(max(float(found.kappa), -1.0), 1.0)
    if found.var_kappa > 1e-12:
        half = NormalDist().inv_cdf((1 + confidence) / 2) * float(found.var_kappa) ** 0.5
        low, high, method = value - half, value + half, "asymptotic"
    else:
        expected = differ.value / (1 - value) if value < 1 else 2 * sum(table[0]) * sum(table[1]) / differ.n**2
        low, high, method = 1 - differ.high / expected, 1 - differ.low / expected, "wilson of disagreement"
    return Estimate(
        value=value,
        low=min(max(low, -1.0), value),
        high=max(min(high, 1.0), value),
        n=differ.n,
        method=method,
        confidence=confidence,
    )
