"""Several judges on the same samples: their rates, how far they agree, and gains that not all of them see.

It cannot say which judge is right.
"""

from collections.abc import Sequence
from typing import Any

from goodvibe_bench.metric.agreement import Agreement, agreement
from goodvibe_bench.metric.paired import PairedDifference, paired_difference
from goodvibe_bench.result import instrument
from goodvibe_bench.result.compare import sample_key
from goodvibe_bench.result.correct import CorrectedRate, corrected
from goodvibe_bench.result.score import estimates
from goodvibe_bench.types import Estimate, Noun, Outcome, Result

BASE = "none"
"""The method that a gain is over."""


class View(Noun):
    """What one of several judges says of one row of a leaderboard."""

    judge: str
    secure_rate: Estimate
    corrected_rate: CorrectedRate
    gain: PairedDifference | None
    """Of secure outcomes over the base's on the same prompts; None where there is no base with these judges."""
    agreement: Agreement | None
    """With the first judge, on the labels of usable samples; None for the first itself, and where none is shared."""


def views(result: Result, rows: Sequence[dict[str, Any]], base: Result | None) -> list[View]:
    """Return every judge's view of these samples of `result`, the headline judge's first; none for a lone judge."""
    if not result.other_judges:
        return []
    found = []
    for place, judge in enumerate(instrument.judges(result)):
        own = _of(rows, judge["name"], place)
        found.append(
            View(
                judge=judge["name"],
                secure_rate=estimates(own)["secure_rate"],
                corrected_rate=corrected(own, instrument.calibrations(judge)),
                gain=_gain(_of(base.outcomes, judge["name"], place), own) if base else None,
                agreement=_agreement(rows, own) if place else None,
            )
        )
    return found


def base_of(result: Result, results: Sequence[Result]) -> Result | None:
    """Return the base of the same model, tasks and judges: one of the same seed where there is one, else any."""
    bases = [
        one
        for one in results
        if one.method == BASE
        and one.model.id == result.model.id
        and one.task_hashes == result.task_hashes
        and _digests(one) == _digests(result)
    ]
    same_sampling = [one for one in bases if one.config.get("sampling") == result.config.get("sampling")]
    ranked = sorted(same_sampling, key=lambda one: one.seed != result.seed)
    return ranked[0] if ranked and result.method != BASE else None


def flag(found: Sequence[View]) -> str:
    """Return which judges alone see a proven gain (interval above 0), or "" where all or none do."""
    gains = [(view.judge, view.gain) for view in found if view.gain is not None]
    seers = [judge for judge, gain in gains if gain.low > 0]
    return f"gain seen by {', '.join(seers)} only" if 0 < len(seers) < len(gains) else ""


def _digests(result: Result) -> list[tuple[Any, Any]]:
    return [(judge["name"], judge.get("digest")) for judge in instrument.judges(result)]


def _of(rows: Sequence[dict[str, Any]], judge: str, place: int) -> list[dict[str, Any]]:
    return instrument.seen_by(rows, judge) if place else list(rows)


def _gain(before: Sequence[dict[str, Any]], after: Sequence[dict[str, Any]]) -> PairedDifference | None:
    old = {sample_key(row): row["outcome"] == Outcome.SECURE for row in before}
    pairs = [
        (row.get("family") or row["prompt_id"], old[sample_key(row)], row["outcome"] == Outcome.SECURE)
        for row in after
        if sample_key(row) in old
    ]
    return paired_difference(pairs) if pairs else None


def _agreement(first: Sequence[dict[str, Any]], other: Sequence[dict[str, Any]]) -> Agreement | None:
    labels = [(a["label"], b["label"]) for a, b in zip(first, other, strict=True) if a["unusable"] is None]
    if all(None in pair for pair in labels):
        return None
    return agreement([a for a, _ in labels], [b for _, b in labels])
