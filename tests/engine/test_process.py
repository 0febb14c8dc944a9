"""The engine's process without vLLM: what it is told, which devices it sees, and that it does not outlive its parent."""

import json
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from goodvibe_bench.engine import Engine
from goodvibe_bench.engine.process import STEP, Ask, Served, _environment, _job

SERVED = Served(Path("model"), "bfloat16", Engine(), longest=300, on_cpu=True)


def test_an_engine_whose_parent_is_gone_ends():
    child = subprocess.Popen(
        [sys.executable, "-P", "-m", "goodvibe_bench.engine.child"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    assert child.stdin is not None
    child.stdin.close()
    assert child.wait(timeout=60) == -signal.SIGKILL


def test_room_comes_in_steps_and_no_more_than_the_model_has():
    assert SERVED.rounded(None).longest == 2 * STEP
    assert SERVED.rounded(400).longest == 400


def test_a_held_engine_answers_what_needs_no_more_room_and_nothing_else():
    assert SERVED.covers(replace(SERVED, longest=299))
    assert not SERVED.covers(replace(SERVED, longest=301))
    assert not SERVED.covers(replace(SERVED, dtype="float32"))
    assert not SERVED.covers(replace(SERVED, settings=Engine(max_num_seqs=4)))


def test_vllm_is_told_what_was_set_and_the_rest_is_left_to_it():
    assert _job(SERVED) == {
        "model": "model",
        "dtype": "bfloat16",
        "max_model_len": 300,
        "enforce_eager": True,
        "trust_remote_code": False,
        "lora_rank": 0,
        "tensor_parallel_size": 1,
    }
    told = _job(replace(SERVED, settings=Engine(max_model_len=99, gpu_memory_utilization=0.5), on_cpu=False))
    assert (told["max_model_len"], told["gpu_memory_utilization"], told["enforce_eager"]) == (99, 0.5, False)


@pytest.mark.parametrize(("visible", "seen"), [(None, "2,3"), ("4,5,6,7", "6,7")])
def test_each_copy_on_gpus_has_its_own_devices(monkeypatch: pytest.MonkeyPatch, visible: str | None, seen: str):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    settings = Engine(tensor_parallel_size=2, data_parallel_size=2)
    assert _environment(replace(SERVED, settings=settings, on_cpu=False), 1)["CUDA_VISIBLE_DEVICES"] == seen


def test_on_a_cpu_what_the_environment_says_wins(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("VLLM_CPU_KVCACHE_SPACE", "7")
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    found = _environment(SERVED, 0)
    assert (found["VLLM_CPU_KVCACHE_SPACE"], found["OMP_NUM_THREADS"], found["HF_HUB_OFFLINE"]) == ("7", "3", "1")


def test_a_request_names_its_own_seed_stops_and_adapter(tmp_path: Path):
    asked = json.loads(Ask(ids=[1, 2], max_tokens=9, seed=2**55, stops=(7,), adapter=tmp_path).line(3))
    assert (asked["id"], asked["ids"], asked["adapter"]) == (3, [1, 2], str(tmp_path.resolve()))
    assert asked["params"]["seed"] == 2**55
    assert asked["params"]["stop_token_ids"] == [7]
    assert "logprob_token_ids" not in asked["params"]
    assert json.loads(Ask(ids=[1], max_tokens=1, scored=(4, 5)).line(0))["params"]["logprob_token_ids"] == [4, 5]
