"""`goodvibe-bench score`: words in, one call, exit code out."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from goodvibe_bench.cli.options import (
    AsJson,
    Data,
    Judges,
    Quiet,
    Scratch,
    Tasks,
    Uncalibrated,
    calm_libraries,
    split,
)
from goodvibe_bench.cli.printing import print_leaderboard
from goodvibe_bench.errors import UsageError


class Format(StrEnum):
    AUTO = "auto"
    RECORDS = "records"
    PLAIN = "plain"
    LM_EVAL = "lm-eval"
    EVALPLUS = "evalplus"
    INSPECT = "inspect"


def score(
    file: Annotated[Path, typer.Argument(help="Samples: JSON Lines, or an Inspect log.")],
    tasks: Tasks = "cpp,java,swift,go",
    judge: Judges = "panel",
    uncalibrated: Uncalibrated = False,
    form: Annotated[
        Format, typer.Option("--format", help="The file's format; auto tells it by the first row.")
    ] = Format.AUTO,
    language: Annotated[
        str | None, typer.Option(help="Of rows that name none and answer no prompt of --tasks: cpp, java, swift or go.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="What made the samples; the file's name by default.")] = None,
    output: Annotated[Path, typer.Option("--output", "--output_path", help="Folder for results.")] = Path("results"),
    scratch: Scratch = Path(".runs"),
    data: Data = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Judge and score samples made elsewhere; print one row. No model is needed but the judge."""
    from goodvibe_bench import foreign
    from goodvibe_bench.progress import Show
    from goodvibe_bench.scoring import Scoring
    from goodvibe_bench.scoring import score as score_file

    foreign.check(file)  # told before any task is read
    try:
        named = None if language is None else foreign.language_of(language)
    except foreign.RowError as error:
        raise UsageError(f"--language: {error}.") from error
    scoring = Scoring(
        file=file,
        name=name,
        format=None if form is Format.AUTO else form.value,
        language=named,
        tasks=split(tasks),
        judges=split(judge),
        uncalibrated=uncalibrated,
        data=data,
        output=output,
        scratch=scratch,
    )
    calm_libraries()
    with Show(quiet=quiet) as show:
        result, _ = score_file(scoring, show)
    print_leaderboard([result], as_json=as_json)
