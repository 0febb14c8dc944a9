"""Weights that torch's fully_shard (FSDP 2) spread over processes, put together again. It shards nothing itself.

The launcher decides: `accelerate launch --use_fsdp --fsdp_version 2`. FSDP 1 keeps weights in flat parameters, of which
no layer can be told, and is refused.
"""

import os
from typing import Any

import torch
from torch import nn
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor

from goodvibe_bench.errors import UsageError


def check() -> None:
    """Raise UsageError where the launcher asks for FSDP 1."""
    asked = os.environ.get("ACCELERATE_USE_FSDP", "false").lower() == "true"
    if asked and os.environ.get("FSDP_VERSION", "1") != "2":
        raise UsageError("Sharded training needs FSDP 2: accelerate launch --use_fsdp --fsdp_version 2 ...")


def is_sharded(model: Any) -> bool:
    """Return whether any of the model's weights is spread over processes."""
    return any(isinstance(weight, DTensor) for weight in model.parameters())


@torch.no_grad()
def gather(model: Any, *, keep: bool) -> None:
    """Put the whole model on the CPU in place of the spread one, where `keep`; every process must call it.

    The others keep their parts: one copy of the model is enough to save it. Weights that two modules share stay shared.
    What is kept is a plain model again, with no module that would spread its weights at the next pass.
    """
    places: dict[nn.Parameter, list[tuple[nn.Module, str]]] = {}
    for module in model.modules():
        for name, weight in module.named_parameters(recurse=False):
            places.setdefault(weight, []).append((module, name))
    for weight, users in places.items():
        if isinstance(weight, DTensor):
            whole = weight.full_tensor()  # all processes take part, whoever keeps it
            if keep:
                one = nn.Parameter(whole.cpu(), requires_grad=weight.requires_grad)
                for module, name in users:
                    module._parameters[name] = one
    if keep:
        for module in model.modules():
            _make_plain(module)
        model.cpu()  # buffers too, which nobody spread: GoodVibe's rows are looked up beside the weights


def _make_plain(module: Any) -> None:
    if issubclass(type(module), FSDPModule):
        # fully_shard puts a class of its own before the module's, and hooks that gather weights around each pass.
        module.__class__ = type(module).__bases__[1]
        module._forward_pre_hooks.clear()
        module._forward_hooks.clear()
