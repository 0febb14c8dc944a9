"""The carried model on vLLM: a whole run, its judge, `doctor backends`, and a real server. Each starts an engine."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from statistics import correlation

import pytest

from goodvibe_bench import generating
from goodvibe_bench.backends import parting
from goodvibe_bench.engine import Engine, process
from goodvibe_bench.generator.openai import OpenAIGenerator
from goodvibe_bench.generator.sampling import Sampling
from goodvibe_bench.generator.server import Server
from goodvibe_bench.generator.transformers import TransformersGenerator
from goodvibe_bench.judge import load as judges
from goodvibe_bench.model import locate
from goodvibe_bench.model.load import load
from goodvibe_bench.progress import Show
from goodvibe_bench.result.store import read_result
from goodvibe_bench.run import run
from goodvibe_bench.task import load as load_task
from goodvibe_bench.types import Code, Record
from tests.conftest import Call
from tests.short import JUDGE, short_request
from tests.tiny import tiny_folder
from tests.vllm_here import environment, little, need_vllm  # noqa: F401

need_vllm()
pytestmark = pytest.mark.xdist_group("vllm")  # one process of the tests, and so one engine at a time

MODEL = "smollm2-135m"
CODES = [
    Code(text=pair, language="cpp", how_extracted="fence", parses=True)
    for example in load_task("cpp").pairs["calibration"][:6]
    for pair in (example.secure, example.insecure)
]


def test_the_engine_is_chosen_on_a_gpu_and_on_a_cpu_only_when_asked_for():
    backend, why = generating.choice()
    assert (backend, "--backend vllm" in why) in {("transformers", True), ("vllm", False)}


def test_a_run_on_the_carried_model_names_the_engine_and_a_second_draws_nothing(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "double.toml").write_text(JUDGE)
    words = ["run", "--model", MODEL, "--backend", "vllm", "--model_args", "max_num_seqs=8,dtype=float32"]
    words += ["--tasks", "cpp", "--limit", "3", "--max_new_tokens", "24", "--judge", "./double.toml", "--uncalibrated"]
    code, _, err = call(*words)
    assert code == 0, err
    (path,) = (tmp_path / "results").glob("*.json")
    result = read_result(path)
    assert (result.config["backend"], result.config["dtype"]) == ("vllm", "float32")
    assert result.config["engine"]["max_num_seqs"] == 8
    assert "vllm" in result.versions
    prompts = load_task("cpp").prompts[:3]
    expected = TransformersGenerator(load(MODEL, dtype="float32", device="cpu"), Sampling(max_new_tokens=24))
    texts = {one.prompt_id: one.text for one in expected.generate(prompts)}
    assert _texts(path) == texts
    assert process._held is None, "the engine gives its memory back"
    monkeypatch.setenv("VLLM_LOGGING_LEVEL", "NONE OF THE LEVELS")  # so that no engine could start
    assert call(*words)[0] == 0
    assert read_result(path).outcomes == result.outcomes


def test_a_run_that_serves_adapters_says_what_the_folded_checkpoints_say(tmp_path: Path):
    far = {"training.learning_rate": "0.3", "training.epochs": "8"}  # far enough to say something else
    wide = {"model": str(tiny_folder(tmp_path / "wide", head_dim=32)), "overrides": far}
    ways = {
        "served": {"backend": "vllm", "engine": Engine(max_lora_rank=8)},
        "folded": {"backend": "transformers"},
    }
    said = {}
    for way, words in ways.items():
        request = short_request(tmp_path, wide | words | {"output": tmp_path / way}, base=True)
        said[way] = [_texts(path) for _, path in run(request, Show(quiet=True))]
    assert said["served"] == said["folded"]
    base, tuned = said["served"]
    assert base != tuned


def _texts(result: Path) -> dict[str, str]:
    lines = (result.parent / "records" / f"{result.stem}.jsonl").read_text().splitlines()
    records = [Record.model_validate_json(line) for line in lines]
    return {one.prompt.id: one.completion.text for one in records}


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_ends_the_engine_with_the_run(tmp_path: Path):
    model = tiny_folder(tmp_path / "model", kind="qwen3", head_dim=32)
    (tmp_path / "double.toml").write_text(JUDGE)
    words = ["run", "--model", str(model), "--backend", "vllm", "--tasks", "cpp", "--limit", "2", "--quiet"]
    words += ["--judge", "./double.toml", "--uncalibrated"]
    command = [sys.executable, "-m", "goodvibe_bench", *words]
    started = subprocess.Popen(command, cwd=tmp_path, env=environment(), stderr=subprocess.PIPE, text=True)
    engine = _engine_below(started)
    started.send_signal(signal.SIGINT)
    _, err = started.communicate(timeout=120)
    assert started.returncode == 130, err
    assert "interrupted. What was done is kept" in err
    with pytest.raises(ProcessLookupError):
        os.killpg(engine, 0)


def _engine_below(run: subprocess.Popen[str]) -> int:
    """The engine's process, which leads a group of its own, as soon as there is one."""
    until = time.monotonic() + 300
    while time.monotonic() < until and run.poll() is None:
        below = Path(f"/proc/{run.pid}/task/{run.pid}/children").read_text().split()
        for pid in below:
            if b"goodvibe_bench.engine.child" in Path(f"/proc/{pid}/cmdline").read_bytes() and os.getpgid(
                int(pid)
            ) == int(pid):
                return int(pid)
        time.sleep(0.1)
    raise AssertionError(run.stderr and run.stderr.read())


