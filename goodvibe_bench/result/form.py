"""Leaderboard rows as text: cells, titles, notes, Markdown, HTML, CSV, JSON data. It computes no figure."""

import csv
import html as escaping
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from goodvibe_bench.metric.paired import OverSeeds, PairedDifference
from goodvibe_bench.result.account import Costs
from goodvibe_bench.result.correct import CorrectedRate
from goodvibe_bench.result.leaderboard import Row
from goodvibe_bench.result.side_by_side import View
from goodvibe_bench.result.utility import ASKED, Delta, said
from goodvibe_bench.types import Estimate
from goodvibe_bench.untrusted import markdown as markdown_text

HEADINGS = {
    "rank": "rank",
    "model": "model",
    "method": "method",
    "seeds": "seeds",
    "task": "tasks",
    "judge": "judge",
    "n": "n",
    "secure_rate": "secure [95%]",
    "corrected_rate": "corrected [95%]",
    "pareto": "pareto",
    "valid_rate": "valid",
    "unusable_rate": "unusable",
    "unjudged_rate": "unjudged",
    "utility": "utility change",
    "safe_rate": "safe (paper)",
    "trainable_parameters": "trained",
    "flops": "train PFLOP",
    "training_seconds": "train s",
    "peak_memory_bytes": "peak GiB",
}
OPTIONAL = (
    *("corrected_rate", "pareto", "trainable_parameters", "unjudged_rate", "utility", "training_seconds", "flops"),
    *("unusable_rate", "safe_rate", "peak_memory_bytes", "n"),
)
"""Columns that a narrow terminal leaves out, and names: the last ones first."""
JUDGE_HEADINGS = {
    "model": "model",
    "method": "method",
    "seeds": "seeds",
    "task": "tasks",
    "judge": "judge",
    "secure_rate": "secure [95%]",
    "corrected_rate": "corrected [95%]",
    "gain": "gain [95%]",
    "kappa": "kappa",
    "disagreement": "differ [95%]",
    "both": "n of both",
}
JUDGES_TITLE = "Several judges: gain over `none` by the same judge; kappa and differ, with the first judge"
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
COST_NAMES = {
    "trainable_parameters": "trained parameters",
    "flops": "training PFLOP",
    "training_seconds": "training seconds",
    "peak_memory_bytes": "peak GiB",
}
COSTS = {"flops": "training FLOPs", "seconds": "seconds of training"}
RANK = (
    "rank: 1 + the rows of the table that are proven more secure, on the same prompts (sign-flip test over prompt "
    "families, Holm over all pairs of the table, 5%); rows of one rank are not told apart."
)
TRAINED = (
    "seeds: ranks and intervals are of the models that were trained, on other prompts. Training anew with another seed "
    "may change more: `run` it with several seeds, and `compare` tells both."
)
APART = "Tables are not compared with one another: their prompts, judges or settings are not the same."
DRIFTS = 3
"""Lines of judges that drifted that are shown."""
DRIFTED = "Rows of a judge that drifted are as of two judges: their order tells nothing, and check refuses them."
_KINDS = ("model", "task", "judge", "n", "seeds")
NAMES = ("model", "method", "task", "judge")
"""Columns of words that come from elsewhere."""


def cells(row: Row) -> dict[str, str]:
    """Return a row's cells as text, by the keys of HEADINGS and in their order."""
    utility = row["utility"].values()
    return {
        "rank": "" if row["rank"] is None else str(row["rank"]),
        "model": row["model"],
        "method": row["method"],
        "seeds": _seeds(row),
        "task": row["task"],
        "judge": row["judge"],
        "n": str(row["n"]),
        "secure_rate": _rate(row["secure_rate"]),
        "corrected_rate": _corrected(row["corrected_rate"]),
        "pareto": "*" if row["pareto"] else "",
        "valid_rate": percent(row["valid_rate"].value),
        "unusable_rate": percent(row["unusable_rate"].value),
        "unjudged_rate": percent(row["unjudged_rate"].value),
        "utility": f"{100 * sum(utility) / len(utility):+.1f}" if utility else "",
        "safe_rate": percent(row["safe_rate"].value),
        **_cost_cells(row),
    }


def _cost_cells(found: Mapping[str, Any]) -> dict[str, str]:
    return {
        "trainable_parameters": _known(found["trainable_parameters"], in_units),
        "flops": _known(found["flops"], lambda flops: f"{flops / 1e15:.3g}"),
        "training_seconds": _known(found["training_seconds"], lambda seconds: f"{seconds:.0f}"),
        "peak_memory_bytes": _known(found["peak_memory_bytes"], lambda size: f"{size / 2**30:.1f}"),
    }


