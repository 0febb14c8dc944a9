"""Secure rates after the judge's error, of samples in several languages. It reads outcome rows, never texts."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from goodvibe_bench.metric.correction import Corrected, corrected_rate
from goodvibe_bench.metric.rate import design_effect
from goodvibe_bench.result.tally import Tally, of_language, tally
from goodvibe_bench.types import Calibration, Noun, Outcome

State = Literal["inside", "below", "above", "refuted", "useless", "uncalibrated"]
STATES: tuple[State, ...] = ("inside", "below", "above", "refuted", "useless", "uncalibrated")
"""From the best to the worst. Below and above: the observed rate is outside what TPR and FPR allow."""

_JUDGED = {Outcome.SECURE, Outcome.INSECURE}


class CorrectedRate(Noun):
    """The share of all samples that is secure once the judge's error is taken out."""

    value: float | None
    """None where a language's judge is uncalibrated, useless, or refuted by these samples."""
    low: float | None
    high: float | None
    """Without a value they are what is still possible; None where a language has no calibration at all."""
    n: int
    """Samples."""
    state: State
    """The worst of the languages' states."""
    states: dict[str, State]
    """Per language."""
    feasible: tuple[float, float] | None
    """What the observed share of judged samples can be, 1 - TPR to 1 - FPR; None over several languages."""
    confidence: float = 0.95


def corrected(rows: Sequence[dict[str, Any]], calibrations: Mapping[str, Calibration]) -> CorrectedRate:
    """Return the corrected secure rate over all `rows`, each language corrected by its own calibration.

    Several languages: the mean of their rates weighted by their n. Its half widths are theirs, weighted and combined in
    quadrature on each side (MOVER, Zou & Donner 2008), for samples and calibrations of two languages are independent.
    A useless or refuted language leaves no value; its whole range is then added to the others' interval. A language
    without calibration leaves neither value nor interval. Samples of one family (of one prompt: attempts, seeds) are
    not independent: a language's counts are divided by the larger of the design effects of its secure and its judged
    shares. Raises ValueError for no rows.
    """
    return corrected_of(tally(rows), calibrations)


def corrected_of(kinds: Tally, calibrations: Mapping[str, Calibration]) -> CorrectedRate:
    """Return what `corrected` does, of samples that are counted already."""
    if not kinds:
        raise ValueError("a rate of nothing")
    groups = {language: of_language(kinds, language) for language in sorted({kind[0] for kind in kinds})}
    found = {language: _of_language(group, calibrations.get(language)) for language, group in groups.items()}
    sizes = {language: sum(group.values()) for language, group in groups.items()}
    n = sum(sizes.values())
    states: dict[str, State] = {language: _state(one) for language, one in found.items()}
    value, low, high = _together([(sizes[language] / n, one) for language, one in found.items()])
    (only, *more) = found.values()
    return CorrectedRate(
        value=value,
        low=low,
        high=high,
        n=n,
        state=max(states.values(), key=lambda state: STATES.index(state)),
        states=states,
        feasible=only.feasible if only and not more else None,
    )


def keys(found: CorrectedRate) -> dict[str, Any]:
    """Return the rate as a result keeps it, under lm-eval's names."""
    return {
        "corrected_rate,none": found.value,
        "corrected_rate_interval,none": None if found.low is None else [found.low, found.high],
        "corrected_rate_state,none": found.state,
        "corrected_rate_states,none": found.states,
        "corrected_rate_feasible,none": found.feasible and list(found.feasible),
    }


def _of_language(kinds: Tally, calibration: Calibration | None) -> Corrected | None:
    if calibration is None:
        return None
    sizes: Counter[str] = Counter()
    secure: Counter[str] = Counter()
    judged: Counter[str] = Counter()
    for (_, name, outcome, _, _), count in kinds.items():
        sizes[name] += count
        secure[name] += count if outcome == Outcome.SECURE else 0
        judged[name] += count if outcome in _JUDGED else 0
    effect = max(design_effect((hits[name], size) for name, size in sizes.items()) for hits in (secure, judged))
    counts = secure.total(), judged.total(), sizes.total()
    return corrected_rate(*counts, calibration.tpr, calibration.fpr, effect=effect)


def _state(found: Corrected | None) -> State:
    if found is None:
        return "uncalibrated"
    return "refuted" if found.refuted else found.state


def _together(parts: Sequence[tuple[float, Corrected | None]]) -> tuple[float | None, float | None, float | None]:
    known = [(weight, one) for weight, one in parts if one is not None]
    if len(known) < len(parts):
        return None, None, None
    sure = [(weight, one.value, one) for weight, one in known if one.value is not None and not one.refuted]
    value = sum(weight * share for weight, share, _ in sure)
    below = math.sqrt(sum((weight * (share - one.low)) ** 2 for weight, share, one in sure))
    above = math.sqrt(sum((weight * (one.high - share)) ** 2 for weight, share, one in sure))
    open_ = [(weight, one) for weight, one in known if one.value is None or one.refuted]
    low = max(value - below + sum(weight * one.low for weight, one in open_), 0.0)
    high = min(value + above + sum(weight * one.high for weight, one in open_), 1.0)
    return (None if open_ else min(max(value, low), high)), low, high
