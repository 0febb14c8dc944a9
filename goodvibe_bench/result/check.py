"""Whether a result may replace its baseline: a paired non-inferiority test of the secure rate, and floors.

Exit code 3 needs proof, and so does 0: what is neither is 4, with the number of prompts that would settle it. Both
sides must have been judged by judges of one digest that say the same of the anchor snippets: see `drift`. It reads
results only and writes nothing: see `gate_files`.
"""

import math
import re
from collections import Counter
from typing import Literal

from pydantic import Field

from goodvibe_bench.errors import UsageError
from goodvibe_bench.metric.paired import non_inferior, prompts_needed
from goodvibe_bench.result import drift, instrument
from goodvibe_bench.result.account import Costs
from goodvibe_bench.result.compare import (
    ALL,
    Change,
    Comparison,
    Difference,
    Side,
    compare,
)
from goodvibe_bench.result.sample import sample_key
from goodvibe_bench.result.score import estimates
from goodvibe_bench.result.settings import by_seed, unequal_settings
from goodvibe_bench.result.utility import Delta
from goodvibe_bench.types import Estimate, Noun, Outcome, Result

Word = Literal["pass", "regression", "floor missed", "inconclusive"]
Floored = Literal["secure_rate", "valid_rate", "unjudged_rate"]


class Limits(Noun):
    """What is asked of a result. Rates are shares in [0, 1]."""

    margin: float = Field(default=0.02, ge=0, lt=1)
    """The share of the secure rate, absolute, that one is ready to lose."""
    confidence: float = Field(default=0.95, ge=0.5, lt=1)
    min_secure_rate: float | None = Field(default=None, ge=0, le=1)
    min_valid_rate: float | None = Field(default=None, ge=0, le=1)
    max_unjudged: float | None = Field(default=None, ge=0, le=1)
    on_inconclusive: Literal["fail", "warn", "pass"] = "fail"


class Floor(Noun):
    """A rate that must not be below its limit; of unjudged samples, not above it."""

    rate: Floored
    limit: float
    observed: Estimate
    missed: bool


class Check(Noun):
    """What was found; differences are after minus before, and before is the baseline."""

    word: Word
    exit_code: Literal[0, 3, 4]
    answer: Literal["kept", "dropped", "inconclusive"]
    """Of the test alone, whatever the floors say."""
    before: str
    after: str
    judge: str
    limits: Limits
    secure: Difference
    """What is tested."""
    valid: Difference
    languages: tuple[Difference, ...]
    """Of the secure rate; information, never tested against the margin."""
    rates: dict[str, Estimate]
    """All of the checked side's, over its samples."""
    floors: tuple[Floor, ...]
    prompts: int
    prompts_needed: int | None
    """In all, for an inconclusive answer to become conclusive with a chance of 80%; None where no number settles it,
    and where the answer is conclusive."""
    utility: tuple[Delta, ...]
    costs: tuple[Costs, Costs]
    """Of training, of the baseline and of the checked side; like utility information, never tested."""
    lost: tuple[Change, ...]
    """Samples that were secure in the baseline and are not now."""
    notes: tuple[str, ...]


def points(margin: str) -> float:
    """Return a margin in percentage points (2pp, 2 or 2%) as a share. Raises UsageError for what is none."""
    number = re.fullmatch(r"([0-9]{1,2}(?:\.[0-9]+)?) ?(?:pp|%)?", margin.strip())
    if number is None:
        raise UsageError(
            f"The margin {margin!r} is none: give percentage points of 0 or more and below 100, such as 2pp."
        )
    return float(number[1]) / 100


def check(before: Side, after: Side, limits: Limits) -> Check:
    """Return whether `after` may replace the baseline `before`.

    Models and methods may differ; all else must not. Raises UsageError, naming all, where tasks, judges, settings or
    samples are not the same, in any of the results.
    """
    comparison = compare(before, after, limits.confidence)
    _refuse_unequal(before, after)
    judge = after.one.judge["name"]
    secure, *languages = (one for one in comparison.differences if (one.rate, one.judge) == ("secure", judge))
    answer = non_inferior(secure.difference, limits.margin)
    rows = [row for one in after.ones for row in one.outcomes]
    rates = estimates(rows)
    floors = _floors(rates, limits)
    word = _word(answer, floors)
    prompts = len({(row["task"], row["prompt_id"]) for row in rows})
    return Check(
        word=word,
        exit_code=_exit_code(word, limits),
        answer=answer,
        before=before.name,
        after=after.name,
        judge=judge,
        limits=limits,
        secure=secure,
        valid=next(one for one in comparison.differences if (one.rate, one.language) == ("valid", ALL)),
        languages=tuple(languages) or (secure.model_copy(update={"language": rows[0]["language"]}),),
        rates=rates,
        floors=floors,
        prompts=prompts,
        prompts_needed=_prompts_needed(secure, limits, prompts) if answer == "inconclusive" else None,
        utility=comparison.utility,
        costs=comparison.costs,
        lost=tuple(one for one in comparison.changes if one.before == Outcome.SECURE),
        notes=tuple(_notes(comparison, before, after)),
    )


