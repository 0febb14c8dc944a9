"""A tuned model trains sharded over two CPU processes (torch's fully_shard, gloo) to the weights it trains to whole."""

import json
import os
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from goodvibe_bench.errors import UsageError
from goodvibe_bench.trainer import shards
from goodvibe_bench.tuner.goodvibe import GoodVibeLinear
from tests.tiny import tiny_folder


@pytest.mark.parametrize("kind", ["goodvibe", "full"])
def test_sharded_training_ends_with_the_weights_of_training_whole(tmp_path: Path, kind: str):
    tiny_folder(tmp_path / "model")
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", "-m", "tests.trainer.sharded"]
    done = subprocess.run(
        [sys.executable, *launch, str(tmp_path / "model"), kind],
        capture_output=True,
        text=True,
        timeout=300,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["processes"] == 2
    assert 0 < found["local"] < found["total"], "each process holds a part"
    assert found["moved"] > 1e-3
    assert found["apart"] < 2e-2 * found["moved"]
    assert not found["sharded"]
    assert found["kind"] == "LlamaForCausalLM"
    assert found["logits"] < 1e-3
    assert found["saved"] == ["LlamaForCausalLM"]


def test_what_was_put_together_lies_in_one_place():
    """Only weights are spread; on accelerators GoodVibe's rows stay there. Fake tensors tell places without one."""
    layer = GoodVibeLinear(nn.Linear(6, 8))
    layer.add("default", torch.tensor([1, 5, 6]), torch.tensor([0, 1, 0]), 2)
    with FakeTensorMode(allow_non_fake_inputs=True):
        for buffers in (layer.goodvibe_rows, layer.goodvibe_clusters):
            buffers["default"] = torch.empty(3, dtype=torch.int64, device="cuda")
        shards.gather(layer, keep=True)
        assert {tensor.device.type for tensor in (*layer.buffers(), *layer.parameters(), layer.delta())} == {"cpu"}


@pytest.mark.parametrize(("version", "refused"), [("1", True), (None, True), ("2", False)])
def test_flat_parameters_are_refused_before_anything_is_trained(
    monkeypatch: pytest.MonkeyPatch, version: str | None, refused: bool
):
    shards.check()
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    if version is None:
        monkeypatch.delenv("FSDP_VERSION", raising=False)
    else:
        monkeypatch.setenv("FSDP_VERSION", version)
    with pytest.raises(UsageError, match="--fsdp_version 2") if refused else nullcontext():
        shards.check()
