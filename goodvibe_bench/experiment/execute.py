"""Run the cells of a grid one after the other, each by itself: one that fails loses no other.

A cell is done when a result in the output folder answers its request; what a killed cell left is gone on from, since
every stage of a run keeps what it did. It computes no figure of a table.
"""

import gc
import sys
import traceback
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from goodvibe_bench.errors import RunError, UsageError
from goodvibe_bench.experiment.grid import Cell
from goodvibe_bench.generating import AUTO
from goodvibe_bench.judge import load as judges
from goodvibe_bench.request import Request, Show
from goodvibe_bench.result import instrument, share, store
from goodvibe_bench.run import config, read_trainers, run
from goodvibe_bench.task import load as load_task
from goodvibe_bench.types import Result

Answers = dict[str, Result]
"""Results by their cells' keys."""


@dataclass(frozen=True)
class Failure:
    """A cell that did not come to its end, and why."""

    cell: Cell
    why: str


def execute(cells: Sequence[Cell], show: Show) -> tuple[Answers, list[Failure]]:
    """Return the results of all cells, those that were done before included, and the cells that failed.

    Ctrl-C ends it at once; the same call goes on from there.
    """
    fetch(cells)
    found = answers(cells, current=True)
    send(cells, found)
    failures: list[Failure] = []
    show.line(f"cells: {len(cells)}, done before: {len(found)}")
    for number, cell in enumerate(cells, 1):
        if cell.key in found:
            continue
        show.line(f"cell {number} of {len(cells)}: {cell.words}")
        result = attempt(cell, show)
        if isinstance(result, Failure):
            failures.append(result)
        else:
            found[cell.key] = result
    return found, failures


def fetch(cells: Sequence[Cell]) -> None:
    """Have the cells' output folder hold what results there are at the URL that they share."""
    if cells:
        request = cells[0].request
        share.check(request.share, request.output, request.scratch)
        share.fetch_results(request.share, request.output)


def send(cells: Sequence[Cell], found: Answers) -> None:
    """Have the URL that the cells share hold these results."""
    if cells:
        share.send_results(cells[0].request.share, cells[0].request.output, list(found.values()))


def attempt(cell: Cell, show: Show) -> Result | Failure:
    """Return the cell's result, or why it failed; the traceback of what is no user's fault goes to the scratch."""
    try:
        ((result, _),) = run(cell.request, show)
    except (UsageError, RunError) as error:
        found: Result | Failure = Failure(cell, str(error))
    except Exception as error:  # noqa: BLE001 - out of memory, a damaged file: the other cells must not be lost
        path = store.writable(cell.request.scratch / "failures") / f"{cell.key}.txt"
        store.write_text(path, traceback.format_exc())
        lines = str(error).strip().splitlines() or ["no words"]
        found = Failure(cell, f"{type(error).__name__}: {lines[0][:300]} ({path})")
    else:
        found = result
    if isinstance(found, Failure):
        show.line(f"failed: {cell.words}: {found.why}")
    _free_memory()
    return found


def _free_memory() -> None:
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()


def answers(cells: Sequence[Cell], *, current: bool) -> Answers:
    """Return, by cell, the results in the cells' output folder that answer their requests.

    With `current` those of other data or of a judge fitted otherwise are none; without it neither is looked at, so
    that nothing has to be loaded.
    """
    if not cells:
        return {}
    results = _results(cells[0].request.output)
    found: Answers = {}
    hashes: dict[str, str] = {}
    digests: dict[str, list[str]] = {}
    for cell in cells:
        same = [result for result in results if _answers(result, cell.request)]
        if current and same:
            hashes |= _hashes(cell.request, known=hashes)
            for dtype in {one.config["dtype"] for one in same} - digests.keys():
                digests[dtype] = _judge_digests(cell.request, dtype)  # all cells have the same judges
            same = [one for one in same if _is_current(one, hashes, digests[one.config["dtype"]])]
        if same:
            found[cell.key] = max(same, key=lambda result: result.date)
    return found


def _results(folder: Path) -> list[Result]:
    """Return the whole results in `folder`; a damaged file is made anew by its cell."""
    found = []
    for path in sorted(folder.glob("*.json")):
        try:
            found.append(store.read_result(path))
        except UsageError:
            continue
    return found


def _answers(result: Result, request: Request) -> bool:
    """Return whether the result is of this model, method, data and settings, with the utility that is asked for."""
    kept = {key: value for key, value in result.config.items() if key != "trainer"}
    (trainer,) = read_trainers(request.methods, request.overrides)
    wanted = config(request, trainer.content)
    # Whichever "auto" stood for where the result was made.
    wanted |= {key: kept[key] for key in ("backend", "dtype") if wanted[key] == AUTO and key in kept}
    if kept != wanted or result.seed != request.seed:
        return False
    if (result.method, result.provenance.get("trainer_digest")) != (trainer.name, trainer.digest):
        return False
    if not request.utility:
        return True
    models = result.utility.get("models", [])
    measured = all(set(request.utility) <= set(model["tasks"]) for model in models)
    return bool(models) and measured and result.utility["settings"].get("limit") == request.utility_limit


def _is_current(result: Result, hashes: Mapping[str, str], digests: Iterable[str]) -> bool:
    same_tasks = all(hashes.get(name, digest) == digest for name, digest in result.task_hashes.items())
    return same_tasks and [judge.get("digest") for judge in instrument.judges(result)] == list(digests)


def _hashes(request: Request, known: Mapping[str, str]) -> dict[str, str]:
    """Return the digests of the request's tasks by name, but for those that are known or whose data is not at hand."""
    found = {}
    for name in request.tasks:
        if name not in known:
            with suppress(UsageError):
                task = load_task(name, data=request.data, quality=request.quality)
                found |= {name: task.digest, task.name: task.digest}
    return found


def _judge_digests(request: Request, dtype: str) -> list[str]:
    how = judges.Loading(dtype=dtype, scratch=request.scratch)
    return [judges.load(name, how).digest for name in request.judges]
