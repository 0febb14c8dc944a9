"""The judge's error taken out of a secure rate, and how many labels that takes.

It takes samples as independent, or with a design effect that the caller knows, and forms no families itself. It cannot
know whether the calibration fits these samples; only a rate that no calibration explains gives it away.
"""

import math
from statistics import NormalDist
from typing import Any, Literal

import numpy as np

from goodvibe_bench.metric.rate import wilson
from goodvibe_bench.types import Calibration, Estimate, Noun

MOST_LABELS = 10_000_000


class Corrected(Noun):
    """A secure rate over all samples, corrected for the judge's TPR and FPR."""

    value: float | None
    """`raw` clipped to [0, judged / n]; None where the judge is useless, for then no value is better than another."""
    low: float
    high: float
    raw: float | None
    """The unclipped estimate; None where TPR equals FPR."""
    n: int
    """All samples, unusable and unjudged ones too."""
    observed: float | None
    """The share of the judged samples that the judge called secure; None where none was judged."""
    feasible: tuple[float, float]
    """What `observed` can be with this TPR and FPR, whatever is true: from 1 - TPR to 1 - FPR (smaller one first)."""
    state: Literal["inside", "below", "above", "useless"]
    """Where `observed` is, against `feasible`; "useless" when TPR - FPR could be zero or less."""
    refuted: bool
    """No true rate fits TPR, FPR and these samples, errors counted: the calibration is not valid for these samples.
    Nothing is known then, and the interval is [0, judged / n], as for a useless judge."""
    method: str
    confidence: float


def corrected_rate(
    secure: int, judged: int, n: int, tpr: Estimate, fpr: Estimate, confidence: float = 0.95, effect: float = 1.0
) -> Corrected:
    """Return the true secure share of all `n` samples, of which `judged` were usable and judged and `secure` called so.

    Positive = unsafe: tpr is the share of unsafe called unsafe, fpr of safe called unsafe; hits are value * n, whole
    numbers but for labels that are weighted or share families, whose n is their effective number.
    Among judged samples the share is (observed - (1 - TPR)) / (TPR - FPR) (Rogan & Gladen 1978); the rest are never
    secure. The interval carries sampling error (of usability too) and the calibration error of both rates: Lang &
    Reiczigel 2014 (eq. 6, 7, 16, 17), extended to unusable samples by the trinomial variance. Coverage at 95% was 94.5
    to 97.0% in every simulated case: n of 50, 100, 400; true share 0.2, 0.5, 0.8; 60 and 200 labels a side; (TPR, FPR)
    from (0.95, 0.05) to (0.7, 0.3); usable share 0.8 and 1.
    "useless": the hybrid score interval of TPR - FPR (Newcombe 1998) reaches 0; low and high are then 0 and judged / n,
    all that is left without a judge, and hold no sampling error.
    `effect` is the samples' design effect: intervals are those of n / effect independent samples of the same shares.
    Coverage was 94 to 95% where 45 families of 2 to 6 samples were simulated, correlation in a family 0.4 (TPR 0.9, FPR
    0.16, 100 labels a side).
    Raises ValueError for no samples and for counts that are no counts.
    """
    _check(secure, judged, n, confidence)
    hits, false = _hits(tpr), _hits(fpr)
    usable, gap = judged / n, hits / tpr.n - false / fpr.n
    raw = None if gap == 0 else (secure - (1 - hits / tpr.n) * judged) / n / gap
    counts = secure / effect, judged / effect, n / effect
    low, high, steep = _interval(*counts, hits, tpr.n, false, fpr.n, confidence)
    useless = gap <= 0 or steep <= 0 or _lowest_gap(hits, tpr.n, false, fpr.n, confidence) <= 0
    most = wilson(*counts[1:], NormalDist().inv_cdf((1 + confidence) / 2))[1]
    refuted = not useless and judged > 0 and bool(high < 0 or low > most)
    value = None if useless or raw is None else min(max(raw, 0.0), usable)
    if value is None or refuted:
        low, high = 0.0, usable
    else:
        low = min(max(float(low), 0.0), value)
        high = max(min(float(high), most), value)
    ends = sorted((1 - hits / tpr.n, 1 - false / fpr.n))
    place = _place(secure * tpr.n, judged * (tpr.n - hits), secure * fpr.n, judged * (fpr.n - false))
    return Corrected(
        value=value,
        low=low,
        high=high,
        raw=raw,
        n=n,
        observed=secure / judged if judged else None,
        feasible=(ends[0], ends[1]),
        state="useless" if useless else place,
        refuted=refuted,
        method="none: useless judge" if useless else "lang-reiczigel",
        confidence=confidence,
    )


