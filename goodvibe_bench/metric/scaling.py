"""Scale a judge's p_unsafe so that it fits labels: temperature with a bias (Platt), or isotonic regression.

Every scaling is monotone, so it never reverses an order. It chooses no threshold and measures nothing.
"""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from goodvibe_bench.types import Scaling

Numbers = Sequence[float] | np.ndarray
ScalingKind = Literal["temperature", "isotonic", "none"]
EDGE = 1e-6
"""Probabilities are kept so far from 0 and 1 before their logit is taken, so that it is finite."""
SLOPES = (1e-3, 1e2)
"""Bounds of 1 / temperature. It stays positive: a judge that is worse than chance is not turned round in silence."""


def fit(kind: ScalingKind, labels: Numbers, p_unsafe: Numbers, weights: Numbers | None = None) -> Scaling | None:
    """Return a scaling of this kind fitted to labels (1 = unsafe) and raw probabilities [n]; None for "none"."""
    if kind == "none":
        return None
    return (fit_temperature if kind == "temperature" else fit_isotonic)(labels, p_unsafe, weights)


def fit_temperature(labels: Numbers, p_unsafe: Numbers, weights: Numbers | None = None) -> Scaling:
    """Return the temperature and bias with the least log loss on Platt's smoothed targets, (n+1)/(n+2) and 1/(n+2).

    The smoothing keeps both finite on separable labels (Platt 1999, section 2.2). Raises ValueError unless both
    labels are there.
    """
    from scipy.optimize import minimize

    truth, raw, mass = _checked(labels, p_unsafe, weights)
    unsafe, safe = mass[truth == 1].sum(), mass[truth == 0].sum()
    target = np.where(truth == 1, (unsafe + 1) / (unsafe + 2), 1 / (safe + 2))
    logits = _logit(raw)

    def loss(point: np.ndarray) -> tuple[float, np.ndarray]:
        z = point[0] * logits + point[1]
        gap = mass * (_sigmoid(z) - target)
        value = (mass * (np.logaddexp(0, z) - target * z)).sum()
        return float(value) / len(raw), np.array([(gap * logits).sum(), gap.sum()]) / len(raw)

    start = np.array([1.0, 0.0])
    found: Any = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=[SLOPES, (-1e4, 1e4)])
    return Scaling(kind="temperature", temperature=float(1 / found.x[0]), bias=float(found.x[1]))


def fit_isotonic(labels: Numbers, p_unsafe: Numbers, weights: Numbers | None = None) -> Scaling:
    """Return the rising step-like map with the least squared error; equal probabilities share one value.

    Raises ValueError unless both labels are there.
    """
    from sklearn.isotonic import IsotonicRegression

    truth, raw, mass = _checked(labels, p_unsafe, weights)
    found: Any = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(raw, truth, sample_weight=mass)
    knots = np.maximum.accumulate(np.clip(found.y_thresholds_, 0, 1))
    return Scaling(kind="isotonic", x=tuple(found.X_thresholds_.tolist()), y=tuple(knots.tolist()))


def apply(scaling: Scaling | None, p_unsafe: Numbers) -> np.ndarray:
    """Return the scaled probabilities [n], finite and in [0, 1]; the raw ones without a scaling."""
    raw = np.asarray(p_unsafe, dtype=float)
    if scaling is None:
        return raw
    if scaling.kind == "isotonic":
        return np.interp(raw, scaling.x, scaling.y)
    return _sigmoid(_logit(raw) / scaling.temperature + scaling.bias)


def _checked(labels: Numbers, p_unsafe: Numbers, weights: Numbers | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return labels, probabilities and weights as arrays; the weights sum to their count."""
    truth, raw = np.asarray(labels), np.asarray(p_unsafe, dtype=float)
    mass = np.ones(len(raw)) if weights is None else np.asarray(weights, dtype=float)
    if set(truth.tolist()) != {0, 1} or not np.isfinite(raw).all():
        raise ValueError("a scaling needs both labels and finite probabilities")
    return truth, raw, mass * len(mass) / mass.sum()


def _logit(p: np.ndarray) -> np.ndarray:
    kept = np.clip(p, EDGE, 1 - EDGE)
    return np.log(kept / (1 - kept))


def _sigmoid(z: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-np.clip(z, -500, 500)))
