"""Two processes of one launcher train to the weights that one process trains to.

torchrun starts them, as `accelerate launch` does on GPUs: with --cpu accelerate starts one process whatever it is told.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.tiny import tiny_folder

TRAINER = """
description = "A short training for tests"
[tuner]
kind = "{kind}"
{more}
[training]
learning_rate = 1e-2
epochs = 1
batch_size = 4
micro_batch_size = 2
"""
KINDS = {"goodvibe": "top_k = 4\nsamples = 8", "full": ""}
LAUNCH = ("torch.distributed.run", "--standalone", "--nproc_per_node", "2", "-m")


def _trained(folder: Path, name: str, launched: bool) -> dict[str, torch.Tensor]:
    words = ["goodvibe_bench", "train", "--model", str(folder / "model"), "--method", str(folder / "short.toml")]
    words += ["--tasks", "go", "--train-limit", "8", "--dtype", "float32", "--scratch", str(folder / name), "--json"]
    launch = LAUNCH if launched else ()
    environment = os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "ACCELERATE_USE_CPU": "true"}
    environment = {key: value for key, value in environment.items() if key not in {"RANK", "WORLD_SIZE", "LOCAL_RANK"}}
    done = subprocess.run(
        [sys.executable, "-m", *launch, *words], capture_output=True, text=True, env=environment, timeout=300
    )
    assert done.returncode == 0, done.stderr[-3000:]
    report = json.loads(done.stdout)
    assert len(report) == 1
    folder = Path(report[0]["folder"])
    note = json.loads((folder / "goodvibe.json").read_text())
    assert note["report"]["details"]["processes"] == (2 if launched else 1)
    return load_file(folder / "model.safetensors")


@pytest.mark.parametrize("kind", list(KINDS))
def test_two_processes_train_to_the_same_weights_as_one(tmp_path: Path, kind: str):
    tiny_folder(tmp_path / "model")
    (tmp_path / "short.toml").write_text(TRAINER.format(kind=kind, more=KINDS[kind]))
    one, two = (_trained(tmp_path, name, launched) for name, launched in (("one", False), ("two", True)))
    start = load_file(tmp_path / "model" / "model.safetensors")
    assert any(not torch.equal(one[key], start[key]) for key in one if key in start)
    for key, weight in one.items():
        assert torch.allclose(weight, two[key], atol=2e-5), key
    # One process did the writing: one model, nothing half-done.
    assert len(list((tmp_path / "two" / "models").iterdir())) == 1
