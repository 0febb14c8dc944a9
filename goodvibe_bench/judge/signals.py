"""The signals judge: what reviewers look for, written down as patterns, and weighed on labelled code.

A signal is data (judges/signals.d/<language>-<subject>.toml): a pattern that speaks for or against a snippet, with a
strength that its writer gave it. `fit` moves the weights from there towards what labelled pairs say. A weakness is not
made good by a check against another kind of weakness, so what speaks for and against is summed by CWE first: a sum for
a weakness counts in full, one against it only so far (a soft "or" over kinds). Of data flow it knows the hints of
flow.py alone; what no signal sees leaves a snippet at its language's intercept. Patterns run in linear time (RE2):
snippets are untrusted.
"""

from collections import Counter, defaultdict
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
from scipy.special import expit

from goodvibe_bench import catalog
from goodvibe_bench.completion.bare import without_comments, without_strings
from goodvibe_bench.errors import UsageError
from goodvibe_bench.judge import weights as weights_file
from goodvibe_bench.judge.decide import decide
from goodvibe_bench.judge.flow import beginning, flow
from goodvibe_bench.types import LANGUAGES, Code, Labelled, Language, Noun, Verdict

TURN = 1.0
"""The sum of a kind's evidence from which on more of it counts in full. Of 0 to 4, 1 to 4 order unseen contrast sets
alike, and better than one sum over all kinds does: AUC 0.615 to 0.617 for 0.610, pairs in order 72% for 71%."""


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
    """What finding it adds to the evidence for or against its kind of weakness, before anything is learned."""
    cwe: str
    """Its kind of weakness."""
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
    """Signals of one language; several files may have its signals."""

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
        found = defaultdict(list)
        for file in self.files:
            for signal in file.signal:
                patterns = _pattern(signal.match), signal.unless and _pattern(signal.unless)
                found[file.language].append((signal, *patterns))
        return found

    def found(self, text: str, language: Language) -> list[Signal]:
        """Return the signals that a snippet shows."""
        seen = views(text, language)
        return [
            signal
            for signal, match, unless in self._compiled.get(language, [])
            if match.search(seen[signal.view]) and not (unless and unless.search(seen[signal.view]))
        ]

    def evidence(self, texts: Sequence[str], languages: Sequence[Language]) -> "Evidence":
        """Return what is found in snippets."""
        seen: list[tuple[int, int]] = []
        kinds: dict[tuple[int, str], int] = {}
        kind = []
        for row, (text, language) in enumerate(zip(texts, languages, strict=True)):
            for signal in self.found(text, language):
                seen.append((row, self.places[language, signal.id]))
                kind.append(kinds.setdefault((row, signal.cwe), len(kinds)))
        signal = np.array([place for _, place in seen], dtype=int)
        spoken = np.array([LANGUAGES.index(language) for language in languages], dtype=int)
        return Evidence(signal, np.array(kind, dtype=int), np.array([row for row, _ in kinds], dtype=int), spoken)


@dataclass(frozen=True)
class Evidence:
    """What is found in snippets: a signal is one of a kind (its CWE) in its snippet."""

    signal: np.ndarray
    """The column of every signal that was found, [found]."""
    kind: np.ndarray
    """The kind that it is of, [found], numbers below `kinds`."""
    snippet: np.ndarray
    """The snippet that a kind was found in, [kinds]."""
    language: np.ndarray
    """Each snippet's language, as a place in LANGUAGES, [snippets]."""

    def sums(self, weights: np.ndarray) -> np.ndarray:
        """Return the summed weights of every kind, [kinds]."""
        return np.bincount(self.kind, weights[self.signal], len(self.snippet))

    def scores(self, weights: np.ndarray) -> np.ndarray:
        """Return the log odds of each snippet, [snippets], by weights [signals + languages]: over its kinds the sum of

        (softplus(s - TURN) - softplus(-TURN)) / sigmoid(-TURN), s the sum of a kind, and the language's intercept.
        About 0 that is s; far below it ends, far above it is steeper.
        """
        kinds = (np.logaddexp(0, self.sums(weights) - TURN) - np.logaddexp(0, -TURN)) / expit(-TURN)
        intercepts = weights[len(weights) - len(LANGUAGES) :]
        return np.bincount(self.snippet, kinds, len(self.language)) + intercepts[self.language]

    def slope(self, weights: np.ndarray, outer: np.ndarray) -> np.ndarray:
        """Return the gradient [signals + languages] of a function with the gradient `outer` [snippets] by scores."""
        kinds = expit(self.sums(weights) - TURN) / expit(-TURN) * outer[self.snippet]
        signals = np.bincount(self.signal, kinds[self.kind], len(weights) - len(LANGUAGES))
        return np.concatenate([signals, np.bincount(self.language, outer, len(LANGUAGES))])


def read(folder: Path) -> Signals:
    """Return the signals of every file *.toml in `folder`. Raises UsageError for a malformed or doubled one.

    They are read once: again only where a file changed since.
    """
    paths = sorted(folder.resolve().glob("*.toml"))
    if not paths:
        raise UsageError(f"No signals in {folder}: it holds no .toml file.")
    return _read(tuple((path, path.stat().st_mtime_ns, path.stat().st_size) for path in paths))


@cache
def _read(stamped: tuple[tuple[Path, int, int], ...]) -> Signals:
    files = []
    known: Counter[tuple[Language, str]] = Counter()
    for path, _, _ in stamped:
        file = catalog.parse(catalog.words(path), SignalFile, str(path))
        known.update((file.language, signal.id) for signal in file.signal)
        doubled = sorted(name for (_, name), count in known.items() if count > 1)
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
    found = signals.evidence([item.code for item in data], [item.language for item in data])
    prior = signals.unfitted.astype(float)
    precision = np.concatenate([np.full(len(signals.priors), pull), np.full(len(LANGUAGES), 0.1)])

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        score, gap = found.scores(weights), weights - prior
        value = np.logaddexp(0, score).sum() - score @ labels + (precision * gap**2).sum() / 2
        return float(value), found.slope(weights, expit(score) - labels) + precision * gap

    free = [(None, None)] * len(LANGUAGES)
    bounds = [(0, None) if weight > 0 else (None, 0) for weight in signals.priors] + free
    return minimize(loss, prior, jac=True, method="L-BFGS-B", bounds=bounds).x.astype(np.float32)


@dataclass(frozen=True)
class SignalsJudge:
    """A judge on signals and their weights; its threshold is 0.5."""

    name: str
    signals: Signals
    weights: np.ndarray

    def probabilities(self, texts: Sequence[str], languages: Sequence[Language]) -> list[float]:
        """Return p_unsafe in [0, 1] for each text."""
        return expit(self.signals.evidence(texts, languages).scores(self.weights.astype(float))).tolist()

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
