"""`goodvibe-bench doctor`: words in, one call, one line a fact out; `doctor backends` compares two backends."""

import json
from itertools import groupby
from pathlib import Path
from typing import Annotated

import typer

from goodvibe_bench.cli.options import (
    AsJson,
    Data,
    Dtype,
    Judges,
    MaxNewTokens,
    Model,
    ModelArgs,
    Quality,
    Quiet,
    Revision,
    Scratch,
    Tasks,
    TrustRemoteCode,
    calm_libraries,
    request_from,
)
from goodvibe_bench.cli.printing import say, table
from goodvibe_bench.untrusted import printable

app = typer.Typer(help="Say what is installed, what this machine has, and what is within reach; always exit code 0.")


@app.callback(invoke_without_command=True)
def doctor(
    context: typer.Context,
    scratch: Annotated[Path, typer.Option(help="Folder for trained models and unfinished work.")] = Path(".runs"),
    as_json: AsJson = False,
) -> None:
    """Say what is installed, what this machine has, and what is within reach; always exit code 0."""
    if context.invoked_subcommand is not None:
        return
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


@app.command()
def backends(
    model: Model,
    limit: Annotated[int, typer.Option(min=1, help="Held-out prompts a task, the first ones.")] = 16,
    tasks: Tasks = "cpp",
    judge: Judges = "panel",
    max_new_tokens: MaxNewTokens = 256,
    batch_size: Annotated[int, typer.Option("--batch-size", "--batch_size", help="Of transformers.")] = 16,
    dtype: Dtype = "auto",
    model_args: ModelArgs = None,
    revision: Revision = None,
    trust_remote_code: TrustRemoteCode = False,
    scratch: Scratch = Path(".runs"),
    data: Data = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Put prompts through transformers and vLLM, and count where the greedy answers part and verdicts flip."""
    words = dict(locals()) | {"method": "none", "overrides": None, "quality": Quality.CLEAN, "uncalibrated": True}
    from goodvibe_bench.backends import compare, rows, summary
    from goodvibe_bench.progress import Show

    request = request_from(words)
    calm_libraries()
    with Show(quiet=quiet) as show:
        found = compare(request, show)
    counts = summary(found)
    if as_json:
        say(json.dumps({"summary": counts, "prompts": [one.model_dump(mode="json") for one in found]}, indent=1))
        return
    table("transformers / vllm, greedy", rows(found), False)
    say(
        f"{counts['equal_answers']} of {counts['prompts']} answers are equal; {counts['tokens_before_parting']} of "
        f"{counts['tokens']} tokens come before answers part (median place {counts['median_first_divergence']}). "
        f"{counts['verdict_flips']} verdicts flip, {counts['outcome_changes']} outcomes change."
    )
