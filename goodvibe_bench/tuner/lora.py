"""Low-rank adaptation through peft, on the same layers that GoodVibe may touch."""

from typing import Any, cast

import torch
from peft import LoraConfig, get_peft_model
from peft.tuners.lora import LoraLayer
from torch import nn

from goodvibe_bench.model.linears import target_linears
from goodvibe_bench.tuner.spec import LoraSpec

COLUMN_NORM = 5.0
"""Length of a column of the frozen random B: that of GoodVibe's 0/1 columns with 25 rows a cluster."""


def attach(model: nn.Module, spec: LoraSpec, seed: int = 0) -> Any:
    """Return `model` as a peft model with float32 LoRA weights on every target layer, the rest frozen.

    `seed` draws A, or B where the spec freezes it.
    """
    targets = list(target_linears(model, spec.projections, spec.top_layers))
    alpha = spec.alpha or (spec.rank if spec.frozen_b else 2 * spec.rank)
    config = LoraConfig(r=spec.rank, lora_alpha=alpha, target_modules=targets, task_type="CAUSAL_LM")
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        tuned = get_peft_model(model, config)  # type: ignore[arg-type]
        if spec.frozen_b:
            _freeze_random_b(tuned)
    return tuned


@torch.no_grad()
def _freeze_random_b(model: Any) -> None:
    """Draw every B with columns of length COLUMN_NORM and freeze it; put A to zero."""
    for layer in model.modules():
        if isinstance(layer, LoraLayer):
            a, b = cast(nn.Linear, layer.lora_A["default"]), cast(nn.Linear, layer.lora_B["default"])
            a.weight.zero_()
            b.weight.normal_()
            b.weight.mul_(COLUMN_NORM / b.weight.norm(dim=0, keepdim=True))
            b.weight.requires_grad_(False)


def delta(layer: LoraLayer, name: str = "default") -> torch.Tensor:
    """Return the full update matrix B A * scale in float32, [d_out, d_in]."""
    a, b = cast(nn.Linear, layer.lora_A[name]), cast(nn.Linear, layer.lora_B[name])
    return (b.weight.detach().float() @ a.weight.detach().float()) * layer.scaling[name]
