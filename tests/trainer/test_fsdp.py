"""A tuned model trains sharded over two CPU processes (torch's fully_shard, gloo) to the weights it trains to whole."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

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
    processes, apart, moved, local, total = map(float, done.stdout.split())
    assert processes == 2
    assert 0 < local < total, "each process holds a part"
    assert moved > 1e-3
    assert apart < 2e-2 * moved