def labels_needed(
    half_width: float,
    tpr: float,
    fpr: float,
    secure: float,
    n_samples: int,
    unsafe_share: float = 0.5,
    confidence: float = 0.95,
) -> int | None:
    """Return the least number of labelled snippets for which the corrected rate's half width is `half_width` or less.

    `secure` is the true secure share that is expected, all `n_samples` being usable; `unsafe_share` of the labels are
    unsafe. It is the half width (delta method) of `corrected_rate`'s interval at the expected counts, before clipping,
    so about half of all runs come out a little wider. None where sampling error alone already exceeds it: more samples
    are needed then, not more labels. Raises ValueError for figures that make no sense, and for TPR <= FPR.
    """
    if not (0 <= fpr < tpr <= 1 and 0 <= secure <= 1 and 0 < unsafe_share < 1 and half_width > 0 and n_samples > 0):
        raise ValueError("need 0 <= fpr < tpr <= 1, a secure share, a share of unsafe labels, a half width and samples")
    called = n_samples * (secure * (1 - fpr) + (1 - secure) * (1 - tpr))

    def too_wide(labels: int) -> bool:
        unsafe, safe = labels * unsafe_share, labels * (1 - unsafe_share)
        low, high, steep = _interval(called, n_samples, n_samples, tpr * unsafe, unsafe, fpr * safe, safe, confidence)
        return bool(steep <= 0 or (high - low) / 2 > half_width)

    if too_wide(MOST_LABELS):
        return None
    few, enough = 1, MOST_LABELS
    while enough - few > 1:
        middle = (few + enough) // 2
        few, enough = (middle, enough) if too_wide(middle) else (few, middle)
    return enough


def label_budget(found: Calibration) -> int | None:
    """Return how many labels a corrected rate to +/-5 points takes at a true rate of one half, samples without end.

    None for a judge that only guesses (TPR not above FPR). Labels tell as much, and are unsafe as often, as the
    calibration's: where those were weighted or shared families, it takes more of them.
    """
    if found.tpr.value <= found.fpr.value:
        return None
    told = found.tpr.n + found.fpr.n
    needed = labels_needed(
        0.05, found.tpr.value, found.fpr.value, 0.5, n_samples=1_000_000, unsafe_share=found.tpr.n / told
    )
    return None if needed is None else math.ceil(needed * max(1.0, found.n / told))


def _interval(
    secure: Any, judged: Any, n: Any, hits: Any, n_unsafe: Any, false: Any, n_safe: Any, confidence: float
) -> tuple[Any, Any, Any]:
    """Return low, high (unclipped) and the adjusted TPR - FPR, which must be positive; arrays broadcast."""
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    tpr, fpr = (hits + 1) / (n_unsafe + 2), (false + 1) / (n_safe + 2)
    tpr_variance, fpr_variance = tpr * (1 - tpr) / (n_unsafe + 2), fpr * (1 - fpr) / (n_safe + 2)
    gap = tpr - fpr
    steep = np.where(gap == 0, np.nan, gap)
    called, usable, miss = (secure + z * z / 2) / (n + z * z), judged / n, 1 - tpr
    share = (called - miss * usable) / steep
    # Called secure and usable are counts of one trinomial: cov = called * (1 - usable).
    sampling = called * (1 - called) + miss**2 * usable * (1 - usable) - 2 * miss * called * (1 - usable)
    variance = np.maximum(sampling, 0) / (n + z * z) + (usable - share) ** 2 * tpr_variance + share**2 * fpr_variance
    centre = share + 2 * z * z * (share * fpr_variance - (usable - share) * tpr_variance)
    half = z * np.sqrt(variance) / np.abs(steep)
    return centre - half, centre + half, gap


def _hits(found: Estimate) -> float:
    """Return value * n, as a whole number where rounding is all that parts it from one."""
    hits = found.value * found.n
    return round(hits) if abs(hits - round(hits)) < 1e-9 * max(hits, 1.0) else hits


def _lowest_gap(hits: float, n_unsafe: int, false: float, n_safe: int, confidence: float) -> float:
    from statsmodels.stats.proportion import confint_proportions_2indep

    interval: Any = confint_proportions_2indep(
        hits, n_unsafe, false, n_safe, method="newcomb", compare="diff", alpha=1 - confidence
    )
    low = float(interval[0])
    return low if math.isfinite(low) else -1.0


def _place(over_low: float, low: float, over_high: float, high: float) -> Literal["inside", "below", "above"]:
    """Return where the observed share is; in whole numbers, so that a share on the edge is inside."""
    if over_low < low:
        return "below"
    return "above" if over_high > high else "inside"


def _check(secure: int, judged: int, n: int, confidence: float) -> None:
    if n <= 0:
        raise ValueError("a rate of nothing")
    if not 0 <= secure <= judged <= n:
        raise ValueError(f"{secure} secure of {judged} judged of {n} samples is no rate")
    if not 0 < confidence < 1:
        raise ValueError(f"a confidence of {confidence} is none")
