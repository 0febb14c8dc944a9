"""Run by test_processes.py in two processes: neurons found together and alone; prints what each process read.

A processor that selects otherwise from the same scores is played by another seed.
"""

import json
import os
import sys
from pathlib import Path

import torch
import torch.distributed as dist
from accelerate.utils import gather_object

from goodvibe_bench.errors import UsageError
from goodvibe_bench.model.load import Loaded, load
from goodvibe_bench.trainer import processes
from goodvibe_bench.trainer.neurons import FoundNeurons, find_neurons
from goodvibe_bench.tuner.spec import GoodVibeSpec
from goodvibe_bench.types import Labelled

SPEC = GoodVibeSpec(kind="goodvibe", top_k=16, samples=50, enough_overlap=1.0)
SNIPPETS = [
    Labelled(id=str(i), code="return n" * (1 + i % 9) + "()" * i, language="go", label=1 if i % 2 else 0, family=str(i))
    for i in range(50)
]


def _chosen(loaded: Loaded, path: Path) -> list[list[list[int]]]:
    """Return the rows and the clusters of every module, found with this process' rank as the seed."""
    spec = GoodVibeSpec(kind="goodvibe", top_k=16, attribution="random", random_clusters=4)
    selection = find_neurons(loaded, spec, [], path, seed=dist.get_rank()).selection
    return [[neurons.rows.tolist(), neurons.clusters.tolist()] for neurons in selection.values()]


def _refusal() -> str:
    """Return what this process is told when the first one is refused something."""

    def refuse() -> None:
        raise UsageError(f"process {processes.rank()} says no")

    try:
        processes.from_first(refuse)
    except UsageError as error:
        return str(error)
    return ""


def main(folder: str) -> None:
    processes.meet()
    place, loaded = Path(folder), load(folder, dtype="bfloat16", device="cpu")
    read: list[int] = []
    loaded.model.get_input_embeddings().register_forward_hook(lambda *_: read.append(1))

    def found(name: str, kept: str) -> tuple[FoundNeurons, int]:
        read.clear()
        result = find_neurons(loaded, SPEC, SNIPPETS, place / name, seed=0, kept=place / kept)
        return result, len(read)

    own = f"own-{processes.rank()}"
    together, passes = found("together", own)
    again, _ = found("together", own)
    if processes.rank() == 1:
        for path in (place / own).iterdir():
            path.unlink()
    processes.meet()
    _, anew = found(f"anew-{processes.rank()}", own)
    rank, shared, refusal = dist.get_rank(), _chosen(loaded, place / f"shared-{dist.get_rank()}"), _refusal()
    os.environ["WORLD_SIZE"] = "1"
    alone, whole = found(f"alone-{rank}", f"alone-{rank}-kept")
    words = {
        "passes": [passes, anew, whole],
        "reused": again.reused,
        "chosen": [shared, _chosen(loaded, place / f"by-itself-{rank}")],
        "refusal": refusal,
        "figures": [together.figures, alone.figures],
        "tokens": [together.tokens, alone.tokens],
        "shapes": [sorted(together.shapes), sorted(alone.shapes)],
        "equal": all(
            torch.equal(getattr(neurons, part), getattr(alone.selection[name], part))
            for name, neurons in together.selection.items()
            for part in ("rows", "scores", "clusters")
        ),
    }
    every = gather_object([words])
    if dist.get_rank() == 0:
        sys.stdout.write(json.dumps(every) + "\n")
    dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(*sys.argv[1:])
