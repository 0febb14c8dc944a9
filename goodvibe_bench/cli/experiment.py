"""`goodvibe-bench experiment NAME`: words in, one call, exit code out. No logic of the benchmark lives here.

Exit codes: 0 all cells done, 1 a cell failed, 2 usage.
"""

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from goodvibe_bench.cli.options import (
    AsJson,
    Data,
    Dtype,
    JudgeBackend,
    Judges,
    MaxNewTokens,
    ModelArgs,
    Quality,
    Quiet,
    Scratch,
    Share,
    TrainLimit,
    Uncalibrated,
    UtilityLimit,
    calm_libraries,
    parse,
    split,
)
from goodvibe_bench.cli.options import model_args as model_args_of
from goodvibe_bench.cli.printing import print_table, say, say_filled
from goodvibe_bench.cli.printing import table as table_of
from goodvibe_bench.errors import UsageError

Name = Annotated[str, typer.Argument(help="table1 ... table9, figure3, figure4, or a definition's path.")]
Models = Annotated[str | None, typer.Option("--model", help="In place of the paper's models, separated by commas.")]
More = Annotated[str | None, typer.Option("--method", help="Trainers beside the paper's, as controls.")]
Fewer = Annotated[str | None, typer.Option("--tasks", help="In place of the tasks of the same language.")]
Seeds = Annotated[str | None, typer.Option("--seed", help="Seeds, separated by commas.")]
Benchmarks = Annotated[str | None, typer.Option("--utility", help="figure3: in place of gsm8k,arc_challenge,mmlu.")]
Gpu = Annotated[str | None, typer.Option("--gpu", help="--plan: kind of device, of devices.toml; else this machine's.")]
Price = Annotated[float | None, typer.Option(min=0, help="--plan: dollars a device and hour, else devices.toml's.")]
Utilisation = Annotated[float, typer.Option(min=0.01, max=1, help="--plan: share of a device's peak, if not measured.")]
Address = Annotated[
    str | None, typer.Option(help="--engine ray: of a running cluster, such as auto or ray://HOST:10001.")
]
CellCpus = Annotated[float, typer.Option("--cell-cpus", min=0.1, help="--engine ray: CPUs a cell.")]
CellGpus = Annotated[int, typer.Option("--cell-gpus", min=0, help="--engine ray: GPUs a cell, of one machine.")]
CellMemory = Annotated[float, typer.Option("--cell-memory", min=0, help="--engine ray: GB a cell, for scheduling.")]


class Engine(StrEnum):
    HERE = "here"
    RAY = "ray"


