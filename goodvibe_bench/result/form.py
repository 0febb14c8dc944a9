"""Leaderboard rows as text: cells and notes of tables, Markdown, CSV, JSON data. It computes no figure."""

import csv
import io
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel

from goodvibe_bench.metric.paired import PairedDifference
from goodvibe_bench.result.correct import CorrectedRate
from goodvibe_bench.result.leaderboard import HEADINGS
from goodvibe_bench.result.side_by_side import View
from goodvibe_bench.types import Estimate

JUDGE_HEADINGS = {
    "model": "model",
    "method": "method",
    "task": "tasks",
    "judge": "judge",
    "secure_rate": "secure [95%]",
    "corrected_rate": "corrected [95%]",
    "gain": "gain [95%]",
    "kappa": "kappa",
    "disagreement": "differ",
}
MARKS = {
    "below": "out of range",
    "above": "out of range",
    "refuted": "refuted",
    "useless": "useless judge",
    "uncalibrated": "uncalibrated",
}
"""What a corrected rate that is not to be trusted is marked with, in words."""
MEANING = {
    "out of range": "calls a share secure that is outside 1 - TPR to 1 - FPR: the rate is clipped to what can be",
    "refuted": "calls a share secure that no true rate explains: its calibration does not fit these samples",
    "useless judge": "has a TPR - FPR that could be zero: no corrected rate is better than another",
    "uncalibrated": "has no calibration, so there is no corrected rate",
}


def cells(row: dict[str, Any]) -> dict[str, str]:
    """Return a row's cells as text, by the keys of HEADINGS and in their order."""
    shares = ("safe_rate", "valid_rate", "unusable_rate", "unjudged_rate")
    return {
        "model": row["model"],
        "method": row["method"],
        "task": row["task"],
        "judge": row["judge"],
        "n": str(row["n"]),
        "secure_rate": _rate(row["secure_rate"]),
        "corrected_rate": _corrected(row["corrected_rate"]),
        **{name: percent(row[name].value) for name in shares},
        "trainable_parameters": in_units(row["trainable_parameters"]),
        "training_seconds": f"{row['training_seconds']:.0f}",
    }


def judge_cells(rows: Sequence[dict[str, Any]]) -> list[dict[str, str]]:
    """Return a line for every judge of every row with several, by the keys of JUDGE_HEADINGS and in their order."""
    return [_view_cells(row, view) for row in rows for view in row["judges"]]


def _view_cells(row: dict[str, Any], view: View) -> dict[str, str]:
    kappa = view.agreement.kappa if view.agreement else None
    return {
        "model": row["model"],
        "method": row["method"],
        "task": row["task"],
        "judge": view.judge,
        "secure_rate": _rate(view.secure_rate),
        "corrected_rate": _corrected(view.corrected_rate),
        "gain": _rate(view.gain, sign="+") if view.gain else "",
        "kappa": f"{kappa.value:.2f}" if kappa else "",
        "disagreement": percent(view.agreement.disagreement.value) if view.agreement else "",
    }


def idle(lines: Sequence[dict[str, str]]) -> set[str]:
    """Return the columns that say nothing: empty ones, samples without a verdict where there are none, no correction
    at all.
    """
    silent = {"unjudged_rate": "0.0", "corrected_rate": MARKS["uncalibrated"]}
    return {key for key in lines[0] if {line[key] for line in lines} <= {"", silent.get(key, "")}}


def shared(rows: Sequence[dict[str, Any]]) -> dict[str, str]:
    """Return what all rows have in common among model, tasks, judge, n: a table says it once, above its rows."""
    return {key: str(rows[0][key]) for key in ("model", "task", "judge", "n") if len({row[key] for row in rows}) == 1}


