"""Score samples made elsewhere: read, extract, judge, score, write. It trains and generates nothing.

The result is an ordinary one, with its records beside it.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from pydantic import Field

from goodvibe_bench import anchor, catalog, foreign, samples, types
from goodvibe_bench.errors import UsageError
from goodvibe_bench.foreign import Format
from goodvibe_bench.generating import settle_dtype
from goodvibe_bench.judge import JudgeDefinition
from goodvibe_bench.judge import load as judges
from goodvibe_bench.result import instrument, store
from goodvibe_bench.result.assemble import assemble
from goodvibe_bench.run import (
    Request,
    Show,
    check_judges,
    code_digest,
    judged,
    prepare,
    read_trainers,
    versions,
    write,
)
from goodvibe_bench.types import Language, Noun, Record, Result, Task

MAX_NAME = 80
"""Characters: it is twice in the result's file name."""


class Scoring(Noun):
    """All that scoring a file is asked for."""

    file: Path
    name: str | None = None
    """What made the samples; the file's name without its ending when None."""
    format: Format | None = None
    """Recognised from the first row when None."""
    language: Language | None = None
    """Of rows that name none, and answer no prompt of a task."""
    tasks: tuple[str, ...] = ("cpp", "java", "swift", "go")
    judges: tuple[str, ...] = Field(default=("panel",), min_length=1)
    uncalibrated: bool = False
    data: Path | None = None
    output: Path = Path("results")
    scratch: Path = Path(".runs")


def score(scoring: Scoring, show: Show) -> tuple[Result, Path]:
    """Return the result of the file's samples, and the file that it was written to.

    The name stands for model and method, since `compare` finds a side by its method and `leaderboard` shows both.
    Raises UsageError, before anything is judged or written, for whatever is wrong with the file or the judges.
    """
    name = _name(scoring)
    request = settle_dtype(_request(scoring, name), show)
    definitions = [catalog.read("judges", judge, JudgeDefinition) for judge in request.judges]
    instrument.check_names([definition.name for definition in definitions])
    tasks = prepare(request, show)
    found = samples.read(scoring.file, tasks, scoring.format, scoring.language)
    for task, (answered, known) in found.answered().items():
        show.line(f"{task}: {len(found.completions[task])} samples for {answered} of {known} prompts")
    check_judges(request, definitions, found.tasks, show)
    for folder in (request.output, request.scratch):
        store.writable(folder)
    how = judges.Loading(dtype=request.dtype, scratch=request.scratch)
    fitted = [judges.load(judge, how) for judge in request.judges]
    records = [record for task in found.tasks for record in _judged(found, task, fitted, show)]
    result = _result(scoring, request, found, fitted, records, show)
    return result, write(request, result, records, show)


def _name(scoring: Scoring) -> str:
    name = foreign.clean(scoring.file.stem if scoring.name is None else scoring.name).strip()
    if not name or len(name) > MAX_NAME or not name.isprintable():
        raise UsageError(f"{name!r} is no printable name of 1 to {MAX_NAME} characters. Give one: --name NAME.")
    return name


def _request(scoring: Scoring, name: str) -> Request:
    """Return the request of a run that would have the same tasks, judges and folders."""
    shared = scoring.model_dump(include=set(Request.model_fields) & set(Scoring.model_fields))
    return Request(model=name, methods=(name,), **shared)


def _judged(found: samples.Samples, task: Task, fitted: Sequence[judges.Fitted], show: Show) -> list[Record]:
    """Return the task's records; task by task, because two tasks may have prompts of one id."""
    return judged(found.completions[task.name], [task], fitted[0], show, others=fitted[1:])


def _result(
    scoring: Scoring,
    request: Request,
    found: samples.Samples,
    fitted: Sequence[judges.Fitted],
    records: Sequence[Record],
    show: Show,
) -> Result:
    with scoring.file.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()[:16]
    source = {"file": foreign.clean(scoring.file.name), "format": found.format, "answered": found.answered()}
    config = request.model_dump(mode="json", include={"model", "tasks", "judges", "uncalibrated", "quality", "seed"})
    untrained = read_trainers(("none",), {})[0]
    return assemble(
        config | {"source": source},
        replace(untrained, name=request.model),
        found.tasks,
        anchor.blocks(fitted, [task.language for task in found.tasks], show),
        [types.Model(id=request.model, digest=digest)],
        [],
        records,
        versions(),
        code_digest(),
    )
