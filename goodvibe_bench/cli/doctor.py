"""`goodvibe-bench doctor`: words in, one call, one line a fact out."""

import json
from itertools import groupby
from pathlib import Path
from typing import Annotated

import typer

from goodvibe_bench.cli.options import AsJson, calm_libraries
from goodvibe_bench.cli.printing import say
from goodvibe_bench.untrusted import printable


def doctor(
    scratch: Annotated[Path, typer.Option(help="Folder for trained models and unfinished work.")] = Path(".runs"),
    as_json: AsJson = False,
) -> None:
    """Say what is installed, what this machine has, and what is within reach; always exit code 0."""
    calm_libraries()
    from goodvibe_bench.doctor import facts

    found = facts(scratch)
    if as_json:
        say(json.dumps([fact.model_dump() for fact in found], indent=1))
        return
    for place, (group, rows) in enumerate(groupby(found, key=lambda fact: fact.group)):
        say(f"\n{group}" if place else group)
        for fact in rows:
            say(f"{fact.state:<8} {printable(fact.name)}: {printable(fact.text)}")
