"""The generator on vLLM's engine, with the CPU build where no GPU is. One engine a model, kept from test to test."""

import os
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from goodvibe_bench.engine import Engine, process
from goodvibe_bench.errors import RunError, UsageError
from goodvibe_bench.generator.sampling import Sampling
from goodvibe_bench.generator.transformers import TransformersGenerator
from goodvibe_bench.generator.vllm import VllmGenerator
from goodvibe_bench.model.load import Loaded, OnDisk, best_device, load, on_disk
from goodvibe_bench.tuner.attach import Attached, attach, fold
from goodvibe_bench.tuner.export import export
from goodvibe_bench.tuner.spec import GoodVibeSpec, LoraSpec
from goodvibe_bench.types import Completion, Prompt
from tests.tiny import tiny_folder
from tests.tuner.test_goodvibe import some_rows
from tests.vllm_here import little, need_vllm  # noqa: F401

need_vllm()
pytestmark = pytest.mark.xdist_group("vllm")  # one process of the tests, and so one engine at a time

PROMPTS = [Prompt(id=f"p{i}", language="cpp", text="Write a loop. " * (i + 1)) for i in range(5)]
SETTINGS = Engine(max_lora_rank=8)
LONG_AND_SHORT = [process.Ask(ids=[5, 6, 7], max_tokens=1900), process.Ask(ids=[5, 6, 7], max_tokens=2)]


@pytest.fixture(scope="module")
def qwen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_folder(tmp_path_factory.mktemp("qwen3"), kind="qwen3", head_dim=32)


def drawn(model: OnDisk, prompts: Sequence[Prompt] = PROMPTS, **words: object) -> dict[tuple[str, int], Completion]:
    kept: Any = words.pop("kept", frozenset())
    adapter: Any = words.pop("adapter", None)
    sampling = Sampling.model_validate({"max_new_tokens": 12, **words})
    generator = VllmGenerator(model, sampling, kept, dtype="float32", engine=SETTINGS, adapter=adapter)
    return {(found.prompt_id, found.attempt): found for found in generator.generate(prompts)}


def engine_of(folder: Path) -> process.Process:
    """The engine that answers `drawn`."""
    served = process.Served(folder, "float32", SETTINGS, longest=2048, on_cpu=best_device().type == "cpu")
    return process.running(served)


def told(found: dict[tuple[str, int], Completion]) -> dict[tuple[str, int], tuple[str, str, int]]:
    return {key: (one.text, one.stop, one.tokens) for key, one in found.items()}


def test_greedy_answers_in_float32_are_those_of_transformers(qwen: Path):
    model = on_disk(str(qwen))
    engine_of(qwen)
    sampling = Sampling(max_new_tokens=12, system="Be brief.")
    expected = TransformersGenerator(load(str(qwen), dtype="float32"), sampling).generate(PROMPTS)
    found = told(drawn(model, system="Be brief."))
    assert found == told({(one.prompt_id, one.attempt): one for one in expected})


def test_samples_are_seeded_each_by_itself(qwen: Path):
    model = on_disk(str(qwen))
    one, two, three = (told(drawn(model, temperature=1.0, attempts=2, seed=seed)) for seed in (1, 1, 2))
    assert one == two != three
    assert set(one) == {(f"p{i}", attempt) for i in range(5) for attempt in (0, 1)}
    assert len({one["p0", attempt] for attempt in (0, 1)}) == 2
    assert told(drawn(model, PROMPTS[2:3], temperature=1.0, attempts=2, seed=1)).items() <= one.items()


def test_adapters_are_served_over_the_base_by_one_engine_and_say_what_the_folded_models_say(qwen: Path, tmp_path: Path):
    model, before = on_disk(str(qwen)), engine_of(qwen)
    sampling = Sampling(max_new_tokens=12)
    base = told(drawn(model))
    for name in ("goodvibe", "lora"):
        loaded = load(str(qwen), dtype="float32", device="cpu")
        attached = _attached(loaded, name)
        folder = export(attached.model, tmp_path / name)
        loaded.model, _ = fold(attached)
        folded = told(
            {(one.prompt_id, one.attempt): one for one in TransformersGenerator(loaded, sampling).generate(PROMPTS)}
        )
        assert told(drawn(model, adapter=folder)) == folded != base
    assert told(drawn(model)) == base
    assert process.running(before.served) is before


def _attached(loaded: Loaded, name: str) -> Attached:
    """A tuner whose update is large enough to change what the model says."""
    if name == "lora":
        attached = attach(loaded.model, LoraSpec(kind="lora", rank=4))
        weights = [weight for key, weight in attached.model.named_parameters() if "lora_B" in key]
    else:
        attached = attach(loaded.model, GoodVibeSpec(kind="goodvibe"), some_rows(loaded, clusters=3))
        weights = [weight for weight in attached.model.parameters() if weight.requires_grad]
    torch.manual_seed(0)
    with torch.no_grad():
        for weight in weights:
            weight.normal_(std=0.2)
    return attached


