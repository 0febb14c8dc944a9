"""Tables and lines on standard output. Untrusted text never steers the terminal. It reads and computes nothing."""

import json
import re
import shutil
import sys
import textwrap
from collections.abc import Iterable, Sequence
from typing import Any

from goodvibe_bench.untrusted import printable, printable_lines


def columns() -> int:
    """Return how many letters a line of the terminal holds; $COLUMNS where it is set, 80 where nobody knows."""
    return max(40, shutil.get_terminal_size().columns)


def print_leaderboard(results: Iterable[Any], *, as_json: bool = False) -> None:
    from goodvibe_bench.result import form
    from goodvibe_bench.result.leaderboard import rows

    found = rows(results)
    if as_json:
        say(json.dumps(form.plain(found), indent=1))
    else:
        print_rows(found)


def print_rows(rows: Sequence[Any]) -> None:
    """Print a leaderboard's tables and their notes."""
    from goodvibe_bench.result import form

    for own in form.tables(rows):
        common = set(form.shared(own))
        _print_ranked(form.title(own, rows), form.HEADINGS, [form.cells(row) for row in own], common)
        if views := form.judge_cells(own):
            _print_ranked(form.JUDGES_TITLE, form.JUDGE_HEADINGS, views, common - {"judge"})
    for line in form.notes(rows):
        say_filled(line)


def print_side_effects(results: list[Any]) -> None:
    """Print what tuning did to everything but security; nothing where no base is among the results."""
    from goodvibe_bench.result.utility import lines

    for line in lines(results):
        say(textwrap.fill(line, max(40, shutil.get_terminal_size().columns)))


def _print_ranked(title: str, headings: dict[str, str], lines: list[dict[str, str]], common: set[str]) -> None:
    """Print the columns that are not said above the table already, and that say something."""
    from goodvibe_bench.result import form

    keys = [key for key in headings if key not in common | form.idle(lines)]
    optional = [keys.index(key) for key in form.OPTIONAL if key in keys]
    wrapped = [headings[key].replace(" ", "\n").replace("un", "un-\n") for key in keys]
    left = print_table(title, wrapped, [[line[key] for key in keys] for line in lines], optional)
    if left:
        names = ", ".join(headings[keys[place]] for place in left)
        say_filled(
            f"No room in {columns()} columns for: {names}. A wider terminal, --csv, --markdown or --html has them."
        )
        say("")


def table(title: str, rows: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        say(json.dumps(rows, indent=1))
        return
    headings = [key.replace("_", "\n").replace("calib", "cali-\nb").replace("famil", "fami-\nl") for key in rows[0]]
    print_table(title, headings, [[_cell(key, cell) for key, cell in row.items()] for row in rows])


def _cell(key: str, value: Any) -> str:
    """Return a value as a table shows it: nothing for None, the beginning of a digest."""
    return "" if value is None else str(value)[:12] if key == "digest" else str(value)


def print_table(
    title: str, headings: Sequence[str], rows: Sequence[Sequence[str]], optional: Sequence[int] = ()
) -> list[int]:
    """Print a table as wide as the terminal at most; return the places of the `optional` columns left out of it."""
    from goodvibe_bench.cli.layout import lay_out

    clean = [[printable(cell) for cell in row] for row in rows]
    right = [all(map(_is_figure, column)) for column in zip(*clean, strict=True)] or [False] * len(headings)
    lines, left = lay_out(list(map(printable_lines, headings)), clean, right, columns(), optional=optional)
    say_filled(title)
    say("\n".join(["", *lines, ""]))
    return left


def _is_figure(cell: str) -> bool:
    """Return whether a cell is a number, perhaps with a unit, that must not be wrapped; an empty one may be."""
    return not cell or (len(cell) <= 60 and cell.lstrip("+-")[:1].isdigit() and not re.search("[a-z]{5}", cell))


def say(text: str) -> None:
    text = printable_lines(text)
    if not (sys.stdout.encoding or "").lower().startswith("utf"):
        text = text.replace("─", "-").encode("ascii", "replace").decode()
    sys.stdout.write(text + "\n")


def say_filled(text: str) -> None:
    """Print a sentence in as many lines as the terminal needs; a word that is too long for one stays whole."""
    say(textwrap.fill(text, columns(), break_long_words=False, break_on_hyphens=False))
