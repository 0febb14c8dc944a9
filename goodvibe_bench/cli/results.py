"""Commands that read results only: leaderboard and compare. They load no model and compute nothing themselves."""

import contextlib
import gc
import json
import shutil
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from goodvibe_bench.cli.options import AsJson, Confidence, Quiet, Scratch
from goodvibe_bench.cli.printing import print_rows, print_table, say, say_filled
from goodvibe_bench.errors import UsageError
from goodvibe_bench.untrusted import printable, printable_lines


class Sort(StrEnum):
    SECURE = "secure"
    CORRECTED = "corrected"


def leaderboard(
    places: Annotated[list[Path] | None, typer.Argument(help="Result files or folders of them.")] = None,
    by_language: Annotated[bool, typer.Option("--by-language", help="One row a language.")] = False,
    by_seed: Annotated[
        bool, typer.Option("--by-seed", help="One row a result; a method's seeds are pooled else.")
    ] = False,
    sort: Annotated[Sort, typer.Option(help="The rate whose best comes first.")] = Sort.SECURE,
    scratch: Scratch = Path(".runs"),
    as_json: AsJson = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown tables.")] = False,
    csv: Annotated[bool, typer.Option("--csv", help="Print comma-separated values.")] = False,
    html: Annotated[bool, typer.Option("--html", help="Print a static page.")] = False,
    quiet: Quiet = False,
) -> None:
    """Rank models and methods, each over its seeds; rows that no test tells apart share a rank."""
    if as_json + markdown + csv + html > 1:
        raise UsageError("Give one of --json, --markdown, --csv and --html.")
    with _without_collection():
        from goodvibe_bench.progress import Show
        from goodvibe_bench.result import form
        from goodvibe_bench.result.kept import read_rows
        from goodvibe_bench.result.store import result_paths

        paths, folder = result_paths(places or [Path("results")]), scratch / "leaderboard"
        with Show(quiet=quiet, seconds_before_first=1) as show:
            rows = read_rows(paths, folder, show, by_language=by_language, by_seed=by_seed, sort=sort.value)
        if as_json:
            say(json.dumps(form.plain(rows), indent=1))
        elif markdown or csv or html:
            say((form.markdown if markdown else form.comma_separated if csv else form.html)(rows).rstrip())
        else:
            print_rows(rows)


@contextlib.contextmanager
def _without_collection() -> Iterator[None]:
    """Leave the garbage collector off: it would look at all that is imported and read, again and again, for nothing."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def compare(
    before: Annotated[str, typer.Argument(help="A result file, or a method whose seeds are pooled.")],
    after: Annotated[str, typer.Argument(help="The same, to compare with it on the same prompts.")],
    results: Annotated[Path, typer.Option(help="Folder in which methods are looked for.")] = Path("results"),
    confidence: Confidence = 0.95,
    show: Annotated[bool, typer.Option("--show", help="Print both codes of every prompt that changed.")] = False,
    as_json: AsJson = False,
) -> None:
    """Tell the paired differences of two results or methods, in security and beside it, and which prompts changed."""
    from goodvibe_bench.result import compare as comparing
    from goodvibe_bench.result import form

    sides = comparing.side(before, results), comparing.side(after, results)
    found = comparing.compare(*sides, confidence)
    if as_json:
        say(json.dumps(found.model_dump(mode="json"), indent=1))
        return
    print_table(
        f"{found.after} minus {found.before}: percentage points, {100 * confidence:g}% intervals",
        ["judge", "rate", "language", "n", "before", "after", "difference", "p"],
        [_difference(one) for one in found.differences],
    )
    say_filled("p: sign-flip test over families; with several languages, each one's is Holm-adjusted for their number.")
    for line in [*_over_seeds(found), *form.beside(found.utility, found.costs), *found.notes]:
        say_filled(line)
    say("")
    if found.changes:
        headings = ["prompt", "language", "CWE", "seeds", "before", "after"]
        print_table("Prompts that changed", headings, [_change(one) for one in found.changes])
    if show:
        for one in found.changes:
            texts = [comparing.codes(side, one, seed) for side, seed in zip(sides, one.seeds, strict=True)]
            _side_by_side(one, texts)


def _over_seeds(found: Any) -> list[str]:
    """Return what other training seeds would give, a line for each judge and rate; nothing where there is one seed."""
    from goodvibe_bench.result import form
    from goodvibe_bench.result.compare import ALL

    lines = [
        f"- {one.judge}, {one.rate}: {form.points(one.seeds)}, from "
        + ", ".join(f"{100 * value:+.1f}" for value in one.seeds.differences)
        for one in found.differences
        if one.seeds is not None and one.language == ALL
    ]
    words = "The intervals above are for these trained models on other prompts; for other training seeds on these:"
    return [words, *lines] if lines else []


def _difference(one: Any) -> list[str]:
    from goodvibe_bench.result import form

    found = one.difference
    shares = [f"{100 * share:.1f}" for share in (one.before, one.after)]
    p = found.p_families if one.p_holm is None else one.p_holm
    return [one.judge, one.rate, one.language, str(found.n), *shares, form.points(found), f"{p:.3f}"]


def _change(one: Any) -> list[str]:
    seeds = str(one.seeds[0]) if one.seeds[0] == one.seeds[1] else f"{one.seeds[0]}, {one.seeds[1]}"
    return [one.prompt_id, one.language, one.cwe or "", seeds, str(one.before), str(one.after)]


def _side_by_side(one: Any, texts: list[str]) -> None:
    """Print two codes next to each other, or one above the other on a narrow terminal; code never steers it."""
    from rich.console import Console
    from rich.syntax import Syntax
    from rich.table import Table
    from rich.text import Text

    blocks = [Syntax(printable_lines(text.expandtabs(4)), one.language, word_wrap=True) for text in texts]
    heads = [Text(f"before: {one.before}"), Text(f"after: {one.after}")]
    grid = Table(title=Text(printable(one.prompt_id)), title_justify="left", show_header=False, expand=True)
    if shutil.get_terminal_size().columns >= 120:
        grid.add_column(ratio=1)
        grid.add_column(ratio=1)
        grid.add_row(*heads, end_section=True)
        grid.add_row(*blocks)
    else:
        grid.add_column()
        for head, block in zip(heads, blocks, strict=True):
            grid.add_row(head, end_section=True)
            grid.add_row(block, end_section=True)
    Console().print(grid)
