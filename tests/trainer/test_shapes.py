"""Models whose layers are not the usual seven: what can be trained is trained, what cannot be counted is not told."""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    AutoConfig,
    GPT2Config,
    GPT2LMHeadModel,
    Phi3Config,
    Phi3ForCausalLM,
    Qwen3MoeConfig,
    Qwen3MoeForCausalLM,
)

from goodvibe_bench import catalog, plan
from goodvibe_bench.errors import UsageError
from goodvibe_bench.model.linears import target_linears
from goodvibe_bench.model.load import Loaded, load
from goodvibe_bench.objective.training import Training
from goodvibe_bench.trainer import TrainerDefinition, cost
from goodvibe_bench.trainer.train import train
from goodvibe_bench.tuner.spec import LoraSpec
from goodvibe_bench.types import TrainReport
from tests.tiny import tiny_model, tiny_tokenizer

FUSED = '["qkv_proj", "o_proj", "gate_up_proj", "down_proj"]'


def _model(kind: str, folder: Path) -> Loaded:
    tokenizer = tiny_tokenizer()
    ids: dict[str, Any] = {"vocab_size": len(tokenizer), "bos_token_id": 0, "eos_token_id": tokenizer.eos_token_id}
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
    torch.manual_seed(0)
    made: Any
    if kind == "gpt2":
        made = GPT2LMHeadModel(GPT2Config(n_embd=32, n_layer=2, n_head=4, n_positions=2048, **ids))
    elif kind == "phi3":
        made = Phi3ForCausalLM(Phi3Config(num_key_value_heads=2, pad_token_id=0, **sizes, **ids))
    else:
        experts = {"moe_intermediate_size": 16, "num_experts": 4, "num_experts_per_tok": 2, "head_dim": 8}
        made = Qwen3MoeForCausalLM(Qwen3MoeConfig(num_key_value_heads=2, **experts, **sizes, **ids))
    made.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return load(str(folder), dtype="float32", device="cpu")


def _definition(name: str, **overrides: str) -> TrainerDefinition:
    definition = catalog.read("trainers", name, TrainerDefinition).content
    training = Training(learning_rate=1e-3, epochs=1, batch_size=4)
    words = {key.replace("__", "."): value for key, value in overrides.items()}
    return definition.model_copy(update={"training": training, "presets": {}}).with_overrides(words)


def _trained(loaded: Loaded, definition: TrainerDefinition, pairs: Any, folder: Path) -> TrainReport:
    return train(loaded, definition, pairs, seed=0, scratch=folder / "scratch")


@pytest.mark.parametrize(
    ("kind", "layer"), [("gpt2", "transformer.h.1.attn.c_attn.weight"), ("moe", "model.layers.1.mlp.experts.down_proj")]
)
def test_full_fine_tuning_needs_no_layers_that_a_tuner_knows(tmp_path: Path, pairs: Any, kind: str, layer: str):
    loaded = _model(kind, tmp_path)
    before = loaded.model.get_parameter(layer).detach().clone()
    report = _trained(loaded, _definition("full"), pairs, tmp_path)
    assert not torch.equal(before, loaded.model.get_parameter(layer))
    assert report.trainable_parameters == report.total_parameters
    assert report.flops is None, "its cost is not known from its shapes"
    assert report.fold_error == 0
    with pytest.raises(UsageError, match="cost"):
        plan.plan(str(tmp_path), ("full",), plan.Workload(pairs=2, tokens_per_pair=16))


def test_fused_layers_are_trained_where_they_are_named_and_no_cost_is_guessed(tmp_path: Path, pairs: Any):
    definition = _definition("lora", tuner__projections=FUSED)
    report = _trained(_model("phi3", tmp_path), definition, pairs, tmp_path)
    outputs = {"qkv": (32, 64), "o": (32, 32), "gate_up": (32, 96), "down": (48, 32)}
    assert report.trainable_parameters == 2 * 2 * sum(map(sum, outputs.values()))
    assert report.flops is None
    trainer = catalog.Definition("fused", tmp_path, definition, "")
    with pytest.raises(UsageError, match="qkv_proj, gate_up_proj of a phi3"):
        plan.plan(str(tmp_path), ("lora",), plan.Workload(pairs=2, tokens_per_pair=16), [trainer])


def test_what_is_counted_beside_fused_layers_is_what_is_attached(tmp_path: Path, pairs: Any):
    loaded, definition = _model("phi3", tmp_path), _definition("lora", tuner__projections='["o_proj", "down_proj"]')
    shape = cost.Shape.from_config(loaded.model.config, definition.tuner)
    report = _trained(loaded, definition, pairs, tmp_path)
    assert report.trainable_parameters == cost.trainable_parameters(shape, definition.tuner)
    assert report.flops is not None
    assert report.flops.counted_ratio == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("method", ["lora", "goodvibe", "goodvibe-random-rows"])
def test_layers_that_a_model_does_not_have_are_refused_by_name(tmp_path: Path, pairs: Any, method: str):
    loaded = _model("phi3", tmp_path)
    with pytest.raises(
        UsageError, match=r"no linear layer named 'q_proj', .* down_proj, gate_up_proj, o_proj, qkv_proj"
    ):
        _trained(loaded, _definition(method), pairs, tmp_path)
    with pytest.raises(UsageError, match="no linear layer named 'q_proj'"):
        plan.plan(str(tmp_path), (method,), plan.Workload(pairs=2, tokens_per_pair=16))


def test_a_mistyped_layer_is_refused_with_the_nearest_name(tmp_path: Path):
    with pytest.raises(UsageError, match=r"'v_prjo'\. Did you mean 'v_proj'"):
        target_linears(tiny_model(tmp_path).model, ("q_proj", "v_prjo"))


def test_a_mistyped_layer_is_no_cost(tmp_path: Path):
    spec = LoraSpec(kind="lora", projections=("q_proj", "v_prjo"))
    with pytest.raises(UsageError, match="v_prjo"):
        cost.Shape.from_config(tiny_model(tmp_path).model.config, spec)


def test_layers_of_another_kind_are_not_taken_for_the_usual_seven():
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
    with pytest.raises(UsageError, match="layers of a starcoder2 are not the usual seven"):
        cost.Shape.from_config(AutoConfig.for_model("starcoder2", vocab_size=64, num_key_value_heads=2, **sizes))
