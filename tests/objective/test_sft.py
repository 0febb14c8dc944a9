import pytest
import torch

from goodvibe_bench.model.load import Loaded
from goodvibe_bench.objective.sft import SftObjective
from goodvibe_bench.types import Pair


def test_only_the_answer_and_its_end_are_learned(loaded: Loaded, pairs: list[Pair]):
    objective = SftObjective(loaded.tokenizer)
    batch = objective.collate(objective.examples(pairs[:3]))
    for row, pair in zip(batch["labels"], pairs, strict=False):
        learned = loaded.tokenizer.decode(row[row != -100])
        assert learned == f"```cpp\n{pair.secure}\n```<|im_end|>"


def test_the_loss_is_the_models_own_summed_over_answer_tokens(loaded: Loaded, pairs: list[Pair]):
    objective = SftObjective(loaded.tokenizer)
    batch = objective.collate(objective.examples(pairs[:1]))
    with torch.no_grad():
        mean = loaded.model(input_ids=batch["input_ids"], labels=batch["labels"]).loss
        ours = objective.loss(loaded.model, batch)
    assert torch.isclose(ours / objective.weight(batch), mean, rtol=1e-5)


def test_padding_changes_no_loss(loaded: Loaded, pairs: list[Pair]):
    objective = SftObjective(loaded.tokenizer)
    examples = objective.examples([pairs[0], pairs[11].model_copy(update={"prompt": "longer " * 30})])
    with torch.no_grad():
        together = objective.loss(loaded.model, objective.collate(examples))
        alone = sum(objective.loss(loaded.model, objective.collate([row])) for row in examples)
    assert torch.isclose(together, torch.as_tensor(alone), rtol=1e-4)


def test_examples_over_the_limit_are_left_out(loaded: Loaded, pairs: list[Pair]):
    assert SftObjective(loaded.tokenizer, max_length=20).examples(pairs) == []


def test_the_mean_loss_is_that_of_every_answer_token_in_any_batch(loaded: Loaded, pairs: list[Pair]):
    objective = SftObjective(loaded.tokenizer)
    alone = [objective.collate([row]) for row in objective.examples(pairs)]
    with torch.no_grad():
        total = sum(float(objective.loss(loaded.model, batch)) for batch in alone)
    expected = pytest.approx(total / sum(objective.weight(batch) for batch in alone), rel=1e-4)
    assert objective.mean_loss(loaded.model, pairs) == expected
    assert objective.mean_loss(loaded.model, pairs, batch_size=1) == expected


def test_a_mean_loss_over_nothing_is_an_error(loaded: Loaded):
    with pytest.raises(ValueError, match="nothing"):
        SftObjective(loaded.tokenizer).mean_loss(loaded.model, [])
