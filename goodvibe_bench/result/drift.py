"""Whether a judge still says the same under one digest: its scores of the anchor snippets in two results.

A digest covers definition, weights and thresholds, not the machine, its libraries or an analyser's rules. Results from
before anchors were kept cannot be told. It asks no judge.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from goodvibe_bench.result import instrument
from goodvibe_bench.types import Result

TOLERANCE = 0.02
"""How far p_unsafe of one snippet may move: rounding on another machine is less, another answer is more."""


def drifted(first: Result, others: Sequence[Result], judge: str) -> list[str]:
    """Return a line for every result in which `judge` scores the anchor snippets unlike in `first`."""
    before = _anchor(first, judge)
    return [line for one in others if (line := _line(before, _anchor(one, judge), judge, one))]


def apart(results: Sequence[Result], judge: str) -> list[str]:
    """Return lines of those results in which `judge` scores the anchor snippets unlike in another one of them.

    Held against the first that any differs from. Without drift it takes one look at each result.
    """
    kinds: dict[str, Result] = {}
    for one in results:
        if found := _anchor(one, judge):
            kinds.setdefault(repr((found["digest"], sorted(found["p_unsafe"].items()))), one)
    if not _spread([_anchor(one, judge) for one in kinds.values()]):
        return []
    for first in kinds.values():
        if lines := drifted(first, results, judge):
            return [f"{line}, beside {first.method} (seed {first.seed})" for line in lines]
    return []


def _spread(anchors: Sequence[Mapping[str, Any]]) -> bool:
    """Return whether any two of these can differ by more than is allowed."""
    if len({one["digest"] for one in anchors}) > 1:
        return True
    for name in {name for one in anchors for name in one["p_unsafe"]}:
        scores = [one["p_unsafe"].get(name) for one in anchors]
        known = [score for score in scores if score is not None]
        if len(known) not in {0, len(scores)} or (known and max(known) - min(known) > TOLERANCE):
            return True
    return False


def untold(results: Sequence[Result], judge: str) -> list[str]:
    """Return one note where results have no anchor scores of `judge`."""
    names = dict.fromkeys(f"{one.method} (seed {one.seed})" for one in results if not _anchor(one, judge))
    if not names:
        return []
    return [f"whether judge {judge} drifted is not known: no anchor scores in {', '.join(names)}"]


def _anchor(one: Result, judge: str) -> Mapping[str, Any]:
    blocks = [block for block in instrument.judges(one) if block["name"] == judge]
    return (blocks[0].get("anchor") if blocks else None) or {}


def _line(before: Mapping[str, Any], after: Mapping[str, Any], judge: str, one: Result) -> str:
    if not before or not after:
        return ""
    if before["digest"] != after["digest"]:
        return f"judge {judge} was anchored on other snippets in {one.method} (seed {one.seed})"
    old, new = before["p_unsafe"], after["p_unsafe"]
    moved = [name for name in old if _moved(old[name], new.get(name))]
    if not moved:
        return ""
    far = max((abs(old[name] - new[name]) for name in moved if None not in (old[name], new.get(name))), default=None)
    how = "an answer on one side only" if far is None else f"by up to {far:.2f}"
    return (
        f"judge {judge} drifted: it scores {len(moved)} of {len(old)} anchor snippets otherwise in {one.method} "
        f"(seed {one.seed}), {how}, more than {TOLERANCE:g} is allowed"
    )


def _moved(old: float | None, new: float | None) -> bool:
    return (old is None) != (new is None) or (old is not None and new is not None and abs(old - new) > TOLERANCE)
