"""What a report says of whole results: head, leaderboard, gains, chart points, judge cards. It makes no markup.

Every figure comes from the leaderboard, the comparison or the judge's card; texts of samples are `report_samples`'.
"""

import json
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from goodvibe_bench import catalog
from goodvibe_bench.errors import UsageError
from goodvibe_bench.result import form, instrument, leaderboard, utility
from goodvibe_bench.result.account import costs
from goodvibe_bench.result.compare import Comparison, Side, compare
from goodvibe_bench.result.pool import Entry, base_of, entries
from goodvibe_bench.result.score import estimates
from goodvibe_bench.types import Estimate, Result


def keys_of(results: Mapping[Path, Result]) -> dict[Path, str]:
    """Return a name for every result that links can use: its file's, with a number where two have one name."""
    found: dict[Path, str] = {}
    for path in results:
        double = sum(key.partition("~")[0] == path.stem for key in found.values())
        found[path] = f"{path.stem}~{double + 1}" if double else path.stem
    return found


def head(results: Mapping[Path, Result], keys: Mapping[Path, str]) -> dict[str, Any]:
    """Return what stands above all: what was run, and what to know before believing it."""
    ones = list(results.values())
    return {
        "models": sorted({one.model.id for one in ones}),
        "methods": list(dict.fromkeys(one.method for one in ones)),
        "tasks": sorted({task for one in ones for task in one.task_hashes}),
        "languages": sorted({str(row["language"]) for one in ones for row in one.outcomes}),
        "judge_names": list(dict.fromkeys(judge["name"] for one in ones for judge in instrument.judges(one))),
        "sizes": sorted({len(one.outcomes) for one in ones}),
        "dates": sorted(one.date for one in ones),
        "notes": form.notes(leaderboard.rows(ones)),
        "results": [_origin(one, keys[path]) for path, one in results.items()],
    }


def _origin(result: Result, key: str) -> dict[str, Any]:
    return {
        "key": key,
        "model": result.model.id,
        "method": result.method,
        "seed": result.seed,
        "date": result.date,
        "weights": result.model.digest,
        "code": str(result.provenance.get("code", "")),
        "tasks": result.task_hashes,
        "judges": [one["name"] for one in instrument.judges(result)],
        "versions": result.versions,
    }


def board(results: Sequence[Result]) -> dict[str, Any]:
    """Return the leaderboard: columns, and rows over all languages and, where there are several, of each."""
    whole = leaderboard.rows(results)
    said = set(form.shared(whole)) - {"n"} | form.idle([form.cells(row) for row in whole])
    columns = {key: text.replace(" [95%]", "") for key, text in form.HEADINGS.items() if key not in said}
    if len({row["table"] for row in whole}) > 1:
        columns = {"table": "table"} | columns
    parts = leaderboard.rows(results, by_language=True)
    parts = parts if len({row["task"] for row in parts}) > 1 else []
    found = [_row(row, "all", columns) for row in whole] + [_row(row, row["task"], columns) for row in parts]
    return {"columns": columns, "rows": found}


def _row(row: leaderboard.Row, language: str, columns: Mapping[str, str]) -> dict[str, Any]:
    texts = form.cells(row) | {"table": str(row["table"])}
    names = f"{row['model']} {row['method']} {row['judge']}"
    return {"language": language, "names": names, "cells": {key: _cell(row.get(key), texts[key]) for key in columns}}


def _cell(value: Any, text: str) -> dict[str, Any]:
    """Return a cell's text and what it sorts by; a rate brings its interval."""
    if isinstance(value, Estimate):
        return share(value)
    number = getattr(value, "value", value)
    return {"text": text, "value": number if isinstance(number, str | int | float) else None}


def share(found: Estimate) -> dict[str, Any]:
    """Return a rate as the page takes it."""
    return {"value": found.value, "low": found.low, "high": found.high, "n": found.n}