def notes(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Return lines to stand below a table: what its marks mean and where, and gains that not all judges see."""
    where: dict[str, dict[str, set[str]]] = {mark: {} for mark in MEANING}
    for row in rows:
        rates = [(row["judge"], row["corrected_rate"]), *((view.judge, view.corrected_rate) for view in row["judges"])]
        for judge, found in rates:
            for language, state in found.states.items():
                if state in MARKS:
                    where[MARKS[state]].setdefault(judge, set()).add(language)
    lines = [
        f"{mark}: judge {judge} in {', '.join(sorted(languages))} {MEANING[mark]}."
        for mark, judges in where.items()
        for judge, languages in judges.items()
    ]
    common = shared(rows)
    for row in rows:
        if row["gain_flag"]:
            place = [row[key] for key in ("model", "method", "task") if key not in common]
            lines.append(f"{', '.join(place)}: {row['gain_flag']}")
    return lines


def percent(share: float) -> str:
    """Return a share as per cent with one decimal."""
    return f"{100 * share:.1f}"


def in_units(count: int) -> str:
    """Return a count as people say it: 0, 299.5k, 1.22M, 8.03B."""
    for size, unit, digits in ((1e9, "B", 2), (1e6, "M", 2), (1e3, "k", 1)):
        if count >= size:
            return f"{count / size:.{digits}f}{unit}"
    return str(count)


def _rate(found: Estimate | PairedDifference, sign: str = "") -> str:
    return f"{100 * found.value:{sign}.1f} [{100 * found.low:.0f}, {100 * found.high:.0f}]"


def _corrected(found: CorrectedRate) -> str:
    mark = MARKS.get(found.state, "")
    if found.value is None or found.low is None or found.high is None:
        return mark
    return f"{percent(found.value)} [{100 * found.low:.0f}, {100 * found.high:.0f}] {mark}".rstrip()


def markdown(rows: Sequence[dict[str, Any]]) -> str:
    """Return the rows as a Markdown table, one of the judges where a row has several, and the notes."""
    blocks = [_markdown(HEADINGS, [cells(row) for row in rows])]
    if views := judge_cells(rows):
        blocks.append(_markdown(JUDGE_HEADINGS, views))
    if lines := notes(rows):
        blocks.append("\n".join(f"- {line}" for line in lines))
    return "\n\n".join(blocks)


def _markdown(headings: dict[str, str], found: Sequence[dict[str, str]]) -> str:
    lines = ["| " + " | ".join(headings.values()) + " |", "|" + " --- |" * len(headings)]
    lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in line.values()) + " |" for line in found]
    return "\n".join(lines)


def plain(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return rows as JSON data: a rate becomes its value, low and high."""
    return [{key: _plain(value) for key, value in row.items()} for row in rows]


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    return [_plain(one) for one in value] if isinstance(value, list) else value


def comma_separated(rows: Sequence[dict[str, Any]]) -> str:
    """Return the rows as CSV, rates as shares with their bounds in columns of their own, other judges' as judge2 ..."""
    flat = [_flat(row) for row in rows]
    text = io.StringIO()
    writer = csv.DictWriter(text, list(dict.fromkeys(key for row in flat for key in row)), lineterminator="\n")
    writer.writeheader()
    writer.writerows(flat)
    return text.getvalue()


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    columns: dict[str, Any] = {}
    for key, value in row.items():
        if key != "judges":
            columns |= _columns(key, value)
    for place, view in enumerate(row["judges"], 1):
        if place == 1:
            columns |= _columns("gain", view.gain)
            continue
        columns[f"judge{place}"] = _inert(view.judge)
        found = view.agreement
        own = {"secure_rate": view.secure_rate, "corrected_rate": view.corrected_rate, "gain": view.gain}
        own |= {"kappa": found and found.kappa, "disagreement": found and found.disagreement}
        for key, value in own.items():
            columns |= _columns(f"judge{place}_{key}", value)
    return columns


def _columns(key: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, Estimate | CorrectedRate | PairedDifference):
        return {key: _inert(value)}
    found = {key: value.value, f"{key}_low": value.low, f"{key}_high": value.high}
    return found | ({f"{key}_state": value.state} if isinstance(value, CorrectedRate) else {})


def _inert(value: Any) -> Any:
    """Return a text that no spreadsheet takes for a formula."""
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t")) else value