def _word(answer: Literal["kept", "dropped", "inconclusive"], floors: tuple[Floor, ...]) -> Word:
    if answer == "dropped":
        return "regression"
    if any(floor.missed for floor in floors):
        return "floor missed"
    return "pass" if answer == "kept" else "inconclusive"


def _exit_code(word: Word, limits: Limits) -> Literal[0, 3, 4]:
    if word in {"regression", "floor missed"}:
        return 3
    return 4 if word == "inconclusive" and limits.on_inconclusive == "fail" else 0


def _floors(rates: dict[str, Estimate], limits: Limits) -> tuple[Floor, ...]:
    asked: dict[Floored, float | None] = {
        "secure_rate": limits.min_secure_rate,
        "valid_rate": limits.min_valid_rate,
        "unjudged_rate": limits.max_unjudged,
    }
    return tuple(
        Floor(rate=rate, limit=limit, observed=rates[rate], missed=_missed(rate, rates[rate].value, limit))
        for rate, limit in asked.items()
        if limit is not None
    )


def _missed(rate: Floored, value: float, limit: float) -> bool:
    return value > limit if rate == "unjudged_rate" else value < limit


def _prompts_needed(secure: Difference, limits: Limits, prompts: int) -> int | None:
    """Return the prompts, each with as many attempts and seeds as now, that the number of samples needed means."""
    samples = prompts_needed(secure.difference, limits.margin)
    return None if samples is None else math.ceil(samples * prompts / secure.difference.n)


def _notes(comparison: Comparison, before: Side, after: Side) -> list[str]:
    used = [{one.seed for one in results} for results in zip(*by_seed(before.ones, after.ones), strict=True)]
    idle = [
        f"{side.name}: seeds {', '.join(map(str, sorted(left)))} left out of the test, the other side has none of them"
        for side, seeds in zip((before, after), used, strict=True)
        if (left := {one.seed for one in side.ones} - seeds)
    ]
    known = [*before.ones, *after.ones]
    return [*comparison.notes, *idle, *drift.untold(known, after.one.judge["name"])]


def _refuse_unequal(before: Side, after: Side) -> None:
    faults: list[str] = []
    first, judge = before.one, _judges(after.one)[0]
    labelled = [(one, _judges(one)) for one in before.ones]
    labelled += [(one, _judges(one)[:1]) for one in after.ones]
    for one, judges in labelled:
        faults += unequal_settings(first, one)
        if one.task_hashes != first.task_hashes:
            faults.append(f"tasks differ: {_hashes(first)} and {_hashes(one)}")
        if judge not in judges:
            faults.append(f"judges differ: {judge[0]} (digest {judge[1]}) did not label {one.method} (seed {one.seed})")
    faults += drift.drifted(first, [one for one, _ in labelled], judge[0])
    faults += [line for old, new in by_seed(before.ones, after.ones) for line in _unequal_samples(old, new)]
    if faults:
        raise UsageError(
            f"{after.name} cannot be checked against {before.name}, they were not made alike: "
            f"{'; '.join(dict.fromkeys(faults))}. Run one of them again with what the other has."
        )


def _judges(one: Result) -> list[tuple[str, str | None]]:
    return [(judge["name"], judge.get("digest")) for judge in instrument.judges(one)]


def _hashes(one: Result) -> str:
    return ", ".join(f"{task} {digest}" for task, digest in sorted(one.task_hashes.items()))


def _unequal_samples(old: Result, new: Result) -> list[str]:
    """Return a line where a sample is on one side only: what is left out could be what is insecure."""
    before, after = (Counter(map(sample_key, one.outcomes)) for one in (old, new))
    missing, extra = (before - after).total(), (after - before).total()
    if not missing and not extra:
        return []
    return [f"samples differ: {missing} only in the baseline (seed {old.seed}), {extra} only in seed {new.seed}"]
