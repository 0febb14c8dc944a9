import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from goodvibe_bench.errors import UsageError
from goodvibe_bench.generator.sampling import Sampling
from goodvibe_bench.generator.transformers import TransformersGenerator
from goodvibe_bench.judge.model import Scorer
from goodvibe_bench.model.halving import Halving
from goodvibe_bench.model.load import Loaded
from goodvibe_bench.neuron.attribution import score_profiles
from goodvibe_bench.objective.sft import SftObjective
from goodvibe_bench.objective.training import Training
from goodvibe_bench.objective.verdict import VerdictObjective
from goodvibe_bench.trainer.loop import Account, fit
from goodvibe_bench.tuner.attach import attach
from goodvibe_bench.tuner.spec import LoraSpec
from goodvibe_bench.types import Labelled, Pair, Prompt
from tests.tiny import short_of_memory, tiny_model

PROMPTS = [Prompt(id=f"p{i}", language="cpp", text="Write a loop. " * (i + 1)) for i in range(7)]


def _answers(loaded: Loaded) -> dict[str, str]:
    generator = TransformersGenerator(loaded, Sampling(max_new_tokens=6, batch_size=7))
    return {found.prompt_id: found.text for found in generator.generate(PROMPTS)}


def test_generation_goes_on_in_halves_and_says_so_once(loaded: Loaded, caplog: pytest.LogCaptureFixture):
    whole = _answers(loaded)
    seen = short_of_memory(loaded, 2)
    with caplog.at_level(logging.WARNING):
        assert _answers(loaded) == whole
    assert max(seen) == 7
    assert [record.message for record in caplog.records] == [
        "generation ran out of memory with 7 rows at once; it goes on in halves"
    ]


@pytest.mark.parametrize("fill", [False, True])
def test_judging_goes_on_in_halves_to_the_same_scores(loaded: Loaded, fill: bool):
    texts = [f"int x{i % 10} = {i % 10};" for i in range(10)] + ["y" * i for i in range(30)]
    whole = Scorer(loaded, 64, 512, fill=fill).probabilities(texts)
    seen = short_of_memory(loaded, 3)
    assert Scorer(loaded, 64, 512, fill=fill).probabilities(texts) == pytest.approx(whole, abs=1e-6)
    assert max(seen) > 3


def test_attribution_goes_on_in_halves_to_the_same_scores(loaded: Loaded, snippets: list[Labelled]):
    objective = VerdictObjective(loaded.tokenizer)
    whole = score_profiles(loaded.model, objective, snippets)
    seen = short_of_memory(loaded, 1)
    halves = score_profiles(loaded.model, objective, snippets)
    assert max(seen) > 1
    for name, scores in whole.items():
        torch.testing.assert_close(halves[name], scores)


def _trained(folder: Path, pairs: list[Pair], rows: int | None) -> tuple[dict[str, torch.Tensor], Account]:
    loaded = tiny_model(folder / "model")
    if rows is not None:
        short_of_memory(loaded, rows)
    objective = SftObjective(loaded.tokenizer)
    attached = attach(loaded.model, LoraSpec(kind="lora", rank=2), None, 0)
    training = Training(epochs=2, batch_size=8, micro_batch_size=4, learning_rate=1e-2)
    account = fit(attached.model, objective, objective.examples(pairs), training, seed=0, scratch=folder / "scratch")
    return {
        name: weight.detach() for name, weight in attached.model.named_parameters() if weight.requires_grad
    }, account


def test_training_goes_on_in_halves_to_the_same_weights(pairs: list[Pair], tmp_path: Path):
    (whole, account), (halves, same) = _trained(tmp_path / "a", pairs, None), _trained(tmp_path / "b", pairs, 1)
    assert (same.tokens, same.batches, same.steps) == (account.tokens, account.batches, account.steps)
    assert same.losses == pytest.approx(account.losses, abs=1e-4)
    for name, weight in whole.items():
        torch.testing.assert_close(halves[name], weight, atol=1e-4, rtol=1e-3)


def test_one_row_too_much_is_said_with_a_way_out():
    def work(rows: Sequence[Any]) -> list[Any]:
        raise RuntimeError("[enforce fail at alloc_cpu.cpp:1] . DefaultCPUAllocator: can't allocate memory: you tried")

    with pytest.raises(UsageError, match=r"Out of memory in judging, with one row.*--dtype"):
        Halving("judging").run([1, 2, 3], work)


def test_other_errors_are_not_taken_for_a_lack_of_memory():
    def work(rows: Sequence[Any]) -> list[Any]:
        raise RuntimeError("shapes do not agree")

    with pytest.raises(RuntimeError, match="shapes"):
        Halving("judging").run([1, 2], work)
