"""How well a judge's probabilities fit labels: TPR, FPR, AUC, expected calibration error, and the threshold.

Positive = unsafe. It must be given calibration data only; it cannot know what the data is.
"""

from collections.abc import Hashable, Sequence
from statistics import NormalDist

import numpy as np
from sklearn.metrics import roc_auc_score

from goodvibe_bench.metric import scaling as scalings
from goodvibe_bench.metric.rate import rate, variance_ratio, wilson
from goodvibe_bench.metric.student import quantile
from goodvibe_bench.types import Calibration, Estimate, Language

FOLDS = 5
Z = NormalDist().inv_cdf(0.975)


class NoThreshold(ValueError):  # noqa: N818
    """Only a judge that calls nothing unsafe would keep the FPR asked for."""


def crossfitted(
    language: Language,
    labels: Sequence[int],
    p_unsafe: Sequence[float],
    families: Sequence[Hashable],
    *,
    scaling: scalings.ScalingKind = "none",
    max_fpr: float | None = None,
    weights: Sequence[float] | None = None,
    folds: int = FOLDS,
    seed: int = 0,
) -> Calibration:
    """Return scaling and threshold chosen on all data, with figures of calls whose scaling and threshold were not.

    Families [n] are dealt to folds; each fold is scaled and called by what the others chose, and the calls are pooled
    (so TPR and FPR are of the procedure, a little below what the deployed threshold will do). With `weights` (inverse
    inclusion probabilities) all figures are weighted. The n of TPR and FPR is how many independent, equally weighted
    labels would tell as much (`_effective`), in their Wilson intervals and for whoever computes with them.
    Raises ValueError unless each label is in two families and every number is finite, and NoThreshold where no
    threshold that calls anything unsafe keeps `max_fpr`.
    """
    truth, raw, mass = _checked(labels, p_unsafe, weights)
    place, group = deal(families, truth, folds, seed), numbered(families)
    called, scaled = np.zeros(len(raw), dtype=bool), raw.copy()
    for fold in range(place.max() + 1):
        held, seen = place == fold, place != fold
        learned = scalings.fit(scaling, truth[seen], raw[seen], mass[seen])
        cut = _threshold(truth[seen], scalings.apply(learned, raw[seen]), mass[seen], max_fpr)
        scaled[held] = scalings.apply(learned, raw[held])
        called[held] = scaled[held] >= cut
    deployed = scalings.fit(scaling, truth, raw, mass)
    threshold = _threshold(truth, scalings.apply(deployed, raw), mass, max_fpr)
    if threshold > 1:
        raise NoThreshold(f"no threshold that calls anything unsafe keeps the FPR at or below {max_fpr}")
    return Calibration(
        language=language,
        tpr=_rate(called[truth == 1], mass[truth == 1], group[truth == 1]),
        fpr=_rate(called[truth == 0], mass[truth == 0], group[truth == 0]),
        n=len(truth),
        threshold=threshold,
        auc=float(roc_auc_score(truth, raw, sample_weight=mass)),
        ece=expected_calibration_error(truth, raw, weights=mass),
        scaling=deployed,
        ece_scaled=None if deployed is None else expected_calibration_error(truth, scaled, weights=mass),
        folds=int(place.max()) + 1,
        max_fpr=max_fpr,
    )


