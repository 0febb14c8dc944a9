"""`goodvibe-bench neurons ...`: words in, one call, exit code out."""

import json
from pathlib import Path
from typing import Annotated

import typer

from goodvibe_bench.cli.options import AsJson, split
from goodvibe_bench.cli.printing import say, table

app = typer.Typer(help="Look at security neurons.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Keeps `show` a command of its own: a group of one would lose its name."""


@app.command("show")
def show_neurons(
    file: Annotated[Path, typer.Argument(help="A neuron file: neurons.safetensors beside a trained model.")],
    modules: Annotated[
        str | None, typer.Option(help="Only these, separated by commas: q_proj, layers.0.*, ...; * and ? match.")
    ] = None,
    figure: Annotated[Path | None, typer.Option(help="Draw their clusters to this .png or .svg file.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show the selected rows of every layer: importance, share, clusters and silhouette."""
    from goodvibe_bench.neuron import show, store

    found = store.read(file)
    patterns = split(modules) if modules is not None else None
    chosen = show.choose(found, patterns)
    drawn = show.draw(found, patterns, figure) if figure else []
    rows, summary = show.rows(found, chosen), show.summary(found, chosen)
    if as_json:
        say(json.dumps({"note": found.note, "modules": rows, "summary": summary, "drawn": drawn}, indent=1))
        return
    table(f"Security neurons of {file}", rows, False)
    say(summary)
