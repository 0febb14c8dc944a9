"""The pairwise judge: logistic regression that learns most from what tells the sides of one snippet apart.

What both sides of a minimal pair or contrast set share cancels in their difference, their style above all (RankSVM,
Joachims 2002, with the logistic loss of RankNet, Burges et al. 2005). It sees the features of grams.py, in which a
snippet's own names are taken out. Weights are one safetensors file; nothing is unpickled.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file
from scipy import sparse
from scipy.optimize import minimize
from scipy.special import expit
from sklearn.feature_extraction import FeatureHasher

from goodvibe_bench.errors import UsageError
from goodvibe_bench.judge import weights as weights_file
from goodvibe_bench.judge.decide import decide
from goodvibe_bench.judge.grams import grams
from goodvibe_bench.types import LANGUAGES, Code, Labelled, Language, Verdict

_WIDE = 0.01
"""Precision of a language's intercept around 0."""


def _features(texts: Sequence[str], languages: Sequence[Language], size: int) -> Any:
    """Return a sparse matrix [texts, size + languages] of zeros and ones; the last columns say the language.

    Each feature is there for all languages and once more for its own.
    """

    def words(text: str, language: Language) -> list[str]:
        found = grams(text, language)
        return [*found, *(f"{language} {gram}" for gram in found)]

    hashed = FeatureHasher(n_features=size, input_type="string", alternate_sign=False)
    rows: Any = hashed.transform(words(*both) for both in zip(texts, languages, strict=True))
    rows.data[:] = 1
    places = [LANGUAGES.index(language) for language in languages]
    said = sparse.csr_matrix((np.ones(len(places)), (range(len(places)), places)), (len(places), len(LANGUAGES)))
    return sparse.hstack([rows, said], format="csr")


def orders(data: Sequence[Labelled]) -> tuple[list[int], list[int]]:
    """Return the places of every unsafe side, and beside each of a safe side of its family."""
    families: dict[tuple[Language, str], tuple[list[int], list[int]]] = defaultdict(lambda: ([], []))
    for place, item in enumerate(data):
        families[item.language, item.family][item.label].append(place)
    both = [(unsafe, safe) for safes, unsafes in families.values() for unsafe in unsafes for safe in safes]
    return [unsafe for unsafe, _ in both], [safe for _, safe in both]


def fit(data: Sequence[Labelled], size: int, rank_weight: float, pull: float) -> np.ndarray:
    """Return weights [size + languages], the lowest point of

    sum over snippets of c log(1 + exp(-+s)), where c gives both labels the same total weight,
    + rank_weight x sum over unsafe u and safe v of a family of log(1 + exp(s_v - s_u)) + pull / 2 |w|^2,

    s = w x, without an intercept in the order. A feature that no family's sides differ in has no weight.
    Raises UsageError when one label is missing, or no family has both.
    """
    labels = np.array([item.label for item in data])
    unsafe, safe = orders(data)
    if not unsafe:
        raise UsageError("A pairwise judge needs families with both secure and insecure snippets to be fitted.")
    rows = _features([item.code for item in data], [item.language for item in data], size)
    differ = (rows[unsafe] - rows[safe])[:, :size]
    differ.eliminate_zeros()
    kept = np.unique(differ.indices)
    gaps, told = differ[:, kept], rows[:, np.concatenate([kept, size + np.arange(len(LANGUAGES))])]
    counts = np.bincount(labels, minlength=2)
    weight = (len(labels) / (2 * counts))[labels]
    precision = np.concatenate([np.full(len(kept), pull), np.full(len(LANGUAGES), _WIDE)])

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        score, gap = told @ weights, gaps @ weights[: len(kept)]
        value = (weight * (np.logaddexp(0, score) - score * labels)).sum() + rank_weight * np.logaddexp(0, -gap).sum()
        slope = told.T @ (weight * (expit(score) - labels)) + precision * weights
        slope[: len(kept)] -= rank_weight * (gaps.T @ expit(-gap))
        return float(value + (precision * weights**2).sum() / 2), slope

    found = minimize(loss, np.zeros(len(precision)), jac=True, method="L-BFGS-B", options={"maxiter": 300}).x
    weights = np.zeros(size + len(LANGUAGES), dtype=np.float32)
    weights[kept], weights[size:] = found[: len(kept)], found[len(kept) :]
    return weights


@dataclass(frozen=True)
class PairwiseJudge:
    """A judge on fitted weights [features + languages]; its own threshold is 0.5."""

    name: str
    weights: np.ndarray

    def probabilities(self, texts: Sequence[str], languages: Sequence[Language]) -> list[float]:
        """Return p_unsafe in [0, 1] for each text."""
        if not texts:
            return []
        return expit(_features(texts, languages, len(self.weights) - len(LANGUAGES)) @ self.weights).tolist()

    def judge(self, codes: Sequence[Code]) -> list[Verdict]:
        """Return one verdict for each code, in order."""
        found = self.probabilities([code.text for code in codes], [code.language for code in codes])
        return [decide(self.name, code, p, 0.5) for code, p in zip(codes, found, strict=True)]


def save(weights: np.ndarray, folder: Path) -> None:
    """Write pairwise.safetensors to `folder`."""
    save_file({"weights": weights}, folder / "pairwise.safetensors")


def load(folder: Path, size: int) -> np.ndarray:
    """Return the weights in `folder`. Raises UsageError when there are none, damaged ones, or not one a feature."""
    return weights_file.vector(folder / "pairwise.safetensors", size, "features")
