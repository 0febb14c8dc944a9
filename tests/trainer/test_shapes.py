"""Models whose layers are not the usual seven: what can be trained is trained, what cannot be counted is not told."""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    AutoConfig,
    GPT2Config,
    GPT2LMHeadModel,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    Lfm2Config,
    Lfm2ForCausalLM,
    OPTConfig,
    OPTForCausalLM,
    Phi3Config,
    Phi3ForCausalLM,
    Qwen3MoeConfig,
    Qwen3MoeForCausalLM,
)

from goodvibe_bench import catalog, plan
from goodvibe_bench.errors import UsageError
from goodvibe_bench.model.linears import target_linears
from goodvibe_bench.model.load import Loaded, load
from goodvibe_bench.neuron.attribution import Kind, score_profiles
from goodvibe_bench.objective.training import Training
from goodvibe_bench.objective.verdict import VerdictObjective
from goodvibe_bench.trainer import TrainerDefinition, cost
from goodvibe_bench.trainer.train import train
from goodvibe_bench.tuner.spec import LoraSpec
from goodvibe_bench.types import Labelled, TrainReport
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
    elif kind == "neox":
        made = GPTNeoXForCausalLM(GPTNeoXConfig(max_position_embeddings=2048, **sizes, **ids))
    elif kind in {"opt", "opt-350m"}:
        shape: dict[str, Any] = {"hidden_size": 32, "ffn_dim": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
        shape |= {"word_embed_proj_dim": 16, "do_layer_norm_before": kind == "opt"}
        made = OPTForCausalLM(OPTConfig(max_position_embeddings=2048, **shape, **ids))
    elif kind == "lfm2":
        kinds = ["full_attention", "conv"]
        made = Lfm2ForCausalLM(Lfm2Config(num_key_value_heads=2, layer_types=kinds, pad_token_id=0, **sizes, **ids))
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


@pytest.mark.parametrize("kind", ["gradient", "activation", "gradient_activation", "parameter"])
def test_layers_that_see_the_tokens_of_all_rows_at_once_score_as_one_by_one(tmp_path: Path, kind: Kind):
    loaded = _model("opt", tmp_path)
    layers = target_linears(loaded.model, ("q_proj", "fc1", "fc2"))
    objective = VerdictObjective(loaded.tokenizer, 64)
    snippets = [
        Labelled(id=str(n), code="int x;" * (n + 1), language="cpp", label=n % 2, family=str(n)) for n in range(4)
    ]
    alone, batched = (
        score_profiles(loaded.model, objective, snippets, kind, layers=layers, batch_size=size) for size in (1, 4)
    )
    for name, profile in alone.items():
        assert profile.any(), name
        assert torch.allclose(profile, batched[name], rtol=1e-3, atol=1e-6 if kind == "activation" else 1e-8), name


@pytest.mark.parametrize("method", ["goodvibe-top8", "lora-top8"])
def test_top_layers_of_a_model_with_narrower_embeddings_are_trained(tmp_path: Path, pairs: Any, method: str):
    loaded = _model("opt-350m", tmp_path)
    before = {name: weight.clone() for name, weight in loaded.model.state_dict().items()}
    definition = _definition(method, tuner__projections="q_proj,fc1", tuner__top_layers="1")
    _trained(loaded, definition, pairs, tmp_path)
    changed = [name for name, weight in loaded.model.state_dict().items() if not torch.equal(weight, before[name])]
    assert changed == [f"model.decoder.layers.1.{name}.weight" for name in ("self_attn.q_proj", "fc1")]


@pytest.mark.parametrize("method", ["goodvibe", "goodvibe-random-rows"])
def test_neurons_of_a_layer_beside_the_decoders_layers_are_refused(tmp_path: Path, pairs: Any, method: str):
    with pytest.raises(UsageError, match="project_in lies in no numbered decoder layer"):
        _trained(_model("opt", tmp_path), _definition(method, tuner__projections="q_proj,project_in"), pairs, tmp_path)


def test_top_layers_of_a_model_that_cannot_be_cut_are_refused_before_attribution(tmp_path: Path, pairs: Any):
    definition = _definition("goodvibe", tuner__projections="query_key_value", tuner__top_layers="1")
    with pytest.raises(UsageError, match=r"GPTNeoXForCausalLM has no decoder .* --set tuner.top_layers=none"):
        _trained(_model("neox", tmp_path), definition, pairs, tmp_path)
    assert not (tmp_path / "scratch").exists()


@pytest.mark.parametrize("method", ["lora", "goodvibe"])
def test_top_layers_are_the_decoders_last_whatever_layers_they_hold(tmp_path: Path, pairs: Any, method: str):
    loaded = _model("lfm2", tmp_path)  # attention in the first layer alone
    definition = _definition(method, tuner__projections="q_proj,k_proj", tuner__top_layers="1")
    with pytest.raises(UsageError, match="last 1 of 2 decoder layers have no linear layer named q_proj, k_proj"):
        _trained(loaded, definition, pairs, tmp_path)


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
