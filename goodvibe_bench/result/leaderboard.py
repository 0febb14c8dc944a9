"""Rank results in a table: security never without validity and cost beside it. It reads results only."""

import csv
import io
from collections.abc import Sequence
from typing import Any

from goodvibe_bench.result.score import estimates
from goodvibe_bench.types import Estimate, Result

HEADINGS = {
    "model": "model",
    "method": "method",
    "task": "tasks",
    "judge": "judge",
    "n": "n",
    "secure_rate": "secure [95%]",
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
        found += [_row(result, task, outcomes) for task, outcomes in groups.items()]
    return sorted(found, key=lambda row: (row["task"] if by_language else "", -row["secure_rate"].value))


def _tasks(result: Result) -> str:
    return ",".join(task for task in result.results if task != "all")


def _row(result: Result, task: str, outcomes: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "model": result.model.id,
        "method": result.method,
        "seed": result.seed,
        "task": task,
        "judge": result.judge["name"],
        "n": len(outcomes),
        **estimates(outcomes),
        "trainable_parameters": max((report.trainable_parameters for report in result.training), default=0),
        "training_seconds": sum(r.training_seconds + r.attribution_seconds for r in result.training),
    }


def plain(found: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return rows as JSON data: a rate becomes its value, low and high."""
    return [
        {key: value.model_dump() if isinstance(value, Estimate) else value for key, value in row.items()}
        for row in found
    ]


def cells(row: dict[str, Any]) -> dict[str, str]:
    """Return a row's cells as text, by the keys of HEADINGS and in their order."""
    secure: Estimate = row["secure_rate"]
    shares = ("safe_rate", "valid_rate", "unusable_rate", "unjudged_rate")
    return {
        "model": row["model"],
        "method": row["method"],
        "task": row["task"],
        "judge": row["judge"],
        "n": str(row["n"]),
        "secure_rate": f"{percent(secure.value)} [{100 * secure.low:.0f}, {100 * secure.high:.0f}]",
        **{name: percent(row[name].value) for name in shares},
        "trainable_parameters": in_units(row["trainable_parameters"]),
        "training_seconds": f"{row['training_seconds']:.0f}",
    }


def shared(found: Sequence[dict[str, Any]]) -> dict[str, str]:
    """Return what all rows have in common among model, task and judge: a table says it once, above its rows."""
    return {key: found[0][key] for key in ("model", "task", "judge") if len({row[key] for row in found}) == 1}


def percent(share: float) -> str:
    """Return a share as per cent with one decimal."""
    return f"{100 * share:.1f}"


def in_units(count: int) -> str:
    """Return a count as people say it: 0, 299.5k, 1.22M, 8.03B."""
    for size, unit, digits in ((1e9, "B", 2), (1e6, "M", 2), (1e3, "k", 1)):
        if count >= size:
            return f"{count / size:.{digits}f}{unit}"
    return str(count)


def markdown(found: Sequence[dict[str, Any]]) -> str:
    """Return the rows as a Markdown table."""
    lines = ["| " + " | ".join(HEADINGS.values()) + " |", "|" + " --- |" * len(HEADINGS)]
    lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in cells(row).values()) + " |" for row in found]
    return "\n".join(lines)


def comma_separated(found: Sequence[dict[str, Any]]) -> str:
    """Return the rows as CSV, rates as shares with their bounds in columns of their own."""
    flat = []
    for row in found:
        columns: dict[str, Any] = {}
        for key, value in row.items():
            if isinstance(value, Estimate):
                columns |= {key: value.value, f"{key}_low": value.low, f"{key}_high": value.high}
            else:
                columns[key] = _inert(value)
        flat.append(columns)
    text = io.StringIO()
    writer = csv.DictWriter(text, list(flat[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(flat)
    return text.getvalue()


def _inert(value: Any) -> Any:
    """Return a text that no spreadsheet takes for a formula."""
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t")) else value
