import json

import pytest
import torch

from goodvibe_bench import catalog
from goodvibe_bench.errors import UsageError
from goodvibe_bench.model.load import Loaded
from goodvibe_bench.objective.sft import SftObjective
from goodvibe_bench.objective.training import Training
from goodvibe_bench.trainer import TrainerDefinition
from goodvibe_bench.trainer.loop import fit
from goodvibe_bench.trainer.train import labelled, subsample, train
from goodvibe_bench.types import Pair
from tests.tiny import tiny_model


@pytest.mark.parametrize("name", [name for name in catalog.names("trainers") if name != "none"])
def test_every_trainer_changes_the_model_lowers_the_loss_and_reports(name, tmp_path, pairs: list[Pair]):
    loaded = tiny_model(tmp_path / "model")
    definition = catalog.read("trainers", name, TrainerDefinition).content
    definition = definition.model_copy(update={"training": Training(learning_rate=2e-2, epochs=6, batch_size=4)})
    before = loaded.model.state_dict()["model.layers.0.self_attn.q_proj.weight"].clone()
    report = train(loaded, definition, pairs, seed=0, scratch=tmp_path)
    assert report.last_loss < report.first_loss
    assert report.steps == 18
    assert 0 < report.trainable_parameters <= report.total_parameters
    assert 0 < report.tokens <= report.padded_tokens
    assert not torch.equal(before, loaded.model.state_dict()["model.layers.0.self_attn.q_proj.weight"])
    assert not any(weight.requires_grad for weight in loaded.model.parameters())
    json.dumps(report.model_dump(mode="json"), allow_nan=False)


def test_the_same_seed_trains_the_same_weights(tmp_path, pairs: list[Pair]):
    definition = catalog.read("trainers", "goodvibe", TrainerDefinition).content
    ends = []
    for place in ("a", "b"):
        loaded = tiny_model(tmp_path / place)
        train(loaded, definition, pairs, seed=3, scratch=tmp_path / place)
        ends.append(loaded.model.state_dict())
    assert all(torch.equal(ends[0][key], ends[1][key]) for key in ends[0])


def test_micro_batches_do_not_change_a_step(tmp_path, pairs: list[Pair]):
    ends = []
    for micro in (1, 4):
        loaded = tiny_model(tmp_path / str(micro))
        loaded.model.requires_grad_(True)
        objective = SftObjective(loaded.tokenizer)
        numbers = Training(batch_size=4, micro_batch_size=micro, epochs=1, learning_rate=1e-3)
        fit(loaded.model, objective, objective.examples(pairs[:4]), numbers, seed=0, scratch=tmp_path / "t")
        ends.append(loaded.model.state_dict())
    assert all(torch.allclose(ends[0][key], ends[1][key], atol=1e-4) for key in ends[0])


def test_a_loss_that_is_not_finite_stops_the_training(tmp_path, pairs: list[Pair]):
    loaded = tiny_model(tmp_path)
    objective = SftObjective(loaded.tokenizer)
    with torch.no_grad():
        loaded.model.get_input_embeddings().weight.fill_(float("nan"))
    loaded.model.requires_grad_(True)
    with pytest.raises(FloatingPointError, match="learning rate"):
        fit(loaded.model, objective, objective.examples(pairs), Training(), seed=0, scratch=tmp_path)


def test_nothing_to_train_on_is_the_users_fault(loaded: Loaded, tmp_path):
    definition = catalog.read("trainers", "lora", TrainerDefinition).content
    with pytest.raises(UsageError, match="No training pairs"):
        train(loaded, definition, [], seed=0, scratch=tmp_path)


def test_the_carried_model_has_its_own_learning_rate():
    definition = catalog.read("trainers", "goodvibe", TrainerDefinition).content
    assert definition.training_for("smollm2-135m").learning_rate == 1e-3
    assert definition.training_for("Qwen/Qwen3-8B").learning_rate == 1e-4


def test_a_subsample_keeps_both_sides_of_a_pair(pairs: list[Pair]):
    sample = subsample(labelled(pairs), 8, seed=1)
    assert len(sample) == 8
    assert sum(item.label for item in sample) == 4
    assert len({item.family for item in sample}) == 4
    assert sample == subsample(labelled(pairs), 8, seed=1) != subsample(labelled(pairs), 8, seed=2)
