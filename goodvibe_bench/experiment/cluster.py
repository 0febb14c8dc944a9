"""Run the cells of a grid as tasks of a Ray cluster, on one machine or many. In-process execution is execute.py's.

A cell is a task with its CPUs, GPUs and memory; one with several GPUs gets a placement group, so that they are of one
machine. A task whose worker dies is started again and goes on from the last stage that was finished in the scratch
folder: that lies where every machine sees it, or what is finished is copied to a URL that they share.
"""

import json
import os
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from goodvibe_bench import catalog
from goodvibe_bench.errors import UsageError
from goodvibe_bench.experiment.execute import Answers, Failure, answers, attempt, fetch, send
from goodvibe_bench.experiment.grid import Cell
from goodvibe_bench.progress import Show as Progress
from goodvibe_bench.request import Request, Show
from goodvibe_bench.result import store
from goodvibe_bench.types import Noun, Result

PASSED_ON = ("GOODVIBE_BENCH_DATA", "GOODVIBE_BENCH_CACHE", "HF_HUB_OFFLINE", "HF_ENDPOINT", "TOKENIZERS_PARALLELISM")
"""Variables that a cell needs on every machine; HF_TOKEN is not among them, since a cluster's logs are read by many."""


BETWEEN_SIGNS = 5.0
"""Seconds between two signs that cells are under way."""


class Cluster(Noun):
    """Where cells run, and what each of them may use."""

    address: str | None = None
    """Of a running cluster; one is started on this machine where None."""
    cpus: float = 1
    gpus: int = 0
    memory_gb: float = 0
    """Reserved for scheduling; nothing where 0."""
    retries: int = 3
    """How often a cell whose worker died is started again."""


@dataclass(frozen=True)
class Order:
    """A cell as it travels to a worker."""

    key: str
    request: str
    """As JSON; its folders are apart, since they are no part of a request's words."""
    folder: str
    """Where relative paths are meant from."""
    variables: dict[str, str]


def execute(cells: Sequence[Cell], show: Show, cluster: Cluster) -> tuple[Answers, list[Failure]]:
    """Return what execute.execute returns, with every cell a task of the cluster.

    Raises UsageError where Ray is not installed or there is no cluster at the address.
    """
    _check_gpus(cells, cluster)
    fetch(cells)
    found = answers(cells, current=True)
    send(cells, found)
    show.line(f"cells: {len(cells)}, done before: {len(found)}")
    failures: list[Failure] = []
    left = [cell for cell in cells if cell.key not in found]
    if left:
        with _connected(cluster) as ray:
            done = 0

            def tell(under_way: int) -> None:
                show("cells", done, len(left), f"{under_way} to come or under way")

            for cell, result in _ended(ray, left, cluster, tell):
                done += 1
                show("cells", done, len(left), cell.words)
                if isinstance(result, Failure):
                    show.line(f"failed: {cell.words}: {result.why}")
                    failures.append(result)
                else:
                    found[cell.key] = result
        fetch(cells)  # results of other machines, for whoever reads the folder next
    return found, failures


@contextmanager
def _connected(cluster: Cluster) -> Iterator[Any]:
    if find_spec("ray") is None:
        raise UsageError('--engine ray needs Ray: pip install "goodvibe-bench[ray]"')
    _check_address(cluster.address)
    ray = import_module("ray")
    local = {} if cluster.address else {"include_dashboard": False}
    try:
        ray.init(address=cluster.address, log_to_driver=False, ignore_reinit_error=True, **local)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise UsageError(f"No Ray cluster at {cluster.address!r}: {str(error).splitlines()[0]}") from error
    try:
        yield ray
    finally:
        ray.shutdown()


def _check_address(address: str | None) -> None:
    """Raise UsageError where nobody listens: Ray itself would try for minutes."""
    host, _, port = (address or "").removeprefix("ray://").rpartition(":")
    if not host or not port.isdigit():
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
    except (OSError, OverflowError) as error:
        raise UsageError(
            f"No Ray cluster at {address!r}: {error}. Start one with `ray start --head`, or leave --address out."
        ) from error