def beside(utility: Sequence[Delta], costs: tuple[Costs, Costs]) -> list[str]:
    """Return lines that stand beside a difference in security: utility, and what training cost; "?" is not known."""
    measured = [f"utility: {said(one)}" for one in utility if one.task != ASKED]
    asked = [said(one) for one in utility if one.task == ASKED]
    before, after = (_cost_cells(one.model_dump()) for one in costs)
    spent = ", ".join(f"{COST_NAMES[key]} {before[key]} -> {after[key]}" for key in before)
    unknown = "utility: not measured on both sides (`run --utility TASKS` does)"
    return [*(measured or [unknown]), *asked, f"cost: {spent}"]


def _known(value: Any, text: Any) -> str:
    return "?" if value is None else text(value)


def _seeds(row: Row) -> str:
    return ",".join(map(str, row["seeds"]))


def tables(rows: Iterable[Row]) -> list[list[Row]]:
    """Return the rows of each table."""
    found: dict[int, list[Row]] = {}
    for row in rows:
        found.setdefault(row["table"], []).append(row)
    return list(found.values())


def judge_cells(rows: Sequence[Row]) -> list[dict[str, str]]:
    """Return a line for every judge of every row with several, by the keys of JUDGE_HEADINGS and in their order."""
    return [_view_cells(row, view) for row in rows for view in row["judges"]]


def _view_cells(row: Row, view: View) -> dict[str, str]:
    kappa = view.agreement.kappa if view.agreement else None
    return {
        "model": row["model"],
        "method": row["method"],
        "seeds": _seeds(row),
        "task": row["task"],
        "judge": view.judge,
        "secure_rate": _rate(view.secure_rate),
        "corrected_rate": _corrected(view.corrected_rate),
        "gain": _rate(view.gain, sign="+") if view.gain else "",
        "kappa": f"{kappa.value:.2f}" if kappa else "",
        "disagreement": _rate(view.agreement.disagreement) if view.agreement else "",
        "both": str(view.agreement.n) if view.agreement else "",
    }


def idle(lines: Sequence[dict[str, str]]) -> set[str]:
    """Return the columns that say nothing: empty ones, samples without a verdict where there are none, no correction
    at all, costs that nobody knows, and the mark of the only row.
    """
    silent = {"unjudged_rate": "0.0", "corrected_rate": MARKS["uncalibrated"]} | (
        {"pareto": "*"} if len(lines) < 2 else {}
    )
    return {key for key in lines[0] if {line[key] for line in lines} <= {"", "?", silent.get(key, "")}}


def shared(rows: Sequence[Row]) -> dict[str, str]:
    """Return what all rows have in common among model, tasks, judge, n, seeds: a table says it once, above its rows."""
    texts = [{key: _seeds(row) if key == "seeds" else str(row[key]) for key in _KINDS} for row in rows]
    return {key: texts[0][key] for key in _KINDS if len({text[key] for text in texts}) == 1}


def title(rows: Sequence[Row], everything: Sequence[Row]) -> str:
    """Return what is common to the rows of one table, and the settings that other tables do not share with it."""
    words = [f"{HEADINGS[key]} {value}" for key, value in shared(rows).items()]
    own, others = rows[0]["settings"], [row["settings"] for row in everything]
    words += [f"{key} {own[key]}" for key in own if any(other.get(key) != own[key] for other in others)]
    return f"Rates in %, 95% intervals; {'; '.join(words)}"


def notes(rows: Sequence[Row]) -> list[str]:
    """Return lines to stand below all tables: what ranks and marks mean, where, and gains that not all judges see."""
    where: dict[str, dict[str, set[str]]] = {mark: {} for mark in MEANING}
    for row in rows:
        rates = [(row["judge"], row["corrected_rate"]), *((view.judge, view.corrected_rate) for view in row["judges"])]
        for judge, found in rates:
            for language, state in found.states.items():
                if state in MARKS:
                    where[MARKS[state]].setdefault(judge, set()).add(language)
    lines = [RANK] if any(row["rank"] is not None for row in rows) else []
    lines += [TRAINED] if any(row["trainable_parameters"] for row in rows) else []
    lines += [APART] if len(tables(rows)) > 1 else []
    lines += [
        _pareto(cost) for cost in COSTS if any(row["rank"] and row["pareto"] and row["cost"] == cost for row in rows)
    ]
    lines += [
        f"{mark}: judge {judge} in {', '.join(sorted(languages))} {MEANING[mark]}."
        for mark, judges in where.items()
        for judge, languages in judges.items()
    ]
    lines += _drift(rows)
    common = shared(rows)
    for row in rows:
        if row["gain_flag"]:
            place = [row[key] for key in ("model", "method", "task") if key not in common]
            lines.append(f"{', '.join(place)}: {row['gain_flag']}")
    return lines


def _drift(rows: Sequence[Row]) -> list[str]:
    """Return what judges that drifted did, the first lines of it, and what that means for the ranks."""
    found = list(dict.fromkeys(line for row in rows for line in row["drift"]))
    if not found:
        return []
    more = [f"... and {len(found) - DRIFTS} results more with a judge that drifted."] if found[DRIFTS:] else []
    return [*found[:DRIFTS], *more, DRIFTED]


