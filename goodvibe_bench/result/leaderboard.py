"""Rank results: security never without validity, utility and cost beside it. It reads results only, and prints nothing.

A row is one model and method, its seeds pooled. Rows of different tasks, samples, judges or settings are not compared:
they are in different tables, each with places of its own.
"""

from collections.abc import Iterable, Sequence
from statistics import fmean
from typing import Any, Literal

from typing_extensions import TypedDict

from goodvibe_bench.result import drift, instrument, ranking, utility
from goodvibe_bench.result.account import costs
from goodvibe_bench.result.correct import CorrectedRate, corrected_of
from goodvibe_bench.result.pool import Entry, base_of, entries
from goodvibe_bench.result.sample import sample_key
from goodvibe_bench.result.score import estimates_of
from goodvibe_bench.result.settings import by_seed, settings
from goodvibe_bench.result.side_by_side import View, flag, views
from goodvibe_bench.result.tally import of_language
from goodvibe_bench.types import Estimate, Result

Sort = Literal["secure", "corrected"]
Cost = Literal["flops", "seconds"]


class Row(TypedDict):
    """One model and method, over all languages or in one."""

    table: int
    """Rows are compared within one table only; the largest is 1."""
    rank: int | None
    """1 + the number of rows proven better (`ranking`); None where there is no other row."""
    model: str
    method: str
    seeds: list[int]
    task: str
    """The tasks, or the language."""
    judge: str
    n: int
    """Samples of all seeds."""
    secure_rate: Estimate
    safe_rate: Estimate
    valid_rate: Estimate
    insecure_rate: Estimate
    unusable_rate: Estimate
    unjudged_rate: Estimate
    corrected_rate: CorrectedRate
    utility: dict[str, float]
    """Score minus the bare model's, by benchmark; empty where one of the two has none."""
    pareto: bool | None
    """Whether no other row of this table, model and language is as secure and as cheap, and better in one of both, by
    the rate that is sorted by; None where either is not known."""
    cost: Cost
    """What is cheap: training FLOPs where all these rows know them, else seconds; attribution counts in both."""
    trainable_parameters: int | None
    flops: int | None
    """A multiply-add is 2. This, parameters, memory and seconds are None for samples made elsewhere."""
    peak_memory_bytes: int | None
    training_seconds: float | None
    """This and FLOPs: the mean over seeds of all that one result's training took, attribution included."""
    settings: dict[str, Any]
    judges: list[View]
    """What each judge says, where there are several."""
    gain_flag: str
    drift: list[str]
    """A line for every result of the table in which a judge scores the anchor snippets unlike in another one of it."""


def rows(
    results: Iterable[Result], *, by_language: bool = False, by_seed: bool = False, sort: Sort = "secure"
) -> list[Row]:
    """Return a row for every model and method (and language, and seed), every rate computed anew from its samples.

    Sorted by table, language where asked, and rate, the best first; rows without a corrected rate come last.
    """
    known = entries(results, by_seed=by_seed, lean=True)
    tables: dict[str, list[Entry]] = {}
    for entry in known:
        tables.setdefault(entry.table, []).append(entry)
    ordered = sorted(tables.values(), key=lambda table: (-len(table), _tasks(table[0].one), table[0].table))
    found: list[Row] = []
    for number, table in enumerate(ordered, 1):
        found += _table(number, table, known, by_language, sort)
    return found


def _table(number: int, table: Sequence[Entry], known: Sequence[Entry], by_language: bool, sort: Sort) -> list[Row]:
    spoken = sorted({kind[0] for kind in table[0].tally})
    languages: list[str | None] = list(spoken) if by_language else [None]
    places = ranking.places(table, languages)
    ones = [one for entry in table for one in entry.results]
    moved = [line for judge in instrument.judges(table[0].one) for line in drift.apart(ones, judge["name"])]
    found: list[Row] = []
    for language in languages:
        own = [
            _row(number, entry, base_of(entry, known), language, places[place, language])
            for place, entry in enumerate(table)
        ]
        _mark_unbeaten(own, sort)
        for row in own:
            row["drift"] = moved
        found += sorted(own, key=lambda row: (*_by(row, sort), row["model"], row["method"], row["seeds"]))
    return found


def _by(row: Row, sort: Sort) -> tuple[float, float]:
    secure, fair = row["secure_rate"].value, row["corrected_rate"].value
    return (0.0 if sort == "secure" else 2.0 if fair is None else -fair), -secure


def _tasks(result: Result) -> str:
    """Return the tasks in the order in which they were asked for; a file holds its keys sorted."""
    asked = result.config.get("tasks")
    order = asked if isinstance(asked, list) else []
    found = [task for task in result.results if task != "all"]
    return ",".join(sorted(found, key=lambda task: order.index(task) if task in order else len(order)))


def _row(number: int, entry: Entry, base: Entry | None, language: str | None, rank: int | None) -> Row:
    one = entry.one
    counts, blocks, seen = of_language(entry.tally, language), instrument.judges(one), []
    if blocks[1:]:
        chosen = [row for row in entry.rows if language in {None, row["language"]}]
        seen = views(blocks, chosen, _pairs(base, entry, language) if base else [])
    found: Any = {
        "table": number,
        "rank": rank,
        "model": one.model.id,
        "method": one.method,
        "seeds": [result.seed for result in entry.results],
        "task": language or _tasks(one),
        "judge": one.judge["name"],
        "n": sum(counts.values()),
        **estimates_of(counts),
        "corrected_rate": corrected_of(counts, instrument.calibrations(one.judge)),
        "utility": _utility(entry, base),
        "pareto": None,
        "cost": "flops",
        **costs(entry.results).model_dump(),
        "settings": settings(one),
        "judges": seen,
        "gain_flag": flag(seen),
        "drift": [],
    }
    return found


def _pairs(base: Entry, entry: Entry, language: str | None) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Return (row of the base, row of the entry) for every sample that both have, seed by seed."""
    found = []
    for before, after in by_seed(base.results, entry.results):
        old = {sample_key(row): row for row in before.outcomes if language in {None, row["language"]}}
        found += [(old[sample_key(row)], row) for row in after.outcomes if sample_key(row) in old]
    return found


def _utility(entry: Entry, base: Entry | None) -> dict[str, float]:
    """Return score minus the base's for every benchmark that both have, each the mean over their seeds."""
    after, before = _scores(entry.results), _scores(base.results if base else ())
    return {name: after[name] - before[name] for name in after if name in before}


def _scores(results: Sequence[Result]) -> dict[str, float]:
    """Return the mean utility score by benchmark of those results that measured it."""
    blocks = [utility.scores(result) for result in results]
    names = dict.fromkeys(name for block in blocks for name in block)
    return {name: fmean(block[name] for block in blocks if name in block) for name in names}


def _mark_unbeaten(found: Sequence[Row], sort: Sort) -> None:
    """Set `pareto` and `cost`, for the rows of each model by itself: another model's tuning is no alternative."""
    for model in dict.fromkeys(row["model"] for row in found):
        own = [row for row in found if row["model"] == model]
        counted = all(row["flops"] is not None for row in own if row["training_seconds"] is not None)
        points = []
        for row in own:
            cost = row["flops"] if counted else row["training_seconds"]
            rate = row["secure_rate"].value if sort == "secure" else row["corrected_rate"].value
            points.append(None if cost is None or rate is None else (rate, float(cost)))
        for row, mark in zip(own, ranking.unbeaten(points), strict=True):
            row["pareto"], row["cost"] = mark, "flops" if counted else "seconds"
