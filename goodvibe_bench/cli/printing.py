"""Tables and lines on standard output. Untrusted text never steers the terminal. It reads and computes nothing."""

import json
import sys
from typing import Any


def print_leaderboard(
    results: list[Any], *, by_language: bool = False, as_json: bool = False, markdown: bool = False, csv: bool = False
) -> None:
    from goodvibe_bench.result import leaderboard as board

    rows = board.rows(results, by_language=by_language)
    if as_json:
        say(json.dumps(board.plain(rows), indent=1))
    elif markdown:
        say(board.markdown(rows))
    elif csv:
        say(board.comma_separated(rows).rstrip())
    else:
        common = board.shared(rows)
        words = "; ".join(f"{board.HEADINGS[key]} {value}" for key, value in common.items())
        keys = [key for key in board.HEADINGS if key not in common]
        cells = [board.cells(row) for row in rows]
        headings = [board.HEADINGS[key].replace(" ", "\n").replace("un", "un-\n") for key in keys]
        print_table(f"Rates in %, 95% intervals; {words}", headings, [[row[key] for key in keys] for row in cells])


def table(title: str, rows: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        say(json.dumps(rows, indent=1))
        return
    headings = [key.replace("_", "\n").replace("calib", "cali-\nb").replace("famil", "fami-\nl") for key in rows[0]]
    print_table(title, headings, [[_cell(key, cell) for key, cell in row.items()] for row in rows])


def _cell(key: str, value: Any) -> str:
    """Return a value as a table shows it: nothing for None, the beginning of a digest."""
    return "" if value is None else str(value)[:12] if key == "digest" else str(value)


def print_table(title: str, headings: list[str], rows: list[list[str]]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(
        title=Text(printable(title)),
        title_justify="left",
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        collapse_padding=True,
    )
    numeric = [all(row[place][:1].isdigit() or not row[place] for row in rows) for place in range(len(headings))]
    for heading, right in zip(headings, numeric, strict=True):
        table.add_column(heading, justify="right" if right else "left", no_wrap=right, min_width=0 if right else 8)
    for row in rows:
        table.add_row(*(Text(printable(cell)) for cell in row))
    Console().print(table)


def printable(text: str) -> str:
    """Return `text` without control characters: data must not steer the terminal."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)


def say(text: str) -> None:
    sys.stdout.write(printable_lines(text) + "\n")


def printable_lines(text: str) -> str:
    return "\n".join(printable(line) for line in text.split("\n"))
