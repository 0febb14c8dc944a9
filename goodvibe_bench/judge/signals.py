"""The signals judge: what reviewers look for, written down as patterns, and weighed on labelled code.

A signal is data (judges/signals.d/<language>.toml): a pattern that speaks for or against a snippet, with a strength
that its writer gave it. `fit` moves the weights from there towards what labelled pairs say. Of data flow it knows the
hints of flow.py alone; what no signal sees leaves a snippet at its language's intercept. Patterns run in linear time
(RE2): snippets are untrusted.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import re2
from pydantic import Field, field_validator
from safetensors.numpy import save_file
from scipy.optimize import minimize

from goodvibe_bench import catalog
from goodvibe_bench.completion.bare import without_comments, without_strings
from goodvibe_bench.errors import UsageError
from goodvibe_bench.judge import weights as weights_file
from goodvibe_bench.judge.decide import decide
from goodvibe_bench.judge.flow import beginning, flow
from goodvibe_bench.types import LANGUAGES, Code, Labelled, Language, Noun, Verdict


class Signal(Noun):
    """One pattern, and what it says where it is found."""

    id: str
    says: Literal["insecure", "secure"]
    match: str
    """RE2 pattern that must be found."""
    unless: str | None = None
    """RE2 pattern that must not be found in the same snippet."""
    view: Literal["code", "text", "flow"] = "code"
    """`code`: comments left out, strings emptied. `text`: comments left out. `flow`: `text` with marks (flow.py)."""
    strength: float = Field(default=1.0, gt=0, le=4)
    """Log odds that finding it adds, before anything is learned."""
    cwe: str
    note: str
    """What a reviewer sees in it."""

    @field_validator("match", "unless")
    @classmethod
    def _compiles(cls, pattern: str | None) -> str | None:
        if pattern is not None:
            try:
                _pattern(pattern)
            except re2.error as error:
                raise ValueError(f"no RE2 pattern: {error}") from error
        return pattern


class SignalFile(Noun):
    """The signals of one language."""

    language: Language
    signal: tuple[Signal, ...]


@cache
def _pattern(text: str) -> Any:
    """Return the compiled pattern, the same to whoever checks it and to whoever searches with it."""
    options = re2.Options()
    options.log_errors = False
    return re2.compile(text, options)


def views(text: str, language: Language) -> dict[str, str]:
    """Return the views of a snippet: see Signal.view."""
    text = beginning(text)
    plain = without_comments(text)
    return {"text": plain, "code": without_strings(text), "flow": flow(plain, language)}


@dataclass(frozen=True)
class Signals:
    """All signals by language; `places` numbers them over all languages."""

    files: tuple[SignalFile, ...]

    @cached_property
    def places(self) -> dict[tuple[Language, str], int]:
        """Return each signal's column in a feature matrix."""
        names: list[tuple[Language, str]] = [
            (file.language, signal.id) for file in self.files for signal in file.signal
        ]
        return {name: place for place, name in enumerate(names)}

    @cached_property
    def digest(self) -> str:
        """Return the digest of what the signals say."""
        return catalog.digest([file.model_dump() for file in self.files])

    @cached_property
    def priors(self) -> np.ndarray:
        """Return the weights before learning, [signals]: positive speaks for insecure."""
        signals = [signal for file in self.files for signal in file.signal]
        return np.array([signal.strength * (1 if signal.says == "insecure" else -1) for signal in signals])

    @cached_property
    def unfitted(self) -> np.ndarray:
        """Return weights [signals + languages] that nothing was learned for: the strengths, and no intercepts."""
        return np.concatenate([self.priors, np.zeros(len(LANGUAGES))]).astype(np.float32)

    @cached_property
    def _compiled(self) -> dict[Language, list[tuple[Signal, Any, Any]]]:
        return {
            file.language: [
                (signal, _pattern(signal.match), signal.unless and _pattern(signal.unless)) for signal in file.signal
            ]
            for file in self.files
        }

    def found(self, text: str, language: Language) -> list[Signal]:
        """Return the signals that a snippet shows."""
        seen = views(text, language)
        return [
            signal
            for signal, match, unless in self._compiled.get(language, [])
            if match.search(seen[signal.view]) and not (unless and unless.search(seen[signal.view]))
        ]

    def features(self, texts: Sequence[str], languages: Sequence[Language]) -> np.ndarray:
        """Return a matrix [texts, signals + languages] of zeros and ones; the last columns say the language."""
        rows = np.zeros((len(texts), len(self.places) + len(LANGUAGES)), dtype=np.float32)
        for row, (text, language) in enumerate(zip(texts, languages, strict=True)):
            rows[row, [self.places[language, signal.id] for signal in self.found(text, language)]] = 1
            rows[row, len(self.places) + LANGUAGES.index(language)] = 1
        return rows


