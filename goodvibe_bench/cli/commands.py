"""Words in, one call, exit code out. No logic of the benchmark lives here.

Exit codes: 0 done, 1 the run failed (a full disk, or our bug: traceback), 2 usage; of `check` also 3 regression proven
or floor missed, 4 inconclusive; of `reproduce` 3 outcomes differ; 130 interrupted with Ctrl-C (what was done is kept).
Everything heavy is imported inside a command.
"""

import json
import re
import shlex
import sys
import traceback
from pathlib import Path
from typing import Annotated

import typer

from goodvibe_bench.cli import check as check_commands
from goodvibe_bench.cli import doctor as doctor_commands
from goodvibe_bench.cli import experiment as experiment_commands
from goodvibe_bench.cli import judge as judge_commands
from goodvibe_bench.cli import neurons as neurons_commands
from goodvibe_bench.cli import report as report_commands
from goodvibe_bench.cli import reproduce as reproduce_commands
from goodvibe_bench.cli import results as results_commands
from goodvibe_bench.cli import score as score_commands
from goodvibe_bench.cli.options import (
    AsJson,
    BaseUrl,
    Concurrency,
    Data,
    Dtype,
    JudgeBackend,
    Judges,
    Listed,
    MaxNewTokens,
    Method,
    Model,
    ModelArgs,
    Overrides,
    Push,
    Quality,
    Quiet,
    ReportTo,
    Revision,
    Scratch,
    Seed,
    Share,
    Tasks,
    Timeout,
    TrainLimit,
    TrustRemoteCode,
    Uncalibrated,
    Utility,
    UtilityLimit,
    UtilityMargin,
    WithQuality,
    calm_libraries,
    pairs_of,
    parse,
    request_from,
    split,
)
from goodvibe_bench.cli.printing import (
    print_leaderboard,
    print_side_effects,
    say,
    say_filled,
    table,
)
from goodvibe_bench.errors import RunError, UsageError
from goodvibe_bench.untrusted import printable, printable_lines, without_secrets

FULL = re.compile("No space left on device|File too large|quota exceeded|PytorchStreamWriter failed|iostream error")
"""What errors say when a disk takes no more; torch and safetensors raise kinds of their own."""

