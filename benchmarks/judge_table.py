"""The tables of docs/judges.md, from the cards in judges/ alone.

    goodvibe-bench judge bench --judge JUDGES --data FOLDER --probes --save   # the cards of the judges named below
    python benchmarks/judge_table.py                                          # the tables

It measures nothing and asserts nothing; a test compares what it prints with the page.
"""

import json
import sys
from pathlib import Path
from typing import Any

from goodvibe_bench.judging.bench import MACRO
from goodvibe_bench.judging.card import probe_rows

JUDGES = ("panel", "smollm2-135m", "signals", "pairwise", "linear")
FOLDER = Path(__file__).parent.parent / "judges"
SETS = {
    "CyberNative C++": ("cybernative", "cpp"),
    "Java": ("cybernative", "java"),
    "Swift": ("cybernative", "swift"),
    "Go": ("cybernative", "go"),
    "bundled pairs": ("bundled-pairs", MACRO),
    "bundled cases": ("bundled-cases", MACRO),
    "sven": ("sven", "cpp"),
    "vjbench": ("vjbench", "java"),
    "safecoder": ("safecoder", MACRO),
}
"""Heading to set and language."""


def tables() -> list[list[str]]:
    """Return the lines of each table: AUC, TPR and FPR, order of pairs, and probes."""
    cards = {name: json.loads((FOLDER / name / "card.json").read_text())["measured"] for name in JUDGES}
    return [_table(cards, _auc), _table(cards, _at_ten), _table(cards, _order), _probes(cards)]


def _table(cards: dict[str, Any], cell: Any) -> list[str]:
    rows = {name: {(row["set"], row["language"]): row for row in card["rows"]} for name, card in cards.items()}
    columns = {
        f"{heading}, n {rows[JUDGES[0]][key]['n']}": [cell(of_judge[key]) for of_judge in rows.values()]
        for heading, key in SETS.items()
    }
    shown = {heading: column for heading, column in columns.items() if any(column)}
    lines = ["| judge | " + " | ".join(shown) + " |", "|" + " --- |" * (1 + len(shown))]
    return lines + [
        f"| {name} | " + " | ".join(column[place] for column in shown.values()) + " |"
        for place, name in enumerate(rows)
    ]


def _auc(row: dict[str, Any]) -> str:
    return _percent(row["auc"])


def _order(row: dict[str, Any]) -> str:
    return _percent(row["pair_order"])


def _at_ten(row: dict[str, Any]) -> str:
    if row["strict_tpr"] is None:
        return ""
    return f"{_percent(row['strict_tpr'])} ({100 * row['strict_fpr']['value']:.0f})"


def _percent(found: dict[str, float] | None) -> str:
    if found is None:
        return ""
    return f"{100 * found['value']:.0f} [{100 * found['low']:.0f}, {100 * found['high']:.0f}]"


def _probes(cards: dict[str, Any]) -> list[str]:
    found = {name: {probe: share for probe, _, share in probe_rows(card["probes"])} for name, card in cards.items()}
    probes = dict.fromkeys(probe for shares in found.values() for probe in shares)
    lines = ["| probe | " + " | ".join(JUDGES) + " |", "|" + " --- |" * (1 + len(JUDGES))]
    for probe in probes:
        cells = [_count(shares.get(probe)) for shares in found.values()]
        lines += [f"| {probe} | " + " | ".join(cells) + " |"]
    return lines


def _count(share: dict[str, Any] | None) -> str:
    return "" if share is None else f"{_percent(share)} of {share['n']}"


if __name__ == "__main__":
    sys.stdout.write("\n\n".join("\n".join(lines) for lines in tables()) + "\n")