def test_an_adapter_that_is_too_large_or_none_is_refused(qwen: Path, tmp_path: Path):
    (tmp_path / "adapter_config.json").write_text('{"r": 16}')
    with pytest.raises(UsageError, match=r"has rank 16, and the engine takes ranks up to 8.*max_lora_rank=16"):
        drawn(on_disk(str(qwen)), adapter=tmp_path)
    with pytest.raises(UsageError, match="holds no LoRA adapter"):
        drawn(on_disk(str(qwen)), adapter=tmp_path / "none")


def test_what_is_kept_is_not_drawn_again(qwen: Path):
    kept = frozenset({("p0", 0), ("p3", 1)})
    found = drawn(on_disk(str(qwen)), attempts=2, kept=kept)
    assert set(found) == {(f"p{i}", attempt) for i in range(5) for attempt in (0, 1)} - kept
    everything = frozenset((f"p{i}", 0) for i in range(5))
    assert drawn(on_disk(str(qwen)), kept=everything) == {}


def test_answers_come_as_they_are_done_and_their_seconds_add_up(qwen: Path):
    model = on_disk(str(qwen))
    assert [answer.place for answer in engine_of(qwen).answers(LONG_AND_SHORT)] == [1, 0]
    assert sum(one.seconds for one in drawn(model).values()) > 0


def test_a_prompt_that_is_longer_than_the_model_is_one_failed_sample(qwen: Path):
    long = Prompt(id="long", language="cpp", text="x" * 3000)
    found = drawn(on_disk(str(qwen)), [PROMPTS[0], long])
    assert found["p0", 0].stop != "error"
    assert found["long", 0].stop == "error"
    assert "maximum" in str(found["long", 0].error)


def test_a_limit_without_room_for_a_prompt_is_refused_before_the_engine_starts(qwen: Path):
    generator = VllmGenerator(on_disk(str(qwen)), Sampling(max_new_tokens=100), engine=Engine(max_model_len=64))
    with pytest.raises(UsageError, match="max_model_len=64 is too short: prompt 'p4' has"):
        list(generator.generate(PROMPTS))


def test_an_engine_that_is_killed_is_one_message(qwen: Path):
    held = engine_of(qwen)
    answers = held.answers(LONG_AND_SHORT)
    assert next(answers).place == 1
    os.killpg(held._copies[0].process.pid, signal.SIGKILL)
    with pytest.raises(RunError, match=r"The vLLM engine ended \(killed by signal 9\).*--model_args"):
        list(answers)
    assert not held.alive


def test_the_next_engine_is_a_new_one_and_left_early_it_is_gone_with_all_that_it_started(qwen: Path):
    held = engine_of(qwen)
    answers = held.answers(LONG_AND_SHORT)
    next(answers)
    (group,) = (copy.process.pid for copy in held._copies)
    answers.close()  # type: ignore[attr-defined]
    with pytest.raises(ProcessLookupError):
        os.killpg(group, 0)


def test_two_copies_share_the_prompts(qwen: Path):
    sampling = Sampling(max_new_tokens=12)
    generator = VllmGenerator(on_disk(str(qwen)), sampling, dtype="float32", engine=Engine(data_parallel_size=2))
    found = {(one.prompt_id, one.attempt): one for one in generator.generate(PROMPTS)}
    held = process._held
    assert held is not None
    assert len({copy.process.pid for copy in held._copies}) == 2
    expected = TransformersGenerator(load(str(qwen), dtype="float32"), sampling).generate(PROMPTS)
    assert told(found) == told({(one.prompt_id, one.attempt): one for one in expected})


def test_two_processes_share_one_copy_and_say_what_one_says(qwen: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("VLLM_CPU_OMP_THREADS_BIND", "nobind")  # else vLLM wants a core more for each of them
    sampling, split = Sampling(max_new_tokens=12), Engine(tensor_parallel_size=2)
    generator = VllmGenerator(on_disk(str(qwen)), sampling, dtype="float32", engine=split)
    found = {(one.prompt_id, one.attempt): one for one in generator.generate(PROMPTS)}
    process.stop()
    expected = TransformersGenerator(load(str(qwen), dtype="float32"), sampling).generate(PROMPTS)
    assert told(found) == told({(one.prompt_id, one.attempt): one for one in expected})


def test_an_engine_that_cannot_start_says_why(tmp_path: Path):
    folder = tiny_folder(tmp_path / "model", head_dim=32)
    (folder / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(RunError, match=r"The vLLM engine ended \(exit code 1\). Its last words: "):
        list(VllmGenerator(on_disk(str(folder)), Sampling(max_new_tokens=4)).generate(PROMPTS[:1]))