def experiment(
    name: Name,
    plan: Annotated[bool, typer.Option("--plan", help="Tell FLOPs, memory, time and cost; run nothing.")] = False,
    model: Models = None,
    method: More = None,
    tasks: Fewer = None,
    seed: Seeds = None,
    judge: Judges = "panel",
    uncalibrated: Uncalibrated = False,
    backend: Annotated[str, typer.Option(help="What generates: auto, transformers or vllm.")] = "auto",
    model_args: ModelArgs = None,
    judge_backend: JudgeBackend = "transformers",
    limit: Annotated[int | None, typer.Option(help="Held-out prompts a task, the first ones.")] = None,
    train_limit: TrainLimit = None,
    max_new_tokens: MaxNewTokens = 512,
    batch_size: Annotated[int, typer.Option("--batch-size", "--batch_size", help="Prompts generated at once.")] = 16,
    dtype: Dtype = "auto",
    quality: Annotated[Quality | None, typer.Option(help="Training rows; the paper left none out: raw.")] = None,
    utility: Benchmarks = None,
    utility_limit: UtilityLimit = None,
    data: Data = None,
    output: Annotated[Path, typer.Option("--output", "--output_path", help="Folder for results.")] = Path(
        "results/paper"
    ),
    scratch: Scratch = Path(".runs"),
    gpus: Annotated[int, typer.Option(min=1, help="--plan: devices.")] = 1,
    gpu: Gpu = None,
    price: Price = None,
    utilisation: Utilisation = 0.3,
    engine: Annotated[Engine, typer.Option(help="In this process, or as tasks of a Ray cluster.")] = Engine.HERE,
    address: Address = None,
    cell_cpus: CellCpus = 1,
    cell_gpus: CellGpus = 0,
    cell_memory: CellMemory = 0,
    share: Share = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Plan, run or go on with a table or figure of the paper, and print our cells beside the paper's."""
    words = dict(locals())
    calm_libraries()
    grid = _grid(words)
    if plan:
        _print_plan(grid, words)
    elif _run(grid, words):
        raise typer.Exit(1)


def _grid(words: dict[str, Any]) -> Any:
    from goodvibe_bench.experiment import grid
    from goodvibe_bench.request import Request

    names = {"models": "model", "methods": "method", "tasks": "tasks", "utility": "utility"}
    changes = {key: split(words[option]) if words[option] else () for key, option in names.items()}
    seeds = _seeds(words["seed"]) if words["seed"] else ()
    shared = {key: words[key] for key in Request.model_fields if key in words}
    shared = {key: value for key, value in shared.items() if key not in {"model", "tasks", "seed", "utility", "engine"}}
    shared |= {"judges": split(words["judge"])}
    shared |= {"sampling": {key: words[key] for key in ("max_new_tokens", "batch_size")}}
    of_model = _of_model(words["model_args"])
    shared |= of_model
    if words["quality"] is None:
        del shared["quality"]
    else:
        shared["quality"] = words["quality"].value
    parse(shared | {"model": "x", "methods": ("none",)}, Request, "experiment", of_model)
    return grid.make(words["name"], parse(changes | {"seeds": seeds}, grid.Changes, "experiment"), shared)


def _of_model(text: str | None) -> dict[str, Any]:
    found = model_args_of(text) if text else {}
    if "seed" in found:
        raise UsageError("--model_args seed: an experiment's seeds are given by --seed.")
    return found


def _seeds(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(word) for word in split(text))
    except ValueError as error:
        raise UsageError(f"--seed {text}: seeds are whole numbers, separated by commas.") from error


def _executed(grid: Any, words: dict[str, Any]) -> tuple[Any, Any]:
    from goodvibe_bench import catalog
    from goodvibe_bench.progress import Show

    with Show(quiet=words["quiet"]) as progress:
        if words["engine"] == Engine.HERE:
            from goodvibe_bench.experiment import execute

            return execute.execute(grid.cells(), progress)
        from goodvibe_bench.experiment import cluster

        settings = {"address": words["address"], "memory_gb": words["cell_memory"]}
        settings |= {"cpus": words["cell_cpus"], "gpus": words["cell_gpus"]}
        return cluster.execute(grid.cells(), progress, catalog.parse(settings, cluster.Cluster, "experiment"))


def _run(grid: Any, words: dict[str, Any]) -> bool:
    """Run the grid and print its table; return whether a cell failed."""
    from goodvibe_bench.experiment import figure, table

    found, failures = _executed(grid, words)
    lines = table.lines(grid, found)
    notes = table.notes(grid, lines)
    drawn = [str(path) for path in figure.draw(grid, lines, found)]
    clusters = figure.numbers(grid, found)
    failed = [{"cell": one.cell.words, "why": one.why} for one in failures]
    if words["as_json"]:
        told = {"experiment": grid.name, "lines": lines, "clusters": clusters, "notes": notes, "drawn": drawn}
        say(json.dumps(told | {"failed": failed}, indent=1))
        return bool(failures)
    section = grid.definition.section
    place = f"section {section}" if section[:1].isdigit() else section
    say_filled(f"{grid.name} ({place}): {grid.definition.description}")
    say("")
    _print_lines(lines)
    for model, rows in clusters.items():
        table_of(f"Clusters of {model}", rows, False)
    for note in [*notes, *(f"Drawn: {path}" for path in drawn)]:
        say_filled(note)
    for one in failed:
        say_filled(f"Failed: {one['cell']}: {one['why']}")
    return bool(failures)


def _print_lines(lines: list[Any]) -> None:
    from goodvibe_bench.experiment import table

    titles = table.titles(lines)
    for group, title in titles.items():
        rows = [table.cells(line) for line in lines if line["group"] == group]
        keys = [key for key in rows[0] if any(row[key] for row in rows)]
        optional = [keys.index(key) for key in ("valid", "n") if key in keys]
        print_table(title, keys, [[row[key] for key in keys] for row in rows], optional)


def _print_plan(grid: Any, words: dict[str, Any]) -> None:
    from goodvibe_bench.experiment import devices, execute, forecast, measured, planned

    name = words["gpu"] or devices.here()
    device = devices.find(name) if name else None
    rates = measured.read([words["output"]])
    forecasts = forecast.forecast(grid.cells(), device, words["utilisation"], rates)
    done = set(execute.answers(grid.cells(), current=False))
    settings = planned.Settings(device, words["gpus"], words["price"], words["utilisation"])
    rows, notes = planned.rows(grid, forecasts, done), planned.notes(forecasts, settings, done)
    if words["as_json"]:
        say(json.dumps({"experiment": grid.name, "cells": rows, "notes": notes}, indent=1))
        return
    keys = list(rows[0])
    headings = [key.replace("_", "\n") for key in keys]
    optional = [keys.index(key) for key in ("devices", "train_PF", "write_PF") if key in keys]
    left = print_table(
        f"{grid.name}: {len(rows)} cells", headings, [[row[key] for key in keys] for row in rows], optional
    )
    if left:
        say_filled(f"No room for: {', '.join(keys[place] for place in left)}. A wider terminal or --json has them.")
    for note in notes:
        say_filled(note)