def test_the_carried_judge_scores_alike_on_both_backends(tmp_path: Path):
    """In bfloat16, where both round: p_unsafe within 0.04 for each snippet, within 0.02 in the mean."""
    found = {}
    for backend in ("transformers", "vllm"):
        fitted = judges.load(MODEL, judges.Loading(backend=backend, scratch=tmp_path))  # type: ignore[arg-type]
        found[backend] = [one.p_unsafe or 0.0 for one in fitted.judge.judge(CODES)], fitted.digest
        assert [one.p_unsafe for one in fitted.judge.judge(CODES)] == found[backend][0], "kept"
    (one, first), (two, second) = found.values()
    apart = [abs(a - b) for a, b in zip(one, two, strict=True)]
    assert max(apart) < 0.04
    assert sum(apart) / len(apart) < 0.02
    assert correlation(one, two) > 0.98, "agreement beyond that all scores are near one half"
    assert first != second, "verdicts of the two are never taken for one another's"


def test_doctor_puts_both_backends_side_by_side(call: Call, tmp_path: Path):
    model = tiny_folder(tmp_path / "model", kind="qwen3", head_dim=32)
    (tmp_path / "double.toml").write_text(JUDGE)
    words = ["doctor", "backends", "--model", str(model), "--limit", "3", "--max_new_tokens", "8", "--dtype", "float32"]
    code, out, err = call(*words, "--judge", "./double.toml", "--json")
    assert code == 0, err
    found = json.loads(out)
    assert found["summary"]["prompts"] == found["summary"]["equal_answers"] == 3
    assert found["summary"]["verdict_flips"] == 0
    assert found["summary"]["tokens"] == found["summary"]["tokens_before_parting"] > 0


@pytest.mark.parametrize(
    ("one", "two", "place"),
    [([1, 2], [1, 2], None), ([1, 2], [1, 3], 1), ([1], [1, 2], 1), ([], [], None), ([], [4], 0)],
)
def test_answers_part_at_the_first_token_that_is_not_the_same(one: list[int], two: list[int], place: int | None):
    assert parting(one, two) == place


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a real server of the carried model in float32: what `vllm serve` starts."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(locate(MODEL).folder)]
    command += ["--served-model-name", MODEL, "--host", "127.0.0.1", "--port", str(port), "--dtype", "float32"]
    command += ["--max-model-len", "1024", "--enforce-eager"]
    log = tmp_path_factory.mktemp("server") / "log"
    with log.open("wb") as file:
        server = subprocess.Popen(command, stdout=file, stderr=file, env=environment(), start_new_session=True)
        try:
            _wait(server, f"http://127.0.0.1:{port}/health", log)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            server.terminate()
            try:
                server.wait(timeout=20)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def _wait(server: subprocess.Popen[bytes], url: str, log: Path) -> None:
    until = time.monotonic() + 400
    while time.monotonic() < until:
        assert server.poll() is None, log.read_text()[-3000:]
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.5)
    raise AssertionError(log.read_text()[-3000:])


def test_a_real_server_answers_the_openai_backend_as_transformers_does(served: str):
    prompts = load_task("cpp").prompts[:3]
    sampling = Sampling(max_new_tokens=24)
    found = {one.prompt_id: one for one in OpenAIGenerator(Server(base_url=served), MODEL, sampling).generate(prompts)}
    expected = {
        one.prompt_id: one
        for one in TransformersGenerator(load(MODEL, dtype="float32", device="cpu"), sampling).generate(prompts)
    }
    assert {id: (one.text, one.stop) for id, one in found.items()} == {
        id: (one.text, one.stop) for id, one in expected.items()
    }


def test_a_name_that_the_server_does_not_serve_is_a_usage_error(served: str):
    with pytest.raises(Exception, match="serves no model 'other'"):
        list(OpenAIGenerator(Server(base_url=served), "other").generate(load_task("cpp").prompts[:1]))


def test_settings_that_are_none_of_the_engines_are_refused_with_the_nearest(call: Call):
    code, _, err = call("run", "--model", MODEL, "--backend", "vllm", "--model_args", "tensor_paralel_size=2")
    assert code == 2
    assert "Did you mean 'tensor_parallel_size'?" in err
    code, _, err = call("run", "--model", MODEL, "--backend", "transformers", "--model_args", "max_num_seqs=2")
    assert (code, "--model_args max_num_seqs: for --backend vllm alone" in err) == (2, True)
    assert Engine().deciding() == Engine(max_model_len=99, gpu_memory_utilization=0.5).deciding()