def _pareto(cost: str) -> str:
    return (
        f"pareto: no other row of its table and model is at least as secure and as cheap (in {COSTS[cost]}, "
        "attribution included; by the values alone, whatever their intervals)."
    )


def percent(share: float) -> str:
    """Return a share as per cent with one decimal."""
    return f"{100 * share:.1f}"


def points(found: PairedDifference | OverSeeds) -> str:
    """Return a difference and its interval in percentage points, signed."""
    return f"{100 * found.value:+.1f} [{100 * found.low:+.1f}, {100 * found.high:+.1f}]"


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


Block = tuple[str, dict[str, str], list[dict[str, str]]]
"""Title, headings, lines."""


def blocks(rows: Sequence[Row]) -> list[Block]:
    """Return what is printed: for every table its rows, and then its judges where a row has several."""
    found: list[Block] = []
    for own in tables(rows):
        found.append((title(own, rows), HEADINGS, [cells(row) for row in own]))
        if views := judge_cells(own):
            found.append((JUDGES_TITLE, JUDGE_HEADINGS, views))
    return found


def markdown(rows: Sequence[Row]) -> str:
    """Return the rows as Markdown tables, one of the judges where a row has several, and the notes."""
    found = [f"{markdown_text(words)}\n\n{_markdown(headings, lines)}" for words, headings, lines in blocks(rows)]
    if lines := notes(rows):
        found.append("\n".join(f"- {markdown_text(line)}" for line in lines))
    return "\n\n".join(found)


def _markdown(headings: dict[str, str], found: Sequence[dict[str, str]]) -> str:
    lines = ["| " + " | ".join(headings.values()) + " |", "|" + " --- |" * len(headings)]
    lines += ["| " + " | ".join(_cell_text(key, text) for key, text in line.items()) + " |" for line in found]
    return "\n".join(lines)


def _cell_text(key: str, text: str) -> str:
    """Return a cell for Markdown; figures are our own words, and stay as they are."""
    return markdown_text(text) if key in NAMES else text.replace("*", "\\*")


STYLE = (
    "body{font:14px/1.5 system-ui,sans-serif;margin:2rem}table{border-collapse:collapse;margin-bottom:1.5rem}"
    "caption{text-align:left;font-weight:600;padding:.5rem 0}th,td{padding:.3rem .7rem;border-bottom:1px solid #ccc;"
    "text-align:left;font-variant-numeric:tabular-nums}"
)


def html(rows: Sequence[Row]) -> str:
    """Return one static page with the same tables and notes: no script, and nothing that it loads."""
    body = "".join(_html(*block) for block in blocks(rows))
    said = "".join(f"<li>{escaping.escape(line)}</li>" for line in notes(rows))
    head = f'<meta charset="utf-8"><title>goodvibe-bench leaderboard</title><style>{STYLE}</style>'
    return f'<!doctype html>\n<html lang="en"><head>{head}</head><body>\n{body}<ul>{said}</ul>\n</body></html>\n'


def _html(words: str, headings: dict[str, str], lines: Sequence[dict[str, str]]) -> str:
    silent = idle(lines)
    kept = [key for key in headings if key not in silent]
    head = "".join(f'<th scope="col">{escaping.escape(headings[key])}</th>' for key in kept)
    body = ["".join(f"<td>{escaping.escape(line[key])}</td>" for key in kept) for line in lines]
    trs = "".join(f"<tr>{line}</tr>\n" for line in (head, *body))
    return f"<table><caption>{escaping.escape(words)}</caption>\n{trs}</table>\n"


def plain(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Return rows as JSON data: a rate becomes its value, low and high."""
    return [{key: _plain(value) for key, value in row.items()} for row in rows]


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    return [_plain(one) for one in value] if isinstance(value, list) else value


def comma_separated(rows: Sequence[Row]) -> str:
    """Return the rows as CSV, rates as shares with their bounds in columns of their own, other judges' as judge2 ..."""
    flat = [_flat(row) for row in rows]
    text = io.StringIO()
    writer = csv.DictWriter(text, list(dict.fromkeys(key for row in flat for key in row)), lineterminator="\n")
    writer.writeheader()
    writer.writerows(flat)
    return text.getvalue()


def _flat(row: Row) -> dict[str, Any]:
    columns: dict[str, Any] = {}
    for key, value in row.items():
        if key not in {"judges", "settings", "utility", "drift"}:
            columns |= _columns(key, _seeds(row) if key == "seeds" else value)
    columns |= {"drift": "; ".join(row["drift"])} if row["drift"] else {}
    columns |= {f"utility_{_inert(name)}": change for name, change in row["utility"].items()}
    for place, view in enumerate(row["judges"], 1):
        if place == 1:
            columns |= _columns("gain", view.gain)
            continue
        columns[f"judge{place}"] = _inert(view.judge)
        found = view.agreement
        own = {"secure_rate": view.secure_rate, "corrected_rate": view.corrected_rate, "gain": view.gain}
        own |= {"kappa": found and found.kappa, "disagreement": found and found.disagreement}
        own |= {"n_of_both": found and found.n}
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
