"""One way to attach any tuner and to fold any tuner back. Which rows GoodVibe gets is decided by the caller."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from goodvibe_bench.model.linears import target_linears
from goodvibe_bench.neuron.selection import Selection
from goodvibe_bench.tuner import goodvibe, lora
from goodvibe_bench.tuner.spec import FullSpec, GoodVibeSpec, LoraSpec


@dataclass
class Attached:
    """A model with a tuner on it, and what is needed to take the tuner off again."""

    model: Any
    spec: FullSpec | LoraSpec | GoodVibeSpec
    dtype: torch.dtype
    before: dict[str, torch.Tensor]
    """The target layers' weights before training, in the model's dtype, on the CPU."""

    def trainable(self) -> int:
        """Return the number of trained parameters, tied ones once."""
        return sum(weight.numel() for weight in self.model.parameters() if weight.requires_grad)


def attach(model: Any, spec: FullSpec | LoraSpec | GoodVibeSpec, selection: Selection | None = None) -> Attached:
    """Return `model` ready to be trained by `spec`'s tuner; GoodVibe needs its `selection`."""
    before = {name: layer.weight.detach().to("cpu", copy=True) for name, layer in target_linears(model).items()}
    dtype = next(model.parameters()).dtype
    if isinstance(spec, GoodVibeSpec):
        if selection is None:
            raise ValueError("the goodvibe tuner needs a selection of neurons")
        tuned = goodvibe.attach(model, selection)
    elif isinstance(spec, LoraSpec):
        tuned = lora.attach(model, spec)
    else:
        tuned = model.float().requires_grad_(True)
    return Attached(tuned, spec, dtype, before)


@torch.no_grad()
def fold(attached: Attached) -> tuple[Any, float]:
    """Return the plain model in its own dtype, and ||dW_folded - dW|| / ||dW|| over the target layers.

    The update is added in float32 and rounded once (section 4.2).
    """
    model: nn.Module = attached.model.float()
    if isinstance(attached.spec, GoodVibeSpec):
        model = goodvibe.fold(model)
    elif isinstance(attached.spec, LoraSpec):
        model = lora.fold(model)
    lost = moved = 0.0
    for name, layer in target_linears(model).items():
        before = attached.before[name].float().to(layer.weight.device)
        exact = layer.weight - before
        folded = layer.weight.to(attached.dtype).float() - before
        lost += float((folded - exact).double().square().sum())
        moved += float(exact.double().square().sum())
    model.to(attached.dtype).requires_grad_(False)
    return model.eval(), (lost / moved) ** 0.5 if moved else 0.0
