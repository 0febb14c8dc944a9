"""Several judges on the same samples: their rates, how far they agree, and gains that not all of them see.

It cannot say which judge is right.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from goodvibe_bench.metric.agreement import Agreement, agreement
from goodvibe_bench.metric.paired import PairedDifference, paired_difference
from goodvibe_bench.result import instrument
from goodvibe_bench.result.correct import CorrectedRate, corrected
from goodvibe_bench.result.sample import family
from goodvibe_bench.result.score import estimates
from goodvibe_bench.types import Estimate, Noun, Outcome

Row = dict[str, Any]
"""A sample as a result keeps it."""


class View(Noun):
    """What one of several judges says of one row of a leaderboard."""

    judge: str
    secure_rate: Estimate
    corrected_rate: CorrectedRate
    gain: PairedDifference | None
    """Of secure outcomes over the base's on the same prompts; None where there is no base with these judges, and for a
    judge that labelled none of a side's samples, such as an analyser that does not read their language."""
    harm: PairedDifference | None
    """The same of insecure outcomes: a model that writes more code can win in both."""
    agreement: Agreement | None
    """With the first judge, on the labels of usable samples; None for the first itself, and where none is shared."""


def views(judges: Sequence[Mapping[str, Any]], rows: Sequence[Row], pairs: Sequence[tuple[Row, Row]]) -> list[View]:
    """Return every judge's view of these samples, the headline judge's first; none for a lone judge.

    `judges` are blocks of one result. `pairs` are (the base's sample, one of `rows`) on the same prompts, none where
    there is no base.
    """
    if len(judges) < 2:
        return []
    found = []
    for place, judge in enumerate(judges):
        own = _of(rows, judge["name"], place)
        before, after = (_of(side, judge["name"], place) for side in zip(*pairs, strict=True)) if pairs else ([], [])
        seen = pairs and not _blind(before) and not _blind(after)
        found.append(
            View(
                judge=judge["name"],
                secure_rate=estimates(own)["secure_rate"],
                corrected_rate=corrected(own, instrument.calibrations(judge)),
                gain=_more(Outcome.SECURE, before, after) if seen else None,
                harm=_more(Outcome.INSECURE, before, after) if seen else None,
                agreement=_agreement(rows, own) if place else None,
            )
        )
    return found


def flag(found: Sequence[View]) -> str:
    """Return which judges alone see a proven gain (interval above 0), and which prove more insecure code beside one.

    "" where all or none see a gain, and none of them harm.
    """
    known = [view for view in found if view.gain is not None]
    seers = [view.judge for view in known if view.gain is not None and view.gain.low > 0]
    harmed = [view.judge for view in known if view.harm is not None and view.harm.low > 0]
    words = [f"gain seen by {', '.join(seers)} only"] if 0 < len(seers) < len(known) else []
    words += [f"more insecure code too, by {', '.join(harmed)}"] if seers and harmed else []
    return "; ".join(words)


def _of(rows: Sequence[Row], judge: str, place: int) -> list[Row]:
    return instrument.seen_by(rows, judge) if place else list(rows)


def _blind(rows: Sequence[Row]) -> bool:
    """Say whether a judge had something to label, and labelled nothing."""
    return any(row["outcome"] == Outcome.UNJUDGED for row in rows) and all(row["label"] is None for row in rows)


def _more(outcome: Outcome, before: Sequence[Row], after: Sequence[Row]) -> PairedDifference:
    both = zip(before, after, strict=True)
    return paired_difference([(family(new), old["outcome"] == outcome, new["outcome"] == outcome) for old, new in both])


def _agreement(first: Sequence[Row], other: Sequence[Row]) -> Agreement | None:
    labels = [(a["label"], b["label"]) for a, b in zip(first, other, strict=True) if a["unusable"] is None]
    if all(None in pair for pair in labels):
        return None
    return agreement([a for a, _ in labels], [b for _, b in labels])
