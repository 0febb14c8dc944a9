"""What tuning did to everything but security: paired differences of utility, of doing what was asked, and forgetting.

It reads results only. Metrics go by lm-eval's names; nothing is measured here.
"""

from collections.abc import Sequence
from typing import Any, Literal

from goodvibe_bench.metric.paired import PairedDifference, non_inferior, paired_difference
from goodvibe_bench.result.pool import base_of, entries
from goodvibe_bench.result.sample import family, sample_key
from goodvibe_bench.types import Noun, Result

QUOTED = {
    "arc_challenge": ("acc_norm,none",),
    "gsm8k": ("exact_match,strict-match", "exact_match,flexible-extract"),
    "gsm8k_local": ("exact_match,strict-match", "exact_match,flexible-extract"),
    "mmlu": ("acc,none",),
    "small_choice": ("acc,none",),
}
"""The metrics that count, by task; every one that is right or wrong a sample where a task is not named."""
ASKED = "asked"
"""In place of a task: the run's own prompts that name what they want."""
MARGIN = 0.02


class Delta(Noun):
    """One metric after minus before, on the same questions."""

    task: str
    metric: str
    languages: tuple[str, ...]
    """Of the model, where a method has one for each; else all of the run."""
    before: float
    after: float
    difference: PairedDifference
    margin: float
    state: Literal["kept", "dropped", "inconclusive"]
    """Whether a fall by more than the margin is ruled out, proven, or neither."""


class Forgetting(Noun):
    """Nats a token on fixed texts."""

    languages: tuple[str, ...]
    before: float
    after: float
    tokens: int


def deltas(both: Sequence[tuple[Result, Result]], margin: float | None = None, confidence: float = 0.95) -> list[Delta]:
    """Return every quoted metric that results have on the same questions as their bases, and the asked rate.

    `both` are (base, result), one pair a seed, which are pooled: what one question was answered with several seeds is
    not independent. `margin` is a share; the largest that the results were made with when None.
    """
    found: dict[tuple[str, str, tuple[str, ...]], list[tuple[str, bool, bool]]] = {}
    for base, result in both:
        old = (base.utility.get("models") or [{"tasks": {}}])[0]["tasks"]
        for model in result.utility.get("models", ()):
            for task, new in model["tasks"].items():
                for metric in _metrics(task, new):
                    key = (task, metric, tuple(model["languages"]))
                    found.setdefault(key, []).extend(_pairs(old.get(task), new, metric))
        found.setdefault((ASKED, "asked_rate,none", ()), []).extend(_asked(result, base))
    allowed = max(_margin(result) for _, result in both) if margin is None else margin
    asked = [key for key in found if key[0] == ASKED]
    ordered = [key for key in found if key[0] != ASKED] + asked
    return [_delta(*key, found[key], allowed, confidence) for key in ordered if found[key]]


def _margin(result: Result) -> float:
    found = result.utility.get("settings", {}).get("margin", MARGIN)
    return found if isinstance(found, int | float) and 0 <= found < 1 else MARGIN


def scores(result: Result) -> dict[str, float]:
    """Return the share right by "task metric", over the questions of all trained models; empty where not measured."""
    right: dict[str, list[bool]] = {}
    for model in result.utility.get("models", ()):
        for task, found in model["tasks"].items():
            for metric in _metrics(task, found):
                answers = "".join(one["correct"].get(metric, "") for one in found["samples"].values())
                right.setdefault(f"{task} {metric}", []).extend(letter == "1" for letter in answers)
    return {name: sum(found) / len(found) for name, found in right.items() if found}


def forgetting(result: Result) -> list[Forgetting]:
    """Return the loss before and after training, for every trained model."""
    return [
        Forgetting(
            languages=tuple(model["languages"]),
            before=model["forgetting"]["before"]["cross_entropy"],
            after=model["forgetting"]["after"]["cross_entropy"],
            tokens=model["forgetting"]["after"]["tokens"],
        )
        for model in result.utility.get("models", ())
        if model["forgetting"].keys() >= {"before", "after"}
    ]


def lines(results: Sequence[Result]) -> list[str]:
    """Return a line for every difference over the base that is among the results, and for every loss."""
    found, known = [], entries(results, by_seed=True)
    for entry in known:
        result, before = entry.one, base_of(entry, known)
        base = before.one if before else None
        found += [f"{result.method}: {said(delta)}" for delta in (deltas([(base, result)]) if base else [])]
        found += [
            f"{result.method}: loss on fixed texts {one.before:.3f} -> {one.after:.3f} nats a token, "
            f"{one.tokens} tokens{_where(one.languages, result)}"
            for one in forgetting(result)
        ]
    return found


def _where(languages: Sequence[str], result: Result) -> str:
    several = len(result.utility.get("models", ())) > 1
    return f" (model for {', '.join(languages)})" if several else ""


def said(delta: Delta) -> str:
    """Return a difference as one line, and whether a drop by more than the margin is ruled out."""
    one, points = delta.difference, f"{100 * delta.margin:g} points"
    what = {
        "kept": f"kept within {points}",
        "dropped": f"dropped by more than {points}",
        "inconclusive": f"a drop of {points} is neither proven nor ruled out",
    }[delta.state]
    measured = delta.task if delta.task == ASKED else f"{delta.task} {delta.metric}"
    return (
        f"{measured} {100 * delta.before:.1f}% -> {100 * delta.after:.1f}%, "
        f"{100 * one.value:+.1f} [{100 * one.low:+.1f}, {100 * one.high:+.1f}] points, n {one.n}: {what}"
    )


def _metrics(task: str, found: dict[str, Any]) -> Sequence[str]:
    every = [name for one in found["samples"].values() for name in one["correct"]]
    return QUOTED.get(task) or tuple(dict.fromkeys(every))


def _pairs(old: dict[str, Any] | None, new: dict[str, Any], metric: str) -> list[tuple[str, bool, bool]]:
    """Return (question, right before, right after), of sub-tasks with the same questions on both sides."""
    before = (old or {"samples": {}})["samples"]
    return [
        (f"{name}/{place}", was == "1", now == "1")
        for name, found in new["samples"].items()
        if metric in found["correct"] and _comparable(before.get(name), found, metric)
        for place, (was, now) in enumerate(zip(before[name]["correct"][metric], found["correct"][metric], strict=True))
    ]


def _comparable(old: dict[str, Any] | None, new: dict[str, Any], metric: str) -> bool:
    return (
        old is not None
        and old["docs"] == new["docs"]
        and len(old["correct"].get(metric, "")) == len(new["correct"][metric])
    )


def _asked(result: Result, base: Result) -> list[tuple[str, bool, bool]]:
    old = {sample_key(row): row["asked"] for row in base.outcomes if row.get("asked") is not None}
    return [
        (family(row), old[sample_key(row)], row["asked"])
        for row in result.outcomes
        if row.get("asked") is not None and sample_key(row) in old
    ]


def _delta(
    task: str,
    metric: str,
    languages: Sequence[str],
    pairs: list[tuple[str, bool, bool]],
    margin: float,
    confidence: float,
) -> Delta:
    difference = paired_difference(pairs, confidence)
    return Delta(
        task=task,
        metric=metric,
        languages=tuple(languages),
        before=sum(before for _, before, _ in pairs) / len(pairs),
        after=sum(after for _, _, after in pairs) / len(pairs),
        difference=difference,
        margin=margin,
        state=non_inferior(difference, margin),
    )
