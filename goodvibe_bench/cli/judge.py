"""`goodvibe-bench judge ...`: words in, one call, exit code out."""

from pathlib import Path
from typing import Annotated

import typer

from goodvibe_bench.cli.options import AsJson, Data, Quiet, calm_libraries
from goodvibe_bench.cli.printing import say

app = typer.Typer(help="Fit judges.", no_args_is_help=True)


@app.command()
def fit(
    judge: Annotated[str, typer.Option(help="The judge to fit, by its definition's [fit] table.")],
    data: Data = None,
    output: Annotated[
        Path | None, typer.Option(help="Folder for weights and card; beside the definition by default.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="In place of the definition's.")] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Train a judge on labelled pairs and write its weights and card."""
    from goodvibe_bench.judging.fit import fit as fit_judge
    from goodvibe_bench.progress import Show

    calm_libraries()
    with Show(quiet=quiet) as show:
        folder = fit_judge(judge, show, data=data, output=output, seed=seed)
    say((folder / ("card.json" if as_json else "README.md")).read_text())