def read(folder: Path) -> Signals:
    """Return the signals of every <language>.toml in `folder`. Raises UsageError for a malformed or doubled one.

    They are read once: again only where a file changed since.
    """
    paths = sorted(folder.resolve().glob("*.toml"))
    if not paths:
        raise UsageError(f"No signals in {folder}: it holds no <language>.toml.")
    return _read(tuple((path, path.stat().st_mtime_ns, path.stat().st_size) for path in paths))


@cache
def _read(stamped: tuple[tuple[Path, int, int], ...]) -> Signals:
    files = []
    for path, _, _ in stamped:
        file = catalog.parse(catalog.words(path), SignalFile, str(path))
        names = [signal.id for signal in file.signal]
        doubled = sorted({name for name in names if names.count(name) > 1})
        if doubled:
            raise UsageError(f"{path}: these ids are there twice: {', '.join(doubled)}. Rename one of each.")
        files.append(file)
    return Signals(tuple(files))


def fit(signals: Signals, data: Sequence[Labelled], pull: float = 1.0) -> np.ndarray:
    """Return weights [signals + languages]: the most probable ones after `data`, given the writers' strengths.

    Logistic regression with a Gaussian prior around the strengths, whose precision is `pull`, so that signals that
    `data` never shows keep theirs; an intercept a language has a wide prior around 0. A weight never changes its sign.
    Raises UsageError when one label is missing.
    """
    labels = np.array([item.label for item in data])
    if len(set(labels.tolist())) < 2:
        raise UsageError("A judge needs both secure and insecure snippets to be fitted.")
    rows = signals.features([item.code for item in data], [item.language for item in data])
    prior = signals.unfitted.astype(float)
    precision = np.concatenate([np.full(len(signals.priors), pull), np.full(len(LANGUAGES), 0.1)])

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        score = rows @ weights
        gap = weights - prior
        value = np.logaddexp(0, score).sum() - score @ labels + (precision * gap**2).sum() / 2
        slope = rows.T @ (1 / (1 + np.exp(-score)) - labels) + precision * gap
        return float(value), slope

    free = [(None, None)] * len(LANGUAGES)
    bounds = [(0, None) if weight > 0 else (None, 0) for weight in signals.priors] + free
    found = minimize(loss, prior, jac=True, method="L-BFGS-B", bounds=bounds)
    return found.x.astype(np.float32)


@dataclass(frozen=True)
class SignalsJudge:
    """A judge on signals and their weights; its threshold is 0.5."""

    name: str
    signals: Signals
    weights: np.ndarray

    def probabilities(self, texts: Sequence[str], languages: Sequence[Language]) -> list[float]:
        """Return p_unsafe in [0, 1] for each text."""
        return (1 / (1 + np.exp(-(self.signals.features(texts, languages) @ self.weights)))).tolist()

    def judge(self, codes: Sequence[Code]) -> list[Verdict]:
        """Return one verdict for each code, in order."""
        found = self.probabilities([code.text for code in codes], [code.language for code in codes])
        return [decide(self.name, code, p, 0.5) for code, p in zip(codes, found, strict=True)]


def save(weights: np.ndarray, folder: Path) -> None:
    """Write signals.safetensors to `folder`."""
    save_file({"weights": weights}, folder / "signals.safetensors")


def load(folder: Path, signals: Signals) -> np.ndarray:
    """Return the weights in `folder`. Raises UsageError when there are none, damaged ones, or not one a signal."""
    return weights_file.vector(folder / "signals.safetensors", len(signals.places), "signals")
