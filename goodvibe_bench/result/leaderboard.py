"""Rank results: security never without validity and cost beside it. It reads results only, and prints nothing."""

from collections.abc import Sequence
from typing import Any

from goodvibe_bench.result import instrument
from goodvibe_bench.result.correct import corrected
from goodvibe_bench.result.score import estimates
from goodvibe_bench.result.side_by_side import base_of, flag, views
from goodvibe_bench.types import Result

HEADINGS = {
    "model": "model",
    "method": "method",
    "task": "tasks",
    "judge": "judge",
    "n": "n",
    "secure_rate": "secure [95%]",
    "corrected_rate": "corrected [95%]",
    "safe_rate": "safe (paper)",
    "valid_rate": "valid",
    "unusable_rate": "unusable",
    "unjudged_rate": "unjudged",
    "trainable_parameters": "trained",
    "training_seconds": "train s",
}


def rows(results: Sequence[Result], *, by_language: bool = False) -> list[dict[str, Any]]:
    """Return one row a result (and language), best secure rate first, every rate computed anew from its samples."""
    found = []
    for result in results:
        groups: dict[str, list[dict[str, Any]]] = {}
        for outcome in result.outcomes:
            groups.setdefault(outcome["language"] if by_language else _tasks(result), []).append(outcome)
        base = base_of(result, results)
        found += [_row(result, task, outcomes, base) for task, outcomes in groups.items()]
    return sorted(found, key=lambda row: (row["task"] if by_language else "", -row["secure_rate"].value))


def _tasks(result: Result) -> str:
    return ",".join(task for task in result.results if task != "all")


def _row(result: Result, task: str, outcomes: list[dict[str, Any]], base: Result | None) -> dict[str, Any]:
    seen = views(result, outcomes, base)
    return {
        "model": result.model.id,
        "method": result.method,
        "seed": result.seed,
        "task": task,
        "judge": result.judge["name"],
        "n": len(outcomes),
        **estimates(outcomes),
        "corrected_rate": corrected(outcomes, instrument.calibrations(result.judge)),
        "trainable_parameters": max((report.trainable_parameters for report in result.training), default=0),
        "training_seconds": sum(r.training_seconds + r.attribution_seconds for r in result.training),
        "judges": seen,
        "gain_flag": flag(seen),
    }
