"""Words in, one call, exit code out. No logic of the benchmark lives here.

Exit codes: 0 done, 1 the run failed (our bug: traceback), 2 usage. Everything heavy is imported inside a command.
"""

import json
import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from goodvibe_bench.errors import UsageError

app = typer.Typer(
    help="Does tuning make a language model write secure code by default, and at what cost?",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
judge_app = typer.Typer(help="Fit judges.", no_args_is_help=True)
app.add_typer(judge_app, name="judge")
neurons_app = typer.Typer(help="Look at security neurons.", no_args_is_help=True)
app.add_typer(neurons_app, name="neurons")


class Quality(StrEnum):
    CLEAN = "clean"
    RAW = "raw"


class Listed(StrEnum):
    TASKS = "tasks"
    JUDGES = "judges"
    TRAINERS = "trainers"
    MODELS = "models"


AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Data = Annotated[
    Path | None, typer.Option(help="Local data: a file or a folder (else $GOODVIBE_BENCH_DATA, else the hub).")
]
Model = Annotated[str, typer.Option(help="Hub id, folder with safetensors weights, or carried model's name.")]
Method = Annotated[str, typer.Option(help="Trainers, separated by commas; `none` is the base model.")]
Tasks = Annotated[str, typer.Option(help="Tasks, separated by commas.")]
Seed = Annotated[int, typer.Option(help="Seed of training and sampling; splits have their own.")]
Scratch = Annotated[Path, typer.Option(help="Folder for trained models and unfinished work.")]
Dtype = Annotated[str, typer.Option(help="bfloat16, float32 or float16.")]
Revision = Annotated[str | None, typer.Option(help="Hub revision of the model.")]
WithQuality = Annotated[Quality, typer.Option(help="Leave damaged training rows out, or keep them as the paper did.")]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", help="A trainer's key and value, such as tuner.top_k=100; may be repeated.")
]
TrainLimit = Annotated[
    int | None, typer.Option("--train-limit", "--train_limit", help="Training pairs a task, the first ones.")
]
TrustRemoteCode = Annotated[
    bool, typer.Option("--trust-remote-code", "--trust_remote_code", help="Let a model run its own code.")
]
Quiet = Annotated[bool, typer.Option("--quiet", help="Show no progress.")]


