"""One grid on many machines: the same results as in one process, whatever dies."""

import json
import os
import socket
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Call
from tests.experiment.runs import bare, reduced

ROOT = Path(__file__).parents[2]
needs_ray = pytest.mark.skipif(find_spec("ray") is None, reason="needs the extra: ray")


@needs_ray
def test_a_grid_on_two_nodes_with_workers_killed_midway_ends_as_in_one_process(tmp_path: Path) -> None:
    variables = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "RAY_USAGE_STATS_ENABLED": "0"}
    done = subprocess.run(
        [sys.executable, "-m", "tests.experiment.two_nodes", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=480,
        cwd=ROOT,
        env=variables,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert told["failures"] == []
    assert len(told["same"]) == 4
    assert all(told["same"].values())
    assert all(told["digests"].values())
    assert len(told["killed"]) >= 1, "no worker was under way: nothing was tested"
    for key, diary in told["diaries"].items():
        assert diary == (["began", "began", "ended"] if key in told["killed"] else ["began", "ended"])
    assert told["trained_once"], "what was finished before the kill is made anew"
    assert told["again"], "cells that are done are not run again"
    assert told["wide"] == 1, "a cell of two GPUs has its placement group"
    assert told["copied"] == told["written"]
    assert len(told["copied"]) == 4


def test_without_ray_the_way_to_it_is_told(call: Call, tmp_path: Path) -> None:
    if find_spec("ray") is not None:
        pytest.skip("Ray is installed")
    code, _, err = call("experiment", bare(tmp_path), *reduced(tmp_path, "--engine", "ray"))
    assert code == 2
    assert 'pip install "goodvibe-bench[ray]"' in err


def test_an_engine_that_wants_more_gpus_than_its_cell_has_is_refused(call: Call, tmp_path: Path) -> None:
    words = ("--engine", "ray", "--backend", "vllm", "--model_args", "tensor_parallel_size=4", "--cell-gpus", "2")
    code, _, err = call("experiment", bare(tmp_path), *reduced(tmp_path, *words))
    assert code == 2
    assert "--cell-gpus 4" in err


@needs_ray
def test_an_address_where_nobody_listens_is_refused_at_once(call: Call, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"
    words = ("experiment", bare(tmp_path), *reduced(tmp_path, "--engine", "ray", "--address", address))
    code, _, err = call(*words)
    assert code == 2
    assert f"No Ray cluster at '{address}'" in err
