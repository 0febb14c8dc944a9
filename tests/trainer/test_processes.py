"""Two processes of `accelerate launch` train to the weights that one process trains to.

ACCELERATE_USE_CPU has them compute on the CPU: with --cpu accelerate starts one process, whatever it is told.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from goodvibe_bench.errors import UsageError
from goodvibe_bench.objective.training import Training
from goodvibe_bench.trainer.loop import micro_batch
from tests.tiny import tiny_folder

TRAINER = """
description = "A short training for tests"
[tuner]
kind = "{kind}"
{more}
[training]
learning_rate = 1e-2
epochs = {epochs}
batch_size = {batch}
micro_batch_size = {micro}
save_every = 1
"""
KINDS = {"goodvibe": "top_k = 4\nsamples = 8", "full": ""}
LAUNCH = (
    *("accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--num_machines", "1"),
    *("--main_process_port", "0", "--mixed_precision", "no", "--dynamo_backend", "no", "-m"),
)


def _definition(folder: Path, kind: str, *, epochs: int = 1, batch: int = 4, micro: int = 2) -> None:
    text = TRAINER.format(kind=kind, more=KINDS[kind], epochs=epochs, batch=batch, micro=micro)
    (folder / "short.toml").write_text(text)


def _trained(
    folder: Path, name: str, launched: bool, *, pairs: int = 8
) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Return the trained weights and the report."""
    words = ["goodvibe_bench", "train", "--model", str(folder / "model"), "--method", str(folder / "short.toml")]
    words += ["--tasks", "go", "--train-limit", str(pairs), "--dtype", "float32", "--json"]
    words += ["--scratch", str(folder / name)]
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
    return load_file(folder / "model.safetensors"), note["report"]


def _said(program: str, folder: Path) -> Any:
    """Return what a program beside this one says when two processes run it."""
    done = subprocess.run(
        [sys.executable, "-m", *LAUNCH, f"tests.trainer.{program}", str(folder)],
        capture_output=True,
        text=True,
        timeout=300,
        env=os.environ | {"OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true", "CUDA_VISIBLE_DEVICES": ""},
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("kind", list(KINDS))
def test_two_processes_train_to_the_same_weights_as_one(tmp_path: Path, kind: str):
    tiny_folder(tmp_path / "model")
    _definition(tmp_path, kind)
    (one, _), (two, _) = (_trained(tmp_path, name, launched) for name, launched in (("one", False), ("two", True)))
    start = load_file(tmp_path / "model" / "model.safetensors")
    assert any(not torch.equal(one[key], start[key]) for key in one if key in start)
    for key, weight in one.items():
        assert torch.allclose(weight, two[key], atol=2e-5), key
    # One process did the writing: one model, nothing half-done.
    assert len(list((tmp_path / "two" / "models").iterdir())) == 1


def test_a_step_that_micro_batches_do_not_fill_and_an_epoch_that_does_not_divide_are_trained_alike(tmp_path: Path):
    """17 pairs in steps of 12: two processes take 6 of a step, in micro-batches of 3, and one place is left over."""
    tiny_folder(tmp_path / "model")
    _definition(tmp_path, "goodvibe", epochs=2, batch=12, micro=4)
    (one, alone), (two, shared) = (_trained(tmp_path, name, name == "two", pairs=17) for name in ("one", "two"))
    for key, weight in one.items():
        assert torch.allclose(weight, two[key], atol=2e-5), key
    assert (alone["details"]["micro_batch"], shared["details"]["micro_batch"]) == (4, 3)
    for figure in ("steps", "tokens", "examples"):
        assert alone[figure] == shared[figure], figure


def test_a_training_of_two_processes_goes_on_with_the_account_of_both(tmp_path: Path):
    """11 rows in steps of 4, twice, killed after step 5: it goes on from step 4, within the second epoch."""
    folder = tiny_folder(tmp_path / "model")
    found = _said("resumed", folder)
    assert found["checkpoint"] == "checkpoint-4"
    assert found["resumed"] == found["whole"]
    assert found["apart"] == 0
    assert found["peak"] > 0
    assert found["whole"][1] / 2 < found["kept"] < found["whole"][1], "of both processes"


def test_two_processes_share_attribution_and_find_what_one_finds_to_the_bit(tmp_path: Path):
    """50 snippets in 8 and 5 batches; a reading or a neuron file that one process alone has at hand is no reading."""
    every = _said("attributed", tiny_folder(tmp_path / "model"))
    assert [one["passes"] for one in every] == [[7, 7, 13], [6, 6, 13]]
    for one in every:
        assert one["equal"]
        assert one["reused"]
        for figure in ("figures", "tokens", "shapes"):
            assert one[figure][0] == one[figure][1] == every[0][figure][0], figure


def test_all_processes_train_the_rows_and_clusters_that_the_first_one_selects(tmp_path: Path):
    first, second = _said("attributed", tiny_folder(tmp_path / "model"))
    (shared, own), (others, otherwise) = first["chosen"], second["chosen"]
    assert own != otherwise
    assert shared == others == own
    assert first["refusal"] == second["refusal"] == "process 0 says no"


@pytest.mark.parametrize(("count", "rows"), [(1, 4), (2, 3), (3, 4), (4, 3), (6, 2), (12, 1)])
def test_micro_batches_fill_a_step_exactly(monkeypatch: pytest.MonkeyPatch, count: int, rows: int):
    monkeypatch.setenv("WORLD_SIZE", str(count))
    assert micro_batch(Training(batch_size=12, micro_batch_size=4)) == rows
    assert 12 % (rows * count) == 0


def test_a_step_that_the_processes_do_not_divide_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("WORLD_SIZE", "3")
    with pytest.raises(UsageError, match="8 examples cannot be shared by 3 processes"):
        micro_batch(Training(batch_size=8))
