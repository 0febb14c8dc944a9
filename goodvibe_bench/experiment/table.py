"""Our cells beside the paper's: every figure computed from results, the paper's averages from its own cells.

It runs and prints nothing.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, median
from typing import Any

from typing_extensions import TypedDict

from goodvibe_bench.experiment.definition import Column
from goodvibe_bench.experiment.execute import Answers
from goodvibe_bench.experiment.grid import Grid
from goodvibe_bench.experiment.neurons import neuron_file
from goodvibe_bench.result import utility
from goodvibe_bench.result.leaderboard import costs
from goodvibe_bench.result.score import estimates
from goodvibe_bench.types import Estimate, Result

AVERAGE = "average"
DIGITS = {"safe_rate": 1, "utility": 1, "utility_change": 2, "silhouette": 2, "trained_millions": 3, "pflops": 4}
UNITS = {
    "safe_rate": "safe responses in %",
    "trained_millions": "trained parameters in millions",
    "pflops": "PFLOPs of attribution and training",
    "tflops_per_second": "TFLOPs a second",
    "utility": "right answers in %",
    "utility_change": "points of right answers after training",
    "silhouette": "silhouette",
}


class Line(TypedDict):
    """One cell, or the average of one column."""

    group: str
    model: str
    heading: str
    metric: str
    paper: float | None
    """Of a model that stands in the place of the paper's: their average."""
    ours: float | None
    low: float | None
    high: float | None
    difference: float | None
    secure: float | None
    """This and valid: %, beside rates alone."""
    valid: float | None
    n: int | None
    results: int
    """One a seed."""


def lines(grid: Grid, found: Answers) -> list[Line]:
    """Return a line for every cell, and for every column with several models one with the averages."""
    lined: list[Line] = []
    for column in grid.columns:
        own = [_line(grid, model, column, found) for model in grid.models]
        lined += own
        if len(own) > 1:
            lined.append(_average(column, own))
    return sorted(lined, key=lambda line: _order(grid, line))


def _order(grid: Grid, line: Line) -> tuple[int, int]:
    groups = list(dict.fromkeys(column.group for column in grid.columns))
    models = [*grid.models, AVERAGE]
    return groups.index(line["group"]), models.index(line["model"])


def _line(grid: Grid, model: str, column: Column, found: Answers) -> Line:
    results = [found[key] for key in (grid.cell(model, column, seed).key for seed in grid.seeds) if key in found]
    scratch = grid.shared["scratch"]
    base = [found[key] for key in _bases(grid, model, column) if key in found]
    value = measured(column, results, base, scratch) if results else None
    ours = value.value if isinstance(value, Estimate) else value
    paper = grid.paper(model, column)
    line: Line = {
        "group": column.group,
        "model": model,
        "heading": column.heading,
        "metric": column.metric,
        "paper": paper,
        "ours": ours,
        "low": value.low if isinstance(value, Estimate) else None,
        "high": value.high if isinstance(value, Estimate) else None,
        "difference": None if ours is None or paper is None else ours - paper,
        "secure": None,
        "valid": None,
        "n": None,
        "results": len(results),
    }
    return line | _beside(results) if column.metric == "safe_rate" and results else line  # type: ignore[return-value]


def _bases(grid: Grid, model: str, column: Column) -> list[str]:
    bare = column.model_copy(update={"method": "none", "overrides": {}})
    return [grid.cell(model, bare, seed).key for seed in grid.seeds]


def _beside(results: Sequence[Result]) -> dict[str, Any]:
    rows = [row for result in results for row in result.outcomes]
    rates = estimates(rows)
    return {"secure": 100 * rates["secure_rate"].value, "valid": 100 * rates["valid_rate"].value, "n": len(rows)}


def measured(
    column: Column, results: Sequence[Result], base: Sequence[Result], scratch: Path
) -> Estimate | float | None:
    """Return the column's metric of these seeds of one cell, in the table's unit; None where it is not known."""
    spent = costs(results)
    flops, seconds = spent.flops, spent.training_seconds
    match column.metric:
        case "safe_rate":
            rate = estimates([row for result in results for row in result.outcomes])["safe_rate"]
            return rate.model_copy(update={name: 100 * getattr(rate, name) for name in ("value", "low", "high")})
        case "trained_millions":
            return None if spent.trainable_parameters is None else spent.trainable_parameters / 1e6
        case "pflops":
            return None if flops is None else flops / 1e15
        case "tflops_per_second":
            return flops / 1e12 / seconds if flops and seconds else None
        case "utility":
            return _mean([_score(result, column.benchmark) for result in results])
        case "utility_change":
            after, before = (_mean([_score(one, None) for one in side]) for side in (results, base))
            return None if after is None or before is None else after - before
        case "silhouette":
            return _silhouette(results, column.projection, scratch)


