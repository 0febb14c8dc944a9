from typing import Any, get_args

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoConfig

from goodvibe_bench.errors import UsageError
from goodvibe_bench.model.linears import target_linears
from goodvibe_bench.model.load import Loaded
from goodvibe_bench.neuron.attribution import Kind, score_profiles
from goodvibe_bench.objective.verdict import VerdictObjective
from goodvibe_bench.plan import read_config
from goodvibe_bench.trainer import cost, meta_step
from goodvibe_bench.trainer.cost import Batch, Shape
from goodvibe_bench.tuner.spec import FullSpec, GoodVibeSpec, LoraSpec, NoneSpec, TunerSpec
from goodvibe_bench.types import Labelled

FULL = FullSpec(kind="full")
LORA = LoraSpec(kind="lora", rank=2)
GOODVIBE = GoodVibeSpec(kind="goodvibe")
SPECS: dict[str, TunerSpec] = {
    "full": FULL,
    "lora r2": LORA,
    "lora r16": LoraSpec(kind="lora", rank=16),
    "lora frozen b": LoraSpec(kind="lora", rank=4, frozen_b=True),
    "lora top": LoraSpec(kind="lora", top_layers=2),
    "goodvibe": GOODVIBE,
    "goodvibe top": GoodVibeSpec(kind="goodvibe", top_layers=1),
    "goodvibe v, up": GoodVibeSpec(kind="goodvibe", projections=("v_proj", "up_proj")),
    "goodvibe down": GoodVibeSpec(kind="goodvibe", projections=("down_proj",)),
}
BATCH = Batch(rows=2, length=24, kept=10)


def small(kind: str, kv_heads: int = 2) -> Any:
    sizes = {"hidden_size": 64, "intermediate_size": 160, "num_hidden_layers": 3, "vocab_size": 300, "head_dim": 16}
    return AutoConfig.for_model(kind, num_attention_heads=4, num_key_value_heads=kv_heads, **sizes)


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
@pytest.mark.parametrize(("kind", "kv_heads"), [("llama", 4), ("llama", 2), ("qwen3", 2), ("gemma3_text", 1)])
def test_analytic_flops_are_those_counted_on_a_step(kind: str, kv_heads: int, spec: TunerSpec) -> None:
    config = small(kind, kv_heads)
    analytic = cost.training(Shape.from_config(config), spec, [BATCH], distinct=[BATCH]).total
    assert meta_step.counted(config, spec, BATCH) == pytest.approx(analytic, rel=0.01)


def test_known_cluster_counts_are_used_module_by_module() -> None:
    config, clusters = small("llama"), {"model.layers.1.self_attn.k_proj": 7, "model.layers.2.mlp.down_proj": 3}
    shape = Shape.from_config(config)
    analytic = cost.training(shape, GOODVIBE, [BATCH], clusters=clusters).total
    assert meta_step.counted(config, GOODVIBE, BATCH, clusters=clusters) == pytest.approx(analytic, rel=0.01)
    assert cost.trainable_parameters(shape, GOODVIBE, clusters) == 7 * 64 + 3 * 160


@pytest.mark.parametrize("kind", get_args(Kind))
def test_attribution_flops_are_those_counted_on_a_real_model(
    loaded: Loaded, snippets: list[Labelled], kind: Kind
) -> None:
    loaded.model.set_attn_implementation("eager")
    objective = VerdictObjective(loaded.tokenizer)
    length = len(objective.examples(snippets[:1])[0]["input_ids"])
    spec = GOODVIBE.model_copy(update={"attribution": kind})
    analytic = cost.attribution(Shape.from_config(loaded.model.config), spec, [Batch(1, length, 1)])
    with FlopCounterMode(display=False) as counter:
        score_profiles(loaded.model, objective, snippets[:1], kind)
    assert counter.get_total_flops() == pytest.approx(analytic.total, rel=0.01)


def test_attribution_of_the_top_stops_at_the_lowest_scored_layer(loaded: Loaded, snippets: list[Labelled]) -> None:
    loaded.model.set_attn_implementation("eager")
    objective, spec = VerdictObjective(loaded.tokenizer), GoodVibeSpec(kind="goodvibe", top_layers=1)
    length = len(objective.examples(snippets[:1])[0]["input_ids"])
    analytic = cost.attribution(Shape.from_config(loaded.model.config), spec, [Batch(1, length, 1)])
    layers = target_linears(loaded.model, spec.projections, spec.top_layers)
    with FlopCounterMode(display=False) as counter:
        score_profiles(loaded.model, objective, snippets[:1], layers=layers)
    assert counter.get_total_flops() == pytest.approx(analytic.total, rel=0.01)


def test_random_rows_need_no_attribution_and_activations_no_backward() -> None:
    shape = Shape.from_config(small("llama"))
    rows = GOODVIBE.model_copy(update={"attribution": "random"})
    activations = GOODVIBE.model_copy(update={"attribution": "activation"})
    assert cost.attribution(shape, rows, [BATCH]).total == 0
    assert cost.attribution(shape, activations, [BATCH]).backward == 0