app = typer.Typer(
    help="Does tuning make a language model write secure code by default, and at what cost?",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(judge_commands.app, name="judge")
app.add_typer(doctor_commands.app, name="doctor")
app.add_typer(neurons_commands.app, name="neurons")
app.command()(results_commands.leaderboard)
app.command()(results_commands.compare)
app.command()(report_commands.report)
app.command()(score_commands.score)
app.command()(reproduce_commands.reproduce)
app.command()(experiment_commands.experiment)
app.command()(check_commands.check)


@app.command()
def run(
    model: Model,
    method: Method = "none",
    tasks: Tasks = "cpp,java,swift,go",
    judge: Judges = "panel",
    uncalibrated: Uncalibrated = False,
    backend: Annotated[str, typer.Option(help="What generates: auto, transformers, vllm or openai.")] = "auto",
    model_args: ModelArgs = None,
    judge_backend: JudgeBackend = "transformers",
    base_url: BaseUrl = None,
    concurrency: Concurrency = 16,
    timeout_seconds: Timeout = 300.0,
    limit: Annotated[int | None, typer.Option(help="Held-out prompts a task, the first ones.")] = None,
    train_limit: TrainLimit = None,
    overrides: Overrides = None,
    seed: Seed = 0,
    output: Annotated[Path, typer.Option("--output", "--output_path", help="Folder for results.")] = Path("results"),
    scratch: Scratch = Path(".runs"),
    share: Share = None,
    data: Data = None,
    quality: WithQuality = Quality.CLEAN,
    max_new_tokens: MaxNewTokens = 512,
    temperature: Annotated[float, typer.Option(help="0 is greedy.")] = 0.0,
    n_samples: Annotated[int, typer.Option("--n-samples", "--n_samples", help="Samples a prompt.")] = 1,
    batch_size: Annotated[int, typer.Option("--batch-size", "--batch_size", help="Prompts generated at once.")] = 16,
    dtype: Dtype = "auto",
    revision: Revision = None,
    trust_remote_code: TrustRemoteCode = False,
    utility: Utility = None,
    utility_limit: UtilityLimit = None,
    utility_margin: UtilityMargin = 2.0,
    push: Push = None,
    report_to: ReportTo = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Train, generate, judge and score; print one row a method."""
    words = dict(locals())
    from goodvibe_bench.progress import Show
    from goodvibe_bench.run import run as run_all

    request = request_from(words)
    calm_libraries()
    with Show(quiet=quiet) as show:
        found = run_all(request, show)
    results = [result for result, _ in found]
    print_leaderboard(results, as_json=as_json)
    if not as_json:
        print_side_effects(results)


@app.command()
def train(
    model: Model,
    method: Method,
    tasks: Tasks = "cpp,java,swift,go",
    train_limit: TrainLimit = None,
    overrides: Overrides = None,
    seed: Seed = 0,
    scratch: Scratch = Path(".runs"),
    share: Share = None,
    data: Data = None,
    quality: WithQuality = Quality.CLEAN,
    dtype: Dtype = "auto",
    revision: Revision = None,
    trust_remote_code: TrustRemoteCode = False,
    report_to: ReportTo = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Train only, and say where the models lie; runs under `accelerate launch` on several devices."""
    words = dict(locals())
    from goodvibe_bench.progress import Show
    from goodvibe_bench.run import train_only
    from goodvibe_bench.trainer import processes

    request = request_from(words)
    calm_libraries()
    with Show(quiet=quiet or not processes.is_first()) as show:
        found = train_only(request, show)
    if processes.is_first():
        table("Trained models", [trained.row() for trained in found], as_json)


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
    overrides: Overrides = None,
    as_json: AsJson = False,
) -> None:
    """Tell parameters, FLOPs and memory before a run, without any weights."""
    words = {key: value for key, value in locals().items() if key not in {"model", "method", "overrides", "as_json"}}
    from goodvibe_bench import plan as planning
    from goodvibe_bench.run import read_trainers
    from goodvibe_bench.training import check_dtype

    work = parse(words, planning.Workload, "plan")
    trainers = read_trainers(split(method), planning.changes(pairs_of(overrides)))
    check_dtype(work.dtype, trainers)
    calm_libraries()
    plans, notes = planning.plan(model, split(method), work, trainers)
    if as_json:
        found = {"model": model, "workload": work.model_dump(), "plans": [vars(one) for one in plans], "notes": notes}
        say(json.dumps(found, indent=1))
        return
    table(planning.title(model, work), planning.table(plans), False)
    for note in notes:
        say_filled(note)


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
    """List tasks, judges, trainers, carried models or experiments."""
    from goodvibe_bench.listing import rows

    if not audit:
        table(what.value, rows(what.value, data), as_json)
        return
    if what != Listed.TASKS:
        raise UsageError("--audit is for tasks: goodvibe-bench ls tasks --audit")
    from goodvibe_bench.auditing import audit as audit_data
    from goodvibe_bench.progress import Show

    with Show(quiet=quiet) as show:
        crossings, styles = audit_data(data, show)
    if as_json:
        say(json.dumps({"crossings": crossings, "styles": styles}, indent=1))
        return
    table("Twins between parts: pairs of rows that are equal, or near (cosine 0.9 and above)", crossings, False)
    table("Style: AUC of character n-grams by cross-validation; 0.5 means that style tells no label", styles, False)


def main() -> None:
    """Run the command line; a UsageError is one message on standard error and exit code 2, Ctrl-C one and 130."""
    try:
        app()
    except UsageError as error:
        sys.stderr.write(f"goodvibe-bench: {printable_lines(str(error))}\n")
        sys.exit(2)
    except (RunError, FloatingPointError) as error:
        sys.stderr.write(f"goodvibe-bench: {printable_lines(str(error))}\n{_next_command()}\n")
        sys.exit(1)
    except Exception as error:  # noqa: BLE001 - what is no fault of the user is shown whole
        if not FULL.search(str(error)):
            sys.stderr.write(printable_lines(traceback.format_exc()))  # it may quote data
            sys.exit(1)
        sys.stderr.write(f"goodvibe-bench: the disk is full ({printable(str(error))}). {_next_command()}\n")
        sys.exit(1)
    except SystemExit as ended:
        # Typer makes this of a KeyboardInterrupt, and no command of ours exits so by itself.
        if ended.code == 130:
            _say_interrupted()
        raise


def _say_interrupted() -> None:
    """Say how to go on; of several processes that train together the first one says it."""
    from goodvibe_bench.trainer import processes

    if processes.is_first():
        sys.stderr.write(f"goodvibe-bench: interrupted. {_next_command()}\n")


def _next_command() -> str:
    """Say what goes on from here, without the secrets that an address may hold."""
    command = shlex.join(["goodvibe-bench", *map(without_secrets, sys.argv[1:])])
    hidden = "" if command == shlex.join(["goodvibe-bench", *sys.argv[1:]]) else " (with the secrets of its address)"
    return f"What was done is kept; to go on from there{hidden}: {printable(command)}"
