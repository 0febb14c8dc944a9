"""Which linear layers of a model a tuner may touch. It changes none of them."""

import re

from torch import nn

from goodvibe_bench.errors import UsageError
from goodvibe_bench.types import PROJECTIONS

_OUTSIDE = re.compile(r"(^|\.)(lm_head|embed\w*|score|\w*vision\w*|\w*visual\w*|\w*audio\w*|\w*projector\w*)(\.|$)")

_LAYER = re.compile(r"\.(?:layers|h|blocks)\.(\d+)\.")


def target_linears(
    model: nn.Module, projections: tuple[str, ...] = PROJECTIONS, top_layers: int | None = None
) -> dict[str, nn.Linear]:
    """Return the text decoder's linear layers by full module path, in the model's order.

    `top_layers` keeps those of the last decoder layers only.

    The LM head and vision or audio towers are never among them (paths are matched, since Gemma3's tower has the
    same leaf names). Raises UsageError for fused mixture-of-experts weights and where nothing matches.
    """
    experts = [name for name, weight in model.named_parameters() if weight.dim() == 3 and "expert" in name]
    if experts:
        raise UsageError(
            f"This model is a mixture of experts whose weights are fused tensors ({experts[0]}), which row-wise "
            "tuning cannot select from. Use a dense model, or --method full."
        )
    found = {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) and name.rpartition(".")[2] in projections and not _OUTSIDE.search(name)
    }
    if top_layers is not None:
        depth = max((layer_index(name) for name in found), default=0) + 1
        found = {name: module for name, module in found.items() if layer_index(name) >= depth - top_layers}
    if not found:
        raise UsageError(
            f"No linear layer named {', '.join(projections)} in a {type(model).__name__}; nothing to tune there."
        )
    return found


def layer_index(path: str) -> int:
    """Return the number of the decoder layer that the module path leads through. Raises ValueError without one."""
    match = _LAYER.search(path)
    if match is None:
        raise ValueError(f"{path} lies in no numbered layer")
    return int(match.group(1))


def parameter_count(model: nn.Module) -> int:
    """Return the number of parameters, tied ones once."""
    return sum(weight.numel() for weight in model.parameters())