def test_the_base_model_costs_nothing() -> None:
    config, spec = small("llama"), NoneSpec(kind="none")
    shape = Shape.from_config(config)
    assert cost.training(shape, spec, [BATCH]).total == meta_step.counted(config, spec, BATCH) == 0
    assert cost.trainable_parameters(shape, spec) == cost.file_bytes(shape, spec, 4) == 0


@pytest.mark.parametrize(
    ("model", "full", "lora"),
    [
        ("codellama-7b-instruct", 6738.5, 4.997),
        ("llama-3-8b-instruct", 8030.3, 5.243),
        ("qwen3-8b", 8190.7, 5.456),
        ("qwen3-14b", 14768.3, 8.028),
    ],
)
def test_table_2s_full_and_lora_columns_follow_from_shapes(model: str, full: float, lora: float) -> None:
    shape = Shape.from_config(read_config(model))
    assert round(cost.trainable_parameters(shape, FULL) / 1e6, 1) == full
    assert round(cost.trainable_parameters(shape, LORA) / 1e6, 3) == lora


def test_gemmas_vision_tower_counts_in_full_and_its_q_k_v_explain_the_lora_figure() -> None:
    config = read_config("gemma-3-12b-it")
    shape, vision = Shape.from_config(config), config.vision_config
    tower = vision.num_hidden_layers * 3 * LORA.rank * 2 * vision.hidden_size
    assert round(cost.trainable_parameters(shape, FULL) / 1e6, 1) == 12187.3
    assert round(cost.trainable_parameters(shape, LORA) / 1e6, 1) == 8.2
    assert round((cost.trainable_parameters(shape, LORA) + tower) / 1e6, 1) == 8.6


def test_no_clustering_with_the_lm_head_is_57_million() -> None:
    shape = Shape.from_config(read_config("codellama-7b-instruct"))
    alone = cost.trainable_parameters(shape, GoodVibeSpec(kind="goodvibe", clusters=None))
    assert alone + 50 * shape.hidden == 57_139_200


def test_424_pairs_of_512_tokens_at_6n_are_table_3s_lora_figure() -> None:
    shape = Shape.from_config(read_config("codellama-7b-instruct"))
    assert round(cost.headline(shape, FULL, 424 * 512) / 1e15, 3) == 8.606


@pytest.mark.parametrize("spec", [LORA, GOODVIBE, FULL], ids=["lora", "goodvibe", "full"])
def test_the_rule_of_thumb_is_near_and_checkpointing_adds_a_forward(spec: TunerSpec) -> None:
    shape, batch = Shape.from_config(read_config("codellama-7b-instruct")), Batch(1, 512, 512)
    plain = cost.training(shape, spec, [batch])
    again = cost.training(shape, spec, [batch], checkpointing=True)
    assert plain.total == pytest.approx(cost.headline(shape, spec, 512), rel=0.05)
    assert again.total == pytest.approx(cost.headline(shape, spec, 512, checkpointing=True), rel=0.05)
    assert again.total - plain.total == again.recomputed > 0


@pytest.mark.parametrize("top", [4, 8, 16, 32])
def test_the_rule_of_thumb_counts_the_layers_below_a_cut_once(top: int) -> None:
    shape, batch = Shape.from_config(read_config("codellama-7b-instruct")), Batch(1, 512, 512)
    spec = LORA.model_copy(update={"top_layers": top})
    exact = cost.training(shape, spec, [batch] * 2, distinct=[batch])
    assert exact.total == pytest.approx(cost.headline(shape, spec, 1024, 512), rel=0.05)


def test_a_mixture_of_experts_is_refused() -> None:
    config = AutoConfig.for_model("qwen3_moe", num_experts=4)
    with pytest.raises(UsageError, match="mixture of experts"):
        Shape.from_config(config)


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_trained_parameters_are_those_that_the_tuner_attaches(spec: TunerSpec) -> None:
    config = small("qwen3")
    shape = Shape.from_config(config)
    model = meta_step.Step(config, shape, spec, BATCH, None).model  # type: ignore[arg-type]
    attached = sum(weight.numel() for weight in model.parameters() if weight.requires_grad)
    assert attached == cost.trainable_parameters(shape, spec)


def test_memory_grows_with_layers_as_the_saved_tensors_do() -> None:
    deep = AutoConfig.for_model(**small("llama").to_dict() | {"num_hidden_layers": 6})
    shape = Shape.from_config(deep)
    whole = meta_step.Step(deep, shape, LORA, BATCH, None, torch.bfloat16).saved()
    assert meta_step.peak_memory(deep, LORA, BATCH, torch.bfloat16).saved == whole


def test_memory_shrinks_with_checkpointing_and_top_layers_and_full_holds_16_bytes_a_parameter() -> None:
    config, batch = small("llama"), Batch(2, 128, 64)
    shape = Shape.from_config(config)
    plain = meta_step.peak_memory(config, GOODVIBE, batch, torch.bfloat16)
    assert meta_step.peak_memory(config, GOODVIBE, batch, torch.bfloat16, checkpointing=True).saved < plain.saved
    assert meta_step.peak_memory(config, SPECS["goodvibe top"], batch, torch.bfloat16).saved < plain.saved
    assert meta_step.peak_memory(config, FULL, batch, torch.bfloat16).trained == 16 * shape.parameters
    assert plain.weights == 2 * shape.parameters