def deal(families: Sequence[Hashable], truth: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """Return the fold [n] of every item: a family is never divided, and what is left of a fold has both labels.

    Families are dealt in turn, those of safe code first, then the mixed, then those of unsafe code, so that the ones
    that share a label are neighbours and go to different folds. Raises ValueError unless each label is in two families.
    """
    held: dict[Hashable, set[int]] = {}
    for family, label in zip(families, truth.tolist(), strict=True):
        held.setdefault(family, set()).add(label)
    if any(sum(label in found for found in held.values()) < 2 for label in (0, 1)):
        raise ValueError("each label must be in at least two families")
    names = list(held)
    order = [names[place] for place in np.random.default_rng(seed).permutation(len(names))]
    order.sort(key=lambda family: sum(held[family]) / len(held[family]))
    fold = {family: turn % folds for turn, family in enumerate(order)}
    return np.array([fold[family] for family in families])


def best_threshold(truth: np.ndarray, scores: np.ndarray, weights: np.ndarray | None = None) -> float:
    """Return the midpoint between two neighbouring scores that maximises TPR - FPR; the most central one on ties."""
    values = np.unique(scores)
    cuts = np.concatenate([[0.0], (values[1:] + values[:-1]) / 2, [1.0]])
    tpr, fpr = _rates_at(cuts, truth, scores, weights)
    gain = tpr - fpr
    best = np.flatnonzero(np.isclose(gain, gain.max()))
    return float(cuts[best[(len(best) - 1) // 2]])


def strict_threshold(truth: np.ndarray, scores: np.ndarray, max_fpr: float, weights: np.ndarray | None = None) -> float:
    """Return the midpoint with the highest TPR at an FPR of at most `max_fpr`, and of these the one with the least FPR.

    It is above 1, where nothing is called unsafe, when no other one keeps the limit.
    """
    values = np.unique(scores)
    nothing = float(np.nextafter(1.0, 2.0))
    cuts = np.concatenate([[0.0], (values[1:] + values[:-1]) / 2, [nothing]])
    tpr, fpr = _rates_at(cuts, truth, scores, weights)
    kept = np.flatnonzero(fpr <= max_fpr + 1e-12)
    best = kept[np.isclose(tpr[kept], tpr[kept].max())][-1]
    return float(cuts[best])


def expected_calibration_error(
    truth: np.ndarray, scores: np.ndarray, bins: int = 10, weights: np.ndarray | None = None
) -> float:
    """Return the mean |observed share - mean probability| over `bins` equal bins, weighted by what is in them."""
    place = np.minimum((scores * bins).astype(int), bins - 1)
    mass = np.ones(len(truth)) if weights is None else weights
    error = sum(abs((mass * (truth - scores))[place == index].sum()) for index in range(bins))
    return float(error / mass.sum())


def _threshold(truth: np.ndarray, scores: np.ndarray, weights: np.ndarray, max_fpr: float | None) -> float:
    if max_fpr is None:
        return best_threshold(truth, scores, weights)
    return strict_threshold(truth, scores, max_fpr, weights)


def _rates_at(
    cuts: np.ndarray, truth: np.ndarray, scores: np.ndarray, weights: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Return TPR and FPR [cuts] of calling scores at or above each cut unsafe."""
    mass = np.ones(len(truth)) if weights is None else weights

    def share(label: int) -> np.ndarray:
        one, own = scores[truth == label], mass[truth == label]
        return np.array([own[one >= cut].sum() for cut in cuts]) / own.sum()

    return share(1), share(0)


def numbered(families: Sequence[Hashable]) -> np.ndarray:
    """Return the families as numbers [n] from 0, in order of appearance."""
    numbers = {family: number for number, family in enumerate(dict.fromkeys(families))}
    return np.array([numbers[family] for family in families])


def _rate(called: np.ndarray, weights: np.ndarray, families: np.ndarray) -> Estimate:
    """Return the weighted share of calls; where labels are weighted or share families, its n is the effective one."""
    alone = len(np.unique(families)) == len(called)
    if alone and np.all(weights == weights[0]):
        return rate(int(called.sum()), len(called))
    value, effective = float(weights[called].sum() / weights.sum()), _effective(called, weights, families)
    low, high = wilson(value * effective, effective, Z)
    kind = f"{len(called)} labels in {len(np.unique(families))} families"
    method = f"wilson, n is the effective size of {kind if not alone else f'{len(called)} weighted labels'}"
    return Estimate(value=value, low=low, high=high, n=effective, method=method)


def _effective(called: np.ndarray, weights: np.ndarray, families: np.ndarray) -> int:
    """Return how many independent labels tell as much as these [n], rounded down, 1 or more.

    (sum w)^2 / sum w^2 (Kish) over the design effect of families (`variance_ratio`) of the weighted share. Few of them
    leave that effect uncertain: n times (z / t)^2 has Wilson's interval be the one with Student's t, of as many degrees
    of freedom as equal families would have, less one.
    """
    kish, count = float(weights.sum() ** 2 / (weights**2).sum()), int(families.max()) + 1
    present = np.unique(families)
    if len(present) == len(called):
        return max(1, int(kish))
    masses = np.bincount(families, weights, count)[present]
    largest = float((masses**2).sum() / (weights**2).sum())
    gaps = weights * (called - weights[called].sum() / weights.sum())
    single = len(called) / (len(called) - 1) * float((gaps**2).sum())
    whole = float((np.bincount(families, gaps, count) ** 2).sum())
    effect = variance_ratio(whole, len(present), single, largest)
    freedom = float(masses.sum() ** 2 / (masses**2).sum()) - 1
    if freedom <= 0:
        return 1
    return max(1, int(kish / effect * (Z / quantile(freedom, 0.975)) ** 2))


def _checked(
    labels: Sequence[int], p_unsafe: Sequence[float], weights: Sequence[float] | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    truth, scores = np.asarray(labels), np.asarray(p_unsafe, dtype=float)
    mass = np.ones(len(truth)) if weights is None else np.asarray(weights, dtype=float)
    if set(truth.tolist()) != {0, 1} or not np.isfinite(scores).all():
        raise ValueError("calibration needs both labels and finite probabilities")
    if not np.isfinite(mass).all() or (mass <= 0).any():
        raise ValueError("weights must be finite and above zero")
    return truth, scores, mass
