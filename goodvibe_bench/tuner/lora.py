"""Low-rank adaptation through peft, on the same layers that GoodVibe may touch."""

from typing import Any

from peft import LoraConfig, get_peft_model
from torch import nn

from goodvibe_bench.model.linears import target_linears
from goodvibe_bench.tuner.spec import LoraSpec


def attach(model: nn.Module, spec: LoraSpec) -> Any:
    """Return `model` as a peft model with float32 LoRA weights on every target layer, the rest frozen."""
    targets = list(target_linears(model, spec.projections))
    alpha = spec.alpha or 2 * spec.rank
    config = LoraConfig(r=spec.rank, lora_alpha=alpha, target_modules=targets, task_type="CAUSAL_LM")
    return get_peft_model(model, config)  # type: ignore[arg-type]


def fold(model: Any) -> nn.Module:
    """Return the plain model with B A added to its weights."""
    return model.merge_and_unload()
