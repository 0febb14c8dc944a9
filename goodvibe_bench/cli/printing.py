"""Tables and lines on standard output. Untrusted text never steers the terminal. It reads and computes nothing."""

import json
import re
import shutil
import sys
import textwrap
from typing import Any


def print_leaderboard(
    results: list[Any], *, by_language: bool = False, as_json: bool = False, markdown: bool = False, csv: bool = False
) -> None:
    from goodvibe_bench.result import form
    from goodvibe_bench.result.leaderboard import HEADINGS, rows

    found = rows(results, by_language=by_language)
    if as_json:
        say(json.dumps(form.plain(found), indent=1))
        return
    if markdown or csv:
        say(form.markdown(found) if markdown else form.comma_separated(found).rstrip())
        return
    common = form.shared(found)
    words = "; ".join(f"{HEADINGS[key]} {value}" for key, value in common.items())
    _print_ranked(f"Rates in %, 95% intervals; {words}", HEADINGS, [form.cells(row) for row in found], set(common))
    if views := form.judge_cells(found):
        title = "Several judges: gain over `none` by the same judge; kappa and differ, with the first judge"
        _print_ranked(title, form.JUDGE_HEADINGS, views, set(common) - {"judge"})
    for line in form.notes(found):
        say(textwrap.fill(line, max(40, shutil.get_terminal_size().columns)))


def print_side_effects(results: list[Any]) -> None:
    """Print what tuning did to everything but security; nothing where no base is among the results."""
    from goodvibe_bench.result.utility import lines

    for line in lines(results):
        say(textwrap.fill(line, max(40, shutil.get_terminal_size().columns)))


def _print_ranked(title: str, headings: dict[str, str], lines: list[dict[str, str]], common: set[str]) -> None:
    """Print the columns that are not said above the table already, and that say something."""
    from goodvibe_bench.result import form

    keys = [key for key in headings if key not in common | form.idle(lines)]
    wrapped = [headings[key].replace(" ", "\n").replace("un", "un-\n") for key in keys]
    print_table(title, wrapped, [[line[key] for key in keys] for line in lines])


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
    numeric = [all(map(_is_figure, column)) for column in zip(*rows, strict=True)]
    for heading, right, *column in zip(headings, numeric, *rows, strict=True):
        width = max(map(len, [*heading.split("\n"), *column]))
        least = max(8, *map(len, heading.split("\n")))
        table.add_column(
            heading,
            justify="right" if right else "left",
            no_wrap=right,
            min_width=0 if right else min(width, least),
            overflow="ellipsis" if right else "fold",
        )
    for row in rows:
        table.add_row(*(Text(printable(cell)) for cell in row))
    Console().print(table)


def _is_figure(cell: str) -> bool:
    """Return whether a cell is a number, perhaps with a unit, that must not be wrapped; an empty one may be."""
    return not cell or (cell.lstrip("+-")[:1].isdigit() and not re.search("[a-z]{5}", cell))


def printable(text: str) -> str:
    """Return `text` without control characters: data must not steer the terminal."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)


def say(text: str) -> None:
    sys.stdout.write(printable_lines(text) + "\n")


def printable_lines(text: str) -> str:
    return "\n".join(printable(line) for line in text.split("\n"))