def _score(result: Result, benchmark: str | None) -> float | None:
    """Return the share right of a benchmark's first quoted metric in %; the mean over all where None."""
    scores = utility.scores(result)
    names = list(dict.fromkeys(name.partition(" ")[0] for name in scores))
    firsts = [next(score for key, score in scores.items() if key.partition(" ")[0] == name) for name in names]
    chosen = [score for name, score in zip(names, firsts, strict=True) if benchmark in {None, name}]
    return 100 * fmean(chosen) if chosen else None


def _silhouette(results: Sequence[Result], projection: str | None, scratch: Path) -> float | None:
    """Return the median over the layers and seeds of a projection's silhouettes; None without neuron files."""
    files = [file for file in (neuron_file(result, scratch) for result in results) if file is not None]
    known = [
        neurons.silhouette
        for file in files
        for name, neurons in file.selection.items()
        if name.rpartition(".")[2] == projection and math.isfinite(neurons.silhouette)
    ]
    return median(known) if known else None


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None


def _average(column: Column, own: Sequence[Line]) -> Line:
    """Return the averages: the paper's of its cells that are printed here, ours of those that are done."""
    both = [line for line in own if line["ours"] is not None]
    paper = _mean([line["paper"] for line in own])
    paper = column.average if paper is None else paper
    ours = _mean([line["ours"] for line in both]) if len(both) == len(own) else None
    return {
        "group": column.group,
        "model": AVERAGE,
        "heading": column.heading,
        "metric": column.metric,
        "paper": paper,
        "ours": ours,
        "low": None,
        "high": None,
        "difference": None if ours is None or paper is None else ours - paper,
        "secure": _mean([line["secure"] for line in both]) if ours is not None else None,
        "valid": _mean([line["valid"] for line in both]) if ours is not None else None,
        "n": None,
        "results": sum(line["results"] for line in own),
    }


def titles(lined: Sequence[Line]) -> dict[str, str]:
    """Return what stands above each group's table."""
    found = {}
    for group in dict.fromkeys(line["group"] for line in lined):
        metrics = dict.fromkeys(line["metric"] for line in lined if line["group"] == group)
        found[group] = f"{group}: {', '.join(UNITS[metric] for metric in metrics)}"
    return found


def cells(line: Line) -> dict[str, str]:
    """Return a line's columns as text."""
    digits = DIGITS.get(line["metric"], 1)

    def said(value: float | None, sign: str = "") -> str:
        return "" if value is None else f"{value:{sign}.{digits}f}"

    interval = "" if line["low"] is None or line["high"] is None else f" [{line['low']:.0f}, {line['high']:.0f}]"
    return {
        "model": line["model"],
        "column": line["heading"],
        "paper": said(line["paper"]),
        "ours": said(line["ours"]) + interval,
        "difference": said(line["difference"], "+"),
        "secure": "" if line["secure"] is None else f"{line['secure']:.1f}",
        "valid": "" if line["valid"] is None else f"{line['valid']:.1f}",
        "n": "" if line["n"] is None else str(line["n"]),
    }


def notes(grid: Grid, lined: Sequence[Line]) -> list[str]:
    """Return why figures differ: other models, averages that do not follow, and the definition's own notes."""
    found = []
    others = [model for model in grid.models if grid.stands_in(model)]
    if others:
        count = len(grid.definition.models)
        whose = f"the average of its {count} models" if count > 1 else f"of {grid.definition.models[0]}"
        found.append(
            f"{', '.join(others)} {'stands' if len(others) == 1 else 'stand'} in the place of the paper's models: the "
            f"paper's column is {whose}, and the difference is between different models."
        )
    if wrong := [column for column in grid.columns if not column.follows]:
        said = ", ".join(
            f"{column.group} {column.heading} {column.average:g} ({column.computed or 0:.{_decimals(column)}f})"
            for column in wrong
        )
        found.append(
            "Averages that the paper prints, and in brackets what its own cells give, which is what is compared with: "
            f"{said}."
        )
    if any(line["metric"] == "safe_rate" for line in lined):
        found.append(
            "The paper's rate is the share that the judge labels safe, whatever the text is; secure counts usable code "
            "alone, so that broken answers are not secure. Brackets are 95% intervals."
        )
    found += [f"{line['model']} {line['heading']} ({line['group']}): not done." for line in _missing(lined)]
    return found + list(grid.definition.notes)


def _decimals(column: Column) -> int:
    return 2 if column.average is not None and round(column.computed or 0, 1) == column.average else 1


def _missing(lined: Sequence[Line]) -> list[Line]:
    return [line for line in lined if not line["results"] and line["model"] != AVERAGE]
