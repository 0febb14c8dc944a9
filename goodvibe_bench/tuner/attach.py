"""One way to attach any tuner and to fold any tuner back. Which rows GoodVibe gets is decided by the caller."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from peft.tuners.lora import LoraLayer
from torch import nn

from goodvibe_bench.model import dtypes
from goodvibe_bench.model.linears import block_weights
from goodvibe_bench.neuron.selection import Selection
from goodvibe_bench.tuner import goodvibe, lora
from goodvibe_bench.tuner.spec import FullSpec, GoodVibeSpec, LoraSpec


@dataclass
class Attached:
    """A model with a tuner on it, and what is needed to take the tuner off again."""

    model: Any
    spec: FullSpec | LoraSpec | GoodVibeSpec
    before: dict[str, torch.Tensor] = field(default_factory=dict)
    """Full fine-tuning: the layers' weights before training, in their own dtype, on the CPU."""
    kept: dict[str, torch.dtype] = field(default_factory=dict)
    """Full fine-tuning: what weights and buffers were kept in before it; rotary frequencies are float32 everywhere."""

    def trainable(self) -> int:
        """Return the number of trained parameters, tied ones once."""
        return sum(weight.numel() for weight in self.model.parameters() if weight.requires_grad)


def attach(
    model: Any, spec: FullSpec | LoraSpec | GoodVibeSpec, selection: Selection | None = None, seed: int = 0
) -> Attached:
    """Return `model` ready to be trained by `spec`'s tuner; GoodVibe needs its `selection`, LoRA draws by `seed`."""
    if isinstance(spec, GoodVibeSpec):
        if selection is None:
            raise ValueError("the goodvibe tuner needs a selection of neurons")
        return Attached(goodvibe.attach(model, selection), spec)
    if isinstance(spec, LoraSpec):
        return Attached(lora.attach(model, spec, seed), spec)
    before = {name: weight.detach().to("cpu", copy=True) for name, weight in block_weights(model).items()}
    kept = dtypes.of(model)
    return Attached(model.float().requires_grad_(True), spec, before, kept)


@torch.no_grad()
def fold(attached: Attached) -> tuple[Any, float]:
    """Return the plain model, every part in its own dtype, and ||dW_folded - dW|| / ||dW|| over the tuned layers.

    The update is added in float32 and rounded once (section 4.2), layer by layer.
    """
    lost = moved = 0.0
    for weight, dtype, before, after in _updates(attached):
        folded = after.to(dtype)
        lost += float((folded.float() - after).double().square().sum())
        moved += float((after - before).double().square().sum())
        weight.data = folded
    model = attached.model if isinstance(attached.spec, FullSpec) else attached.model.unload()
    dtypes.restore(model, attached.kept)
    return model.requires_grad_(False).eval(), (lost / moved) ** 0.5 if moved else 0.0


def _updates(attached: Attached) -> Iterator[tuple[torch.Tensor, torch.dtype, torch.Tensor, torch.Tensor]]:
    """Yield every tuned layer's weight, its own dtype, and what it was and is now, in float32, [d_out, d_in]."""
    if isinstance(attached.spec, FullSpec):
        for name, weight in block_weights(attached.model).items():
            before = attached.before[name]
            yield weight, before.dtype, before.to(weight.device, torch.float32), weight
        return
    for module in attached.model.modules():
        if isinstance(module, goodvibe.GoodVibeLayer | LoraLayer):
            weight = cast(nn.Linear, module.get_base_layer()).weight
            update = module.delta() if isinstance(module, goodvibe.GoodVibeLayer) else lora.delta(module)
            yield weight, weight.dtype, weight.float(), weight.float() + update