def _check_gpus(cells: Sequence[Cell], cluster: Cluster) -> None:
    """Raise UsageError where a cell's engine wants more GPUs than Ray would give the cell."""
    for engine in (cell.request.engine for cell in cells):
        wanted = engine.tensor_parallel_size * engine.data_parallel_size if engine else 1
        if wanted > max(cluster.gpus, 1):
            raise UsageError(
                f"tensor_parallel_size x data_parallel_size = {wanted}, and a cell has {cluster.gpus} GPUs: "
                f"--cell-gpus {wanted}"
            )


def _ended(
    ray: Any, cells: Sequence[Cell], cluster: Cluster, tell: Callable[[int], None]
) -> Iterator[tuple[Cell, Result | Failure]]:
    """Give every cell as it ends, with its result or why it has none; `tell` how many have not, now and then."""
    tasks: dict[Any, Cell] = {}
    groups: dict[Any, Any] = {}
    for cell in cells:
        options, group = _options(cluster)
        reference = ray.remote(run_cell).options(name=cell.words, **options).remote(vars(_order(cell)))
        tasks[reference], groups[reference] = cell, group
    while tasks:
        ended, _ = ray.wait(list(tasks), num_returns=1, timeout=BETWEEN_SIGNS)
        if not ended:
            tell(len(tasks))
            continue
        (reference,) = ended
        cell = tasks.pop(reference)
        yield cell, _result(ray, reference, cell)
        if groups[reference] is not None:
            import_module("ray.util").remove_placement_group(groups[reference])


def _options(cluster: Cluster) -> tuple[dict[str, Any], Any]:
    """Return what Ray is told of a cell, and the placement group of one with several GPUs."""
    options: dict[str, Any] = {"num_cpus": cluster.cpus, "num_gpus": cluster.gpus, "max_retries": cluster.retries}
    if cluster.memory_gb:
        options["memory"] = int(cluster.memory_gb * 1e9)
    if cluster.gpus < 2:
        return options, None
    bundle = {"CPU": cluster.cpus, "GPU": cluster.gpus} | ({"memory": options["memory"]} if cluster.memory_gb else {})
    group = import_module("ray.util").placement_group([bundle], strategy="STRICT_PACK")
    place = import_module("ray.util.scheduling_strategies").PlacementGroupSchedulingStrategy
    return options | {"scheduling_strategy": place(placement_group=group)}, group


def _order(cell: Cell) -> Order:
    variables = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    return Order(cell.key, cell.request.model_dump_json(), str(Path.cwd()), variables)


def _result(ray: Any, reference: Any, cell: Cell) -> Result | Failure:
    try:
        words = ray.get(reference)
    except ray.exceptions.RayError as error:
        lines = str(error).strip().splitlines() or ["no words"]
        return Failure(cell, f"{type(error).__name__}: {lines[0][:300]}")
    return Failure(cell, words["why"]) if "why" in words else Result.model_validate_json(words["result"])


def run_cell(words: dict[str, Any]) -> dict[str, str]:
    """Return the cell's result as JSON, or `why` it failed; this is what runs on a worker.

    A cell whose worker died after its result was written is not run again.
    """
    order = Order(**words)
    os.environ.update(order.variables)
    if Path(order.folder).is_dir():
        os.chdir(order.folder)
    cell = Cell(order.key, catalog.parse(json.loads(order.request), Request, "cell"))
    diary = store.writable(cell.request.scratch / "cells") / f"{order.key}.jsonl"
    _note(diary, "began")
    fetch([cell])
    done = answers([cell], current=True)
    send([cell], done)
    result = done[cell.key] if done else attempt(cell, Progress(quiet=True))
    if isinstance(result, Failure):
        _note(diary, "failed")
        return {"why": result.why}
    if not done:
        _note(diary, "ended")
    return {"result": result.model_dump_json()}


def _note(diary: Path, what: str) -> None:
    """Append who did what to the cell, and when: where it ran is otherwise known to Ray alone."""
    line = json.dumps({"what": what, "host": socket.gethostname(), "pid": os.getpid(), "time": round(time.time(), 3)})
    with diary.open("a", encoding="utf-8") as file:
        file.write(line + "\n")