@app.command()
def run(
    model: Model,
    method: Method = "none",
    tasks: Tasks = "cpp,java,swift,go",
    judge: Annotated[str, typer.Option(help="The judge that labels every sample.")] = "smollm2-135m",
    backend: Annotated[str, typer.Option(help="What generates.")] = "transformers",
    limit: Annotated[int | None, typer.Option(help="Held-out prompts a task, the first ones.")] = None,
    train_limit: TrainLimit = None,
    overrides: Overrides = None,
    seed: Seed = 0,
    output: Annotated[Path, typer.Option("--output", "--output_path", help="Folder for results.")] = Path("results"),
    scratch: Scratch = Path(".runs"),
    data: Data = None,
    quality: WithQuality = Quality.CLEAN,
    max_new_tokens: Annotated[int, typer.Option("--max-new-tokens", "--max_new_tokens", help="Longest answer.")] = 512,
    temperature: Annotated[float, typer.Option(help="0 is greedy.")] = 0.0,
    n_samples: Annotated[int, typer.Option("--n-samples", "--n_samples", help="Samples a prompt.")] = 1,
    batch_size: Annotated[int, typer.Option("--batch-size", "--batch_size", help="Prompts generated at once.")] = 16,
    dtype: Dtype = "bfloat16",
    revision: Revision = None,
    trust_remote_code: TrustRemoteCode = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Train, generate, judge and score; print one row a method."""
    words = dict(locals())
    from goodvibe_bench.progress import Show
    from goodvibe_bench.run import run as run_all

    request = _request(words)
    _calm_libraries()
    with Show(quiet=quiet) as show:
        found = run_all(request, show)
    _leaderboard([result for result, _ in found], as_json=as_json)


@app.command()
def train(
    model: Model,
    method: Method,
    tasks: Tasks = "cpp,java,swift,go",
    train_limit: TrainLimit = None,
    overrides: Overrides = None,
    seed: Seed = 0,
    scratch: Scratch = Path(".runs"),
    data: Data = None,
    quality: WithQuality = Quality.CLEAN,
    dtype: Dtype = "bfloat16",
    revision: Revision = None,
    trust_remote_code: TrustRemoteCode = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Train only, and say where the models lie; runs under `accelerate launch` on several devices."""
    words = dict(locals())
    from goodvibe_bench.progress import Show
    from goodvibe_bench.run import train_only
    from goodvibe_bench.trainer import processes

    request = _request(words)
    _calm_libraries()
    with Show(quiet=quiet or not processes.is_first()) as show:
        found = train_only(request, show)
    if processes.is_first():
        _table("Trained models", [trained.row() for trained in found], as_json)


@app.command()
def leaderboard(
    places: Annotated[list[Path] | None, typer.Argument(help="Result files or folders of them.")] = None,
    by_language: Annotated[bool, typer.Option("--by-language", help="One row a language.")] = False,
    as_json: AsJson = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print a Markdown table.")] = False,
    csv: Annotated[bool, typer.Option("--csv", help="Print comma-separated values.")] = False,
) -> None:
    """Rank results; the best secure rate first."""
    from goodvibe_bench.result.store import read_results

    results = read_results(places or [Path("results")])
    _leaderboard(results, by_language=by_language, as_json=as_json, markdown=markdown, csv=csv)


@app.command()
def plan(
    model: Annotated[str, typer.Option(help="A model of models/, a folder with config.json, or a hub id.")],
    method: Annotated[str, typer.Option(help="Trainers, separated by commas.")] = "full,lora,goodvibe",
    pairs: Annotated[int, typer.Option(help="Training pairs.")] = 424,
    tokens_per_pair: Annotated[int, typer.Option(help="Tokens of prompt and answer, padding included.")] = 512,
    answer_tokens: Annotated[int | None, typer.Option(help="Of these the answer's; all when not given.")] = None,
    epochs: Annotated[int, typer.Option(help="Times that every pair is seen.")] = 2,
    micro_batch: Annotated[int, typer.Option(help="Examples a forward pass.")] = 1,
    dtype: Annotated[str, typer.Option(help="bfloat16, float32 or float16.")] = "bfloat16",
    as_json: AsJson = False,
) -> None:
    """Tell parameters, FLOPs and memory before a run, without any weights."""
    words = {key: value for key, value in locals().items() if key not in {"model", "method", "as_json"}}
    from goodvibe_bench import catalog
    from goodvibe_bench import plan as planning

    work = catalog.parse(words, planning.Workload, "plan")
    _calm_libraries()
    plans, notes = planning.plan(model, _split(method), work)
    if as_json:
        found = {"model": model, "workload": work.model_dump(), "plans": [vars(one) for one in plans], "notes": notes}
        _say(json.dumps(found, indent=1))
        return
    _table(planning.title(model, work), planning.table(plans), False)
    _say("\n".join(notes))


@app.command("ls")
def list_definitions(
    what: Annotated[Listed, typer.Argument(help="What to list.")],
    audit: Annotated[
        bool, typer.Option("--audit", help="Tasks: look for twins between every two parts, and for labels in style.")
    ] = False,
    data: Data = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """List tasks, judges, trainers or carried models."""
    from goodvibe_bench.listing import rows

    if not audit:
        _table(what.value, rows(what.value, data), as_json)
        return
    if what != Listed.TASKS:
        raise UsageError("--audit is for tasks: goodvibe-bench ls tasks --audit")
    from goodvibe_bench.auditing import audit as audit_data
    from goodvibe_bench.progress import Show

    with Show(quiet=quiet) as show:
        crossings, styles = audit_data(data, show)
    if as_json:
        _say(json.dumps({"crossings": crossings, "styles": styles}, indent=1))
        return
    _table("Twins between parts: pairs of rows that are equal, or near (cosine 0.9 and above)", crossings, False)
    _table("Style: AUC of character n-grams by cross-validation; 0.5 means that style tells no label", styles, False)


@judge_app.command()
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
    from goodvibe_bench.fitting import fit as fit_judge
    from goodvibe_bench.progress import Show

    _calm_libraries()
    with Show(quiet=quiet) as show:
        folder = fit_judge(judge, show, data=data, output=output, seed=seed)
    _say((folder / ("card.json" if as_json else "README.md")).read_text())


@neurons_app.command("show")
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
    patterns = _split(modules) if modules is not None else None
    chosen = show.choose(found, patterns)
    drawn = show.draw(found, patterns, figure) if figure else []
    rows, summary = show.rows(found, chosen), show.summary(found, chosen)
    if as_json:
        _say(json.dumps({"note": found.note, "modules": rows, "summary": summary, "drawn": drawn}, indent=1))
        return
    _table(f"Security neurons of {file}", rows, False)
    _say(summary)


def _leaderboard(
    results: list[Any], *, by_language: bool = False, as_json: bool = False, markdown: bool = False, csv: bool = False
) -> None:
    from goodvibe_bench.result import leaderboard as board

    rows = board.rows(results, by_language=by_language)
    if as_json:
        _say(json.dumps(board.plain(rows), indent=1))
    elif markdown:
        _say(board.markdown(rows))
    elif csv:
        _say(board.comma_separated(rows).rstrip())
    else:
        common = board.shared(rows)
        words = "; ".join(f"{board.HEADINGS[key]} {value}" for key, value in common.items())
        keys = [key for key in board.HEADINGS if key not in common]
        cells = [board.cells(row) for row in rows]
        headings = [board.HEADINGS[key].replace(" ", "\n").replace("un", "un-\n") for key in keys]
        _print_table(f"Rates in %, 95% intervals; {words}", headings, [[row[key] for key in keys] for row in cells])


def _table(title: str, rows: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        _say(json.dumps(rows, indent=1))
        return
    headings = [key.replace("_", "\n").replace("calib", "cali-\nb").replace("famil", "fami-\nl") for key in rows[0]]
    _print_table(title, headings, [[_cell(key, cell) for key, cell in row.items()] for row in rows])


def _cell(key: str, value: Any) -> str:
    """Return a value as a table shows it: nothing for None, the beginning of a digest."""
    return "" if value is None else str(value)[:12] if key == "digest" else str(value)


def _print_table(title: str, headings: list[str], rows: list[list[str]]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(
        title=Text(_printable(title)),
        title_justify="left",
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        collapse_padding=True,
    )
    numeric = [all(row[place][:1].isdigit() or not row[place] for row in rows) for place in range(len(headings))]
    for heading, right in zip(headings, numeric, strict=True):
        table.add_column(heading, justify="right" if right else "left", no_wrap=right, min_width=0 if right else 8)
    for row in rows:
        table.add_row(*(Text(_printable(cell)) for cell in row))
    Console().print(table)


def _printable(text: str) -> str:
    """Return `text` without control characters: data must not steer the terminal."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)


def _say(text: str) -> None:
    sys.stdout.write(_printable_lines(text) + "\n")


def _split(words: str) -> tuple[str, ...]:
    found = tuple(dict.fromkeys(word.strip() for word in words.split(",") if word.strip()))
    if not found:
        raise UsageError(f"{words!r} names nothing. Give one or more names, separated by commas.")
    return found


def _request(words: dict[str, Any]) -> Any:
    """Return the words of a command as a Request. Raises UsageError for all that does not fit."""
    from goodvibe_bench import catalog
    from goodvibe_bench.generator.sampling import Sampling
    from goodvibe_bench.run import Request

    named = {"methods": _split(words["method"]), "tasks": _split(words["tasks"])}
    named |= {"overrides": _pairs(words["overrides"]), "quality": words["quality"].value}
    sampling = {"attempts": words.get("n_samples", 1)}
    sampling |= {key: value for key, value in words.items() if key in Sampling.model_fields}
    same = {key: value for key, value in words.items() if key in Request.model_fields}
    return catalog.parse(same | named | {"sampling": sampling}, Request, "run")


def _pairs(words: list[str] | None) -> dict[str, str]:
    """Return "key=value" words as a dictionary. Raises UsageError for a word without a key or a "="."""
    for word in words or []:
        if not word.partition("=")[0].strip() or "=" not in word:
            raise UsageError(f"{word!r} is no KEY=VALUE, such as --set tuner.top_k=100.")
    return {word.partition("=")[0].strip(): word.partition("=")[2].strip() for word in words or []}


def _calm_libraries() -> None:
    """Keep libraries' own bars and advice out of our output; their warnings on errors stay."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    from huggingface_hub.utils import logging as hub_logging
    from transformers.utils import logging

    hub_logging.set_verbosity_error()
    logging.set_verbosity_error()
    logging.disable_progress_bar()


def main() -> None:
    """Run the command line; a UsageError is one message on standard error and exit code 2."""
    try:
        app()
    except UsageError as error:
        sys.stderr.write(f"goodvibe-bench: {_printable_lines(str(error))}\n")
        sys.exit(2)


def _printable_lines(text: str) -> str:
    return "\n".join(_printable(line) for line in text.split("\n"))
