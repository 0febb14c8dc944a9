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
