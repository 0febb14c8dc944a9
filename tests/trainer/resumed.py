"""Run by test_processes.py in two processes: a training whole, and one that is killed and gone on with; prints both
accounts, and how far the weights are apart."""

import json
import sys
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from goodvibe_bench.model.load import load
from goodvibe_bench.objective.sft import SftObjective
from goodvibe_bench.objective.training import Training
from goodvibe_bench.trainer.loop import ACCOUNT, Account, fit, last_checkpoint
from goodvibe_bench.tuner.attach import attach
from goodvibe_bench.tuner.spec import LoraSpec
from goodvibe_bench.types import Pair

TRAINING = Training(learning_rate=1e-2, epochs=2, batch_size=4, micro_batch_size=2, save_every=2)
PAIRS = [
    Pair(id=str(i), language="go", prompt="Add." + " More." * i, secure="return n" * (i + 1), insecure="x", source="t")
    for i in range(11)
]


class KilledError(Exception):
    pass


def _fitted(folder: str, scratch: Path, end: int = 0) -> tuple[Any, Account]:
    """Train, up to step `end` where it is given; return the model and the account."""

    def kill(step: int, steps: int, loss: float) -> None:
        if step == end:
            raise KilledError

    loaded = load(folder, dtype="float32", device="cpu")
    model = attach(loaded.model, LoraSpec(kind="lora")).model
    objective = SftObjective(loaded.tokenizer)
    return model, fit(model, objective, objective.examples(PAIRS), TRAINING, seed=0, scratch=scratch, progress=kill)


def main(folder: str) -> None:
    place = Path(folder)
    whole, account = _fitted(folder, place / "whole")
    try:
        _fitted(folder, place / "cut", end=5)
    except KilledError:
        checkpoint, kept = last_checkpoint(place / "cut")
    again, resumed = _fitted(folder, place / "cut")
    apart = max(float((a - b).abs().max()) for a, b in zip(whole.parameters(), again.parameters(), strict=True))
    if dist.get_rank() == 0:
        assert checkpoint is not None
        words = {"apart": apart, "checkpoint": checkpoint.name, "peak": kept.peak_memory_bytes, "kept": kept.tokens}
        for name, one in (("whole", account), ("resumed", resumed)):
            words[name] = [one.steps, one.tokens, one.padded_tokens, len(one.batches), one.losses]
        assert (checkpoint / ACCOUNT).is_file()
        sys.stdout.write(json.dumps(words) + "\n")
    dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(*sys.argv[1:])
