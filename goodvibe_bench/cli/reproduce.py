"""`goodvibe-bench reproduce`: words in, one call, exit code out."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from goodvibe_bench.cli.options import AsJson, Data, Quiet, Scratch, TrustRemoteCode, calm_libraries
from goodvibe_bench.cli.printing import print_table, say

SHOWN = 40
"""Rows of the table; `--json` has all."""
WIDTH = 60
"""Characters of a value in it."""


def reproduce(
    result: Annotated[Path, typer.Argument(help="A result file of `goodvibe-bench run`.")],
    cached: Annotated[
        bool, typer.Option("--cached", help="Take models, answers and scores that are in --scratch already.")
    ] = False,
    scratch: Scratch = Path(".runs"),
    data: Data = None,
    trust_remote_code: TrustRemoteCode = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Run a result's command again and tell what differs; exit 0 where every sample is the same, else 3."""
    from goodvibe_bench.progress import Show
    from goodvibe_bench.reproduce import reproduce as run_again

    calm_libraries()
    with Show(quiet=quiet) as show:
        found = run_again(result, show, scratch=scratch, cached=cached, data=data, trust_remote_code=trust_remote_code)
    rows = [one.model_dump(mode="json") for one in found.differences]
    if as_json:
        say(json.dumps({"equal": found.equal, "result": str(found.path), "differences": rows}, indent=1))
    else:
        _print(rows, len(found.result.outcomes), found.equal, utility=bool(found.before.utility))
    if not found.equal:
        sys.exit(3)


def _print(rows: list[dict[str, Any]], samples: int, equal: bool, utility: bool) -> None:
    if rows:
        cells = [[row["kind"], row["what"], *(str(row[side])[:WIDTH] for side in ("before", "after"))] for row in rows]
        print_table("What differs", ["kind", "what", "before", "now"], cells[:SHOWN])
        if len(rows) > SHOWN:
            say(f"and {len(rows) - SHOWN} more; --json has all")
    say(
        f"reproduced: all {samples} samples are the same"
        if equal
        else f"not reproduced: of {samples} samples some differ"
    )
    if utility:
        say("Its utility was not measured again: `run --utility` does that.")
