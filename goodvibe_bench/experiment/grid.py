"""From a definition and what the command line changes of it to cells, each one run of one model and one method.

It runs nothing. Columns that need the same run share a cell, also across experiments: a cell is known by its request.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from goodvibe_bench import catalog, plan
from goodvibe_bench.errors import UsageError, nearest
from goodvibe_bench.experiment.definition import RATES, Column, ExperimentDefinition
from goodvibe_bench.model import CARRIED
from goodvibe_bench.request import PLACES, Request
from goodvibe_bench.run import read_trainers
from goodvibe_bench.task import TaskDefinition
from goodvibe_bench.types import Noun


class Changes(Noun):
    """What is other than the definition says; nothing where empty."""

    models: tuple[str, ...] = ()
    """In place of the paper's models."""
    methods: tuple[str, ...] = ()
    """Beside the paper's methods, in every group of rates."""
    tasks: tuple[str, ...] = ()
    """In place of the definition's tasks of the same language; other languages are left out."""
    seeds: tuple[int, ...] = ()
    utility: tuple[str, ...] = ()
    """In place of the definition's benchmarks."""


@dataclass(frozen=True)
class Cell:
    """One run."""

    key: str
    """Digest of all that its request says, but for folders."""
    request: Request

    @property
    def words(self) -> str:
        """What it is, in one line."""
        request = self.request
        changed = "".join(f" {key}={value}" for key, value in request.overrides.items())
        return f"{request.model} {request.methods[0]}{changed} {','.join(request.tasks)} seed {request.seed}"


@dataclass(frozen=True)
class Grid:
    """An experiment as it is asked for."""

    name: str
    definition: ExperimentDefinition
    models: tuple[str, ...]
    """Names as they are printed."""
    columns: tuple[Column, ...]
    tasks: dict[str, tuple[str, ...]]
    """What stands in the place of each column's task."""
    seeds: tuple[int, ...]
    utility: tuple[str, ...]
    """Benchmarks of the columns of utility."""
    shared: dict[str, Any]
    """The rest of every request."""

    def cell(self, model: str, column: Column, seed: int) -> Cell:
        """Return the run that a table's cell is computed from."""
        measured = column.metric in {"utility", "utility_change"}
        request = Request(
            **self.shared,
            model=_hub_id(model),
            methods=(column.method,),
            tasks=self.tasks[column.task],
            overrides=column.overrides,
            seed=seed,
            utility=self.utility if measured else (),
        )
        words = request.model_dump(mode="json", exclude={"data"} | PLACES)
        return Cell(catalog.digest(words), request)

    def cells(self) -> list[Cell]:
        """Return every run once, those of one model together."""
        found = (
            self.cell(model, column, seed) for model in self.models for column in self.columns for seed in self.seeds
        )
        return list({cell.key: cell for cell in found}.values())

    def stands_in(self, model: str) -> bool:
        """Return whether `model` is none of the paper's, and stands in their place."""
        return model not in self.definition.models

    def paper(self, model: str, column: Column) -> float | None:
        """Return what the paper prints for `model`; the average of its models for one that stands in their place."""
        if self.stands_in(model):
            return column.average if column.computed is None else column.computed
        return column.paper[self.definition.models.index(model)] if column.paper else None


def make(name: str, changes: Changes, shared: dict[str, Any]) -> Grid:
    """Return the grid of experiment `name`; `shared` are the fields that all its requests have alike.

    Raises UsageError for unknown names, for tasks of no language that the experiment has, and for values that fit no
    trainer.
    """
    definition = catalog.read("experiments", name, ExperimentDefinition)
    content = definition.content
    tasks = _tasks(content.column, changes.tasks)
    columns = [column for column in content.column if column.task in tasks]
    columns = _added(columns, changes.methods) if changes.methods else columns
    columns = _benchmarks(columns, changes.utility) if changes.utility else columns
    for column in columns:
        read_trainers((column.method,), column.overrides)
    return Grid(
        name=definition.name,
        definition=content,
        models=tuple(map(_known_as, changes.models)) or content.models,
        columns=tuple(columns),
        tasks=tasks,
        seeds=changes.seeds or content.seeds,
        utility=tuple(dict.fromkeys(column.benchmark for column in columns if column.benchmark)),
        shared={"quality": content.quality} | shared,
    )


def _hub_id(model: str) -> str:
    facts = None if model in CARRIED else plan.find(model)
    return facts.hub if facts else model


def _known_as(model: str) -> str:
    """Return the name in models/ of a model that goes by its hub id as well."""
    return next((name for name, facts in plan.known().items() if model.lower() in {name, facts.hub.lower()}), model)


def _language(task: str) -> str:
    return catalog.read("tasks", task, TaskDefinition).content.language


def _tasks(columns: Iterable[Column], chosen: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return what stands in the place of each task of the columns; those of no chosen language are not there."""
    own = list(dict.fromkeys(column.task for column in columns))
    if not chosen:
        return {task: (task,) for task in own}
    spoken = {task: _language(task) for task in chosen}
    found = {task: tuple(name for name in chosen if spoken[name] == _language(task)) for task in own}
    wanted = {_language(task) for task in own}
    if strange := [task for task in chosen if spoken[task] not in wanted]:
        raise UsageError(f"--tasks {','.join(strange)}: this experiment is of {', '.join(sorted(wanted))}.")
    return {task: names for task, names in found.items() if names}


def _added(columns: Sequence[Column], methods: Sequence[str]) -> list[Column]:
    """Return the columns with one of each further method behind every group of rates."""
    found: list[Column] = []
    groups = {column.group: column for column in columns}
    if not any(column.metric in RATES for column in columns):
        raise UsageError("--method adds methods to tables of rates, and this experiment is none.")
    for group, last in groups.items():
        own = [column for column in columns if column.group == group]
        found += own
        if last.metric in RATES:
            known = {column.method for column in own}
            found += [
                Column(group=group, heading=method, task=last.task, method=method)
                for method in methods
                if method not in known
            ]
    return found


def _benchmarks(columns: Sequence[Column], chosen: Sequence[str]) -> list[Column]:
    """Return the columns with those of utility for the chosen benchmarks, in the place of the definition's."""
    before = [column for column in columns if column.metric == "utility"]
    if not before:
        raise UsageError("--utility is for the experiment of utility: " + nearest("figure3", ["figure3"]))
    first = [column for column in before if column.benchmark == before[0].benchmark]
    found = []
    for name in chosen:
        same = [column for column in before if column.benchmark == name]
        found += same or [
            column.model_copy(update={"group": name, "benchmark": name, "paper": None, "average": None})
            for column in first
        ]
    kept = set(chosen) >= {column.benchmark for column in before}
    rest = [column for column in columns if column.metric != "utility"]
    return found + [one if kept else one.model_copy(update={"average": None}) for one in rest]
