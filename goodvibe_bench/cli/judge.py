"""`goodvibe-bench judge ...`: words in, one call, exit code out."""

import json
import shlex
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from goodvibe_bench.cli.options import AsJson, Data, Quiet, calm_libraries, split
from goodvibe_bench.cli.printing import print_table, say, say_filled, table
from goodvibe_bench.errors import UsageError
from goodvibe_bench.untrusted import printable_lines

app = typer.Typer(help="Fit, calibrate and measure judges.", no_args_is_help=True)


@app.command()
def fit(
    judge: Annotated[str, typer.Option(help="The judge to fit; its definition has a table named fit.")],
    data: Data = None,
    output: Annotated[
        Path | None, typer.Option(help="Folder for weights and card; beside the definition by default.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed, in place of the definition's.")] = None,
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


@app.command()
def bench(
    judge: Annotated[str, typer.Option(help="Judges, separated by commas.")],
    sets: Annotated[str | None, typer.Option(help="Labelled sets, separated by commas; all by default.")] = None,
    languages: Annotated[str, typer.Option(help="Languages, separated by commas.")] = "cpp,java,swift,go",
    data: Data = None,
    limit: Annotated[int | None, typer.Option(help="Snippets a set and language, whole families.")] = None,
    probes: Annotated[bool, typer.Option("--probes", help="Also count verdicts that harmless changes flip.")] = False,
    save: Annotated[bool, typer.Option("--save", help="Write the figures into each judge's card.")] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Measure judges on labelled code: the tasks' calibration parts and the labelled files in --data."""
    from goodvibe_bench.judging import bench as benching
    from goodvibe_bench.judging import bench_card, bench_run
    from goodvibe_bench.judging.data import chosen, labelled_sets, refuse_unknown_sets
    from goodvibe_bench.progress import Show
    from goodvibe_bench.result import store

    calm_libraries()
    names, only = split(judge), split(sets) if sets is not None else ()
    if limit is not None and limit < 1:
        raise UsageError(f"--limit {limit}: give 1 or more.")
    if save and limit is not None:
        raise UsageError("--save and --limit: a card's figures are of whole sets. Leave one of them out.")
    benching.definitions(names)  # an unknown one is told before any data is read
    if data is not None and not data.exists():
        raise UsageError(f"--data {str(data)!r} does not exist. Give a file or a folder that does, or leave it out.")
    refuse_unknown_sets(only, data, split(languages))
    states = {name: bench_card.state(name) for name in names} if save else {}
    if probes:
        store.writable(benching.SCRATCH)
    with Show(quiet=quiet) as show:
        at_hand = chosen(labelled_sets(data, show, names, languages=split(languages)), languages=split(languages))
        sets_asked = chosen(at_hand, only, limit=limit)
        found = bench_run.measured(
            names, sets_asked, show, probed=at_hand if probes else None, states=states, warn=_warn
        )
    rows = [row for name in names for row in found.rows.get(name, [])]
    plain = {name: found.probes[name].model_dump(mode="json") for name in names if name in found.probes}
    _print_bench(rows, plain, found.probes, as_json)
    if found.failed:
        raise found.failed[0]


def _warn(words: str) -> None:
    sys.stderr.write(printable_lines(f"goodvibe-bench: warning: {words}") + "\n")


def _print_bench(rows: list[Any], plain: dict[str, Any], probed: dict[str, Any], as_json: bool) -> None:
    from goodvibe_bench.judging import bench_table
    from goodvibe_bench.judging.card import PAPER

    if as_json:
        say(json.dumps({"rows": [row.model_dump(mode="json") for row in rows], "probes": plain}, indent=1))
        return
    for one in dict.fromkeys(row.set for row in rows):
        of_set = [row for row in rows if row.set == one]
        print_table(*bench_table.cells(of_set))
        say("\n".join(bench_table.notes(of_set)))
        if one.endswith("-raw"):
            say_filled(PAPER)
    say_filled(bench_table.LEGEND)
    if probed:
        found = [row for name, report in probed.items() for row in bench_table.probe_cells(name, report)]
        table("Probes: verdicts that changed, in % with 95% intervals", found, False)


class Scaled(StrEnum):
    TEMPERATURE = "temperature"
    ISOTONIC = "isotonic"
    NONE = "none"


@app.command()
def calibrate(
    judge: Annotated[str, typer.Option(help="The judge to calibrate; its weights stay as they are.")],
    labels: Annotated[
        list[Path] | None, typer.Option(help="People's labels, from `judge label`; may be repeated.")
    ] = None,
    only_labels: Annotated[
        bool, typer.Option("--only-labels", help="Calibrate on --labels alone, not on the tasks' calibration parts.")
    ] = False,
    scaling: Annotated[Scaled, typer.Option(help="How p_unsafe is scaled to fit labels.")] = Scaled.TEMPERATURE,
    max_fpr: Annotated[
        float | None,
        typer.Option("--max-fpr", help="Highest TPR at an FPR of at most this, in place of the highest TPR - FPR."),
    ] = None,
    data: Data = None,
    output: Annotated[
        Path | None, typer.Option(help="Folder for card and README; beside the definition by default.")
    ] = None,
    fewer: Annotated[
        bool, typer.Option("--fewer", help="Also replace a calibration that rests on more data than is at hand.")
    ] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Choose scaling and threshold per language on calibration data, and write them to the judge's card."""
    from goodvibe_bench.judging import calibrate as calibration
    from goodvibe_bench.progress import Show

    calm_libraries()
    told: list[str] = []
    with Show(quiet=quiet) as show:
        folder = calibration.calibrate(
            judge,
            show,
            data=data,
            labels=labels or [],
            only_labels=only_labels,
            scaling=scaling.value,
            max_fpr=max_fpr,
            output=output,
            fewer=fewer,
            tell=told.append if quiet else None,
        )
    _print_calibration(folder, told, as_json)


def _print_calibration(folder: Path, told: list[str], as_json: bool) -> None:
    """Print the card in `folder`, and what must be heard of how it was made."""
    from goodvibe_bench.judge.cards import read_card
    from goodvibe_bench.judging import calibrate as calibration
    from goodvibe_bench.judging import provenance

    card = read_card(folder)
    if as_json or card is None:
        typer.echo(printable_lines("".join(f"{line}\n" for line in told)), err=True, nl=False)
        say((folder / "card.json").read_text())
        return
    table(f"{card.judge}, in % with 95% intervals; unsafe is positive", calibration.table_rows(card), False)
    for language in card.calibration:
        say_filled(provenance.line(card, language))
    say("TPR and FPR are of calls whose scaling and threshold other folds chose. Cut: the threshold.")
    say("Safe rates: those that this judge can report at all, from 1 - TPR to 1 - FPR; none where it only guesses.")
    say(
        "Labels: how many a corrected secure rate to +/-5 points takes at a true rate of 50%, from samples without end."
    )
    for line in told:
        say_filled(line)
    say(f"Written: {folder / 'card.json'}")


@app.command()
def label(
    source: Annotated[Path, typer.Argument(help="A result file, with its records beside it, or a records file.")],
    count: Annotated[int, typer.Option(help="Samples to label, in all.")] = 40,
    output: Annotated[Path, typer.Option(help="JSON Lines file to write.")] = Path("labels.jsonl"),
    seed: Annotated[int, typer.Option(help="Seed of the draw.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Write a stratified sample of a run's outputs for people to label, blind to the judge's verdicts."""
    from goodvibe_bench.judging.label import drawn_rows, sample

    rows = sample(source, count, output, seed)
    table("Drawn", drawn_rows(rows), as_json)
    if not as_json:
        say(f"In {output}, set every label: 1 = unsafe, 0 = secure, null = not labelled; change nothing else but why.")
        words = [
            "goodvibe-bench",
            "judge",
            "calibrate",
            "--judge",
            rows[0].judge,
            "--labels",
            str(output),
            "--only-labels",
        ]
        say(f"Then: {shlex.join(words)}")
