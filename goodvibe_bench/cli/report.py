"""`goodvibe-bench report`: results in, one HTML file out. It loads no model and computes nothing itself."""

from pathlib import Path
from typing import Annotated

import typer

from goodvibe_bench.cli.printing import say
from goodvibe_bench.errors import UsageError


def report(
    places: Annotated[list[Path] | None, typer.Argument(help="Result files or folders of them.")] = None,
    output: Annotated[Path, typer.Option(help="The page to write, an .html file.")] = Path("report.html"),
) -> None:
    """Write one self-contained HTML page: leaderboard, charts, judges, outcomes, and both codes of every prompt."""
    if output.suffix.lower() not in {".html", ".htm"}:
        raise UsageError(f"--output {str(output)!r} is no name of a page: give one that ends in .html.")
    from goodvibe_bench.result import report as pages
    from goodvibe_bench.result import store

    results = {path: store.read_result(path) for path in store.result_paths(places or [Path("results")])}
    found = pages.data(results)
    store.writable(output.parent)
    try:
        store.write_text(output, pages.html(found))
    except OSError as error:
        raise UsageError(f"--output {str(output)!r} cannot be written: {error.strerror}.") from error
    say(f"wrote {output}: {len(results)} results, {len(found['samples'])} samples, {len(found['texts'])} texts")
    missing = [said["file"] for said in found["records"].values() if not said["found"]]
    if missing:
        more = f" and {len(missing) - 1} more are" if missing[1:] else " is"
        say(f"{missing[0]}{more} missing beside the results: the page shows verdicts without code there")
    for said in found["records"].values():
        if said["damaged"]:
            say(f"{said['file']}: {said['damaged']} lines are no records and were left out")