def gains(results: Mapping[Path, Result]) -> dict[str, Any]:
    """Return paired differences from the base, one row a method, judge and language, its seeds pooled.

    Also lines for what could not be compared, or only with care.
    """
    rows: list[dict[str, Any]] = []
    lines: list[str] = []
    for base, side in _sides(results):
        try:
            found = compare(base, side)
        except UsageError as error:
            lines.append(str(error))
            continue
        rows += _gain_rows(side.one, found)
        lines += [f"{side.one.method}: {note}" for note in found.notes]
    return {"rows": rows, "notes": lines}


def _sides(results: Mapping[Path, Result]) -> list[tuple[Side, Side]]:
    """Return (base, method) of all methods with a base; several results of one seed stay apart."""
    paths = {id(one): path for path, one in results.items()}
    known = entries(results.values())

    def side(entry: Entry) -> Side:
        return Side(entry.one.method, {paths[id(one)]: one for one in entry.results})

    return [(side(base), side(entry)) for entry in known if (base := base_of(entry, known))]


def _gain_rows(one: Result, found: Comparison) -> list[dict[str, Any]]:
    valid = {row.language: row for row in found.differences if row.rate == "valid"}
    return [
        {
            "model": one.model.id,
            "method": one.method,
            "judge": row.judge,
            "language": row.language,
            "secure": row.difference.model_dump(mode="json"),
            "p": row.difference.p_families if row.p_holm is None else row.p_holm,
            "valid": valid[row.language].difference.model_dump(mode="json"),
        }
        for row in found.differences
        if row.rate == "secure"
    ]


def points(results: Mapping[Path, Result], keys: Mapping[Path, str]) -> list[dict[str, Any]]:
    """Return a point a result: its rates, what it cost, and its utility where that was measured."""
    found = []
    for path, one in results.items():
        rates = estimates(one.outcomes)
        kept = {"key": keys[path], "model": one.model.id, "method": one.method, "seed": one.seed}
        both = {"secure": share(rates["secure_rate"]), "valid": share(rates["valid_rate"])}
        found.append(kept | both | {"costs": costs([one]).model_dump(), "utility": utility.scores(one)})
    return found


def judges(results: Sequence[Result]) -> list[dict[str, Any]]:
    """Return a card for every judge, by name and digest: figures of the results, and what its card knows besides."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for result in results:
        for judge in instrument.judges(result):
            key = (judge["name"], str(judge.get("digest", "")))
            if key not in found:
                found[key] = {"name": key[0], "digest": key[1], **_figures(judge), **_card(judge)}
    return list(found.values())


def _figures(judge: Mapping[str, Any]) -> dict[str, Any]:
    known = instrument.calibrations(judge)
    rows = [
        {
            "language": language,
            "n": one.n,
            "threshold": one.threshold,
            "tpr": share(one.tpr),
            "fpr": share(one.fpr),
            "auc": one.auc,
            "ece": one.ece if one.ece_scaled is None else one.ece_scaled,
            "chosen_on": "same data" if one.folds is None else "other folds",
            "useless": instrument.useless(one),
        }
        for language, one in known.items()
    ]
    return {"figures": rows}


def _card(judge: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the judge's definition and card say, of a judge that comes with the project.

    A name is looked up among the project's, so that no path is made of it. Read as plain data: whoever reads results
    needs no judge.
    """
    if judge["name"] not in catalog.names("judges"):
        return {"card": None, "card_note": "No card: this judge is none of those that come with the project."}
    folder = catalog.root() / "judges"
    about = tomllib.loads((folder / f"{judge['name']}.toml").read_text(encoding="utf-8")).get("description", "")
    path = folder / judge["name"] / "card.json"
    if not path.is_file():
        return {"card": None, "card_note": "No card: this judge was never fitted or calibrated.", "about": about}
    card = json.loads(path.read_text(encoding="utf-8"))
    same = card.get("calibration") == judge.get("calibration")
    return {
        "about": about,
        "card_note": "" if same else "The judge was calibrated again since: its card is not of these results' figures.",
        "card": {
            "sources": instrument.calibrated_on(card.get("data", {}), card.get("recipe", {})),
            "measured": card.get("measured", {}).get("rows", []),
            "date": card.get("measured", {}).get("date", ""),
            "notes": card.get("notes", ""),
        },
    }
