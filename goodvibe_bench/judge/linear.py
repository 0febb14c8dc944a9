"""The linear judge: logistic regression on hashed character n-grams. The floor: it reads style, not security.

Weights are one safetensors file; nothing is unpickled.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from safetensors.numpy import save_file
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupKFold

from goodvibe_bench.errors import UsageError
from goodvibe_bench.judge import definition
from goodvibe_bench.judge import weights as weights_file
from goodvibe_bench.judge.decide import decide
from goodvibe_bench.types import Code, Labelled, Verdict

_PLAIN = definition.LinearJudge(kind="linear")


@dataclass(frozen=True)
class LinearWeights:
    """Coefficients [features] and intercept of one logistic regression over all languages."""

    coefficients: np.ndarray
    intercept: float

    def probabilities(self, texts: Sequence[str]) -> list[float]:
        """Return p_unsafe in [0, 1] for each text."""
        if not texts:
            return []
        logits = _grams(texts, len(self.coefficients)) @ self.coefficients + self.intercept
        return (1 / (1 + np.exp(-logits))).tolist()


def fit(data: Sequence[Labelled], features: int, inverse_regularisation: float) -> LinearWeights:
    """Return weights fitted to labelled snippets. Raises UsageError when one label is missing."""
    labels = np.array([item.label for item in data])
    if len(set(labels.tolist())) < 2:
        raise UsageError("A judge needs both secure and insecure snippets to be fitted.")
    return _fit(_grams([item.code for item in data], features), labels, inverse_regularisation)


def _fit(grams: Any, labels: np.ndarray, inverse_regularisation: float) -> LinearWeights:
    model = cast(Any, LogisticRegression(C=inverse_regularisation, max_iter=2000))
    model.fit(grams, labels)
    return LinearWeights(model.coef_[0].astype(np.float32), float(model.intercept_[0]))


def _grams(texts: Sequence[str], features: int) -> Any:
    """Return a sparse matrix [texts, features], whose class scipy keeps private."""
    clean = [text.encode("utf-8", "replace").decode() for text in texts]
    return HashingVectorizer(analyzer="char", ngram_range=(2, 5), n_features=features).transform(clean)


def floor(learn: Sequence[Labelled], texts: Sequence[str]) -> list[float]:
    """Return p_unsafe in [0, 1] for each text by a linear judge fitted to `learn`: what style alone tells."""
    return fit(learn, _PLAIN.features, _PLAIN.inverse_regularisation).probabilities(texts)


def style_auc(data: Sequence[Labelled], folds: int = 5) -> float:
    """Return the AUC of a linear judge on `data` by cross-validation over families; 0.5 when style tells nothing.

    Near 1, the labels can be read from style alone, and a judge that scores well there proves nothing. Raises
    ValueError with fewer families than folds.
    """
    families = [item.family for item in data]
    grams, labels = _grams([item.code for item in data], _PLAIN.features), np.array([item.label for item in data])
    scores = np.zeros(len(data))
    for learn, measure in GroupKFold(folds).split(labels, groups=families):
        weights = _fit(grams[learn], labels[learn], _PLAIN.inverse_regularisation)
        scores[measure] = grams[measure] @ weights.coefficients + weights.intercept
    return float(roc_auc_score(labels, scores))


@dataclass(frozen=True)
class LinearJudge:
    """A judge on fitted weights; its own threshold is 0.5."""

    name: str
    weights: LinearWeights

    def judge(self, codes: Sequence[Code]) -> list[Verdict]:
        """Return one verdict for each code, in order."""
        found = self.weights.probabilities([code.text for code in codes])
        return [decide(self.name, code, p, 0.5) for code, p in zip(codes, found, strict=True)]


def save(weights: LinearWeights, folder: Path) -> None:
    """Write linear.safetensors to `folder`."""
    tensors = {"coefficients": weights.coefficients, "intercept": np.array([weights.intercept], dtype=np.float32)}
    save_file(tensors, folder / "linear.safetensors")


def load(folder: Path) -> LinearWeights:
    """Return the weights in `folder`. Raises UsageError when there are none, or the file is damaged."""
    coefficients, intercept = weights_file.read(folder / "linear.safetensors", "coefficients", "intercept")
    return LinearWeights(coefficients, float(intercept[0]))
