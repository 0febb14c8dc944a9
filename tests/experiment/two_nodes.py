"""A Ray cluster of two nodes on this machine, one of whose workers is killed midway; prints what became of the cells.

A program of its own: Ray leaves sockets open, which is an error in our tests.
"""

import json
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

from ray.cluster_utils import Cluster as Nodes

from goodvibe_bench.experiment import cluster, execute, grid
from goodvibe_bench.experiment.cluster import Cluster
from goodvibe_bench.experiment.grid import Cell, Changes
from goodvibe_bench.generator.sampling import Sampling
from goodvibe_bench.progress import Show
from tests.experiment.runs import two_methods
from tests.short import JUDGE
from tests.tiny import tiny_folder


def _cells(folder: Path, place: str, seeds: tuple[int, ...] = (0, 1), url: str | None = None) -> list[Cell]:
    shared: dict[str, Any] = {
        "judges": (str(folder / "double.toml"),),
        "uncalibrated": True,
        "limit": 2,
        "train_limit": 4,
        "dtype": "float32",
        "sampling": Sampling(max_new_tokens=600),
        "output": folder / place / "results",
        "scratch": folder / place / "scratch",
        "share": url,
    }
    changes = Changes(models=(str(folder / "model"),), seeds=seeds)
    return grid.make(two_methods(folder), changes, shared).cells()


def _diary(cell: Cell) -> list[dict[str, Any]]:
    path = cell.request.scratch / "cells" / f"{cell.key}.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def _kill_after_training(cells: list[Cell], killed: dict[str, Any]) -> None:
    """Wait until a model is trained, then kill the workers of those LoRA cells that are under way."""
    models = cells[0].request.scratch / "models"
    while not (trained := list(models.glob("[!.]*/goodvibe.json"))):
        time.sleep(0.01)
    for cell in cells:
        diary = _diary(cell)
        if cell.request.methods == ("lora",) and [entry["what"] for entry in diary] == ["began"]:
            os.kill(diary[0]["pid"], signal.SIGKILL)
            killed[cell.key] = diary[0]["pid"]
    killed["model"] = (str(trained[0]), trained[0].stat().st_mtime_ns)


def main(folder: Path) -> None:
    (folder / "double.toml").write_text(JUDGE)
    tiny_folder(folder / "model")
    cells, killed = _cells(folder, "ray", url=(folder / "bucket").as_uri()), {}
    show = Show(quiet=True)
    nodes = Nodes(initialize_head=True, head_node_args={"num_cpus": 1, "object_store_memory": 100_000_000})
    nodes.add_node(num_cpus=1, num_gpus=2, object_store_memory=100_000_000)  # Ray takes our word for the GPUs
    killer = threading.Thread(target=_kill_after_training, args=(cells, killed), daemon=True)
    killer.start()
    found, failures = cluster.execute(cells, show, Cluster(address=nodes.address))
    again, _ = cluster.execute(cells, show, Cluster(address=nodes.address))
    written = sorted(path.name for path in (folder / "ray" / "results").glob("*.json"))
    wide = cluster.execute(_cells(folder, "ray", (2,))[:1], show, Cluster(address=nodes.address, gpus=2))
    nodes.shutdown()
    killer.join(10)
    here = _cells(folder, "here")
    alone, _ = execute.execute(here, show)
    path, before = killed.pop("model")
    told = {
        "failures": [failure.why for failure in failures],
        "killed": list(killed),
        "diaries": {cell.key: [entry["what"] for entry in _diary(cell)] for cell in cells},
        "same": {key: found[key].outcomes == result.outcomes for key, result in alone.items()},
        "digests": {key: found[key].model.digest == result.model.digest for key, result in alone.items()},
        "wide": len(wide[0]),
        "again": sorted(again) == sorted(found),
        "trained_once": Path(path).stat().st_mtime_ns == before,
        "copied": sorted(path.name for path in (folder / "bucket").glob("*.json")),
        "written": written,
    }
    sys.stdout.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
