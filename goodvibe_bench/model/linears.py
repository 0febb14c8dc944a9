"""Which linear layers of a model a tuner may touch. It changes none of them."""

import re

from torch import nn

from goodvibe_bench.errors import UsageError
from goodvibe_bench.types import PROJECTIONS

_OUTSIDE = re.compile(r"(^|\.)(lm_head|embed\w*|score|\w*vision\w*|\w*visual\w*|\w*audio\w*|\w*projector\w*)(\.|$)")


def target_linears(model: nn.Module, projections: tuple[str, ...] = PROJECTIONS) -> dict[str, nn.Linear]:
    """Return the text decoder's linear layers by full module path, in the model's order.

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
    if not found:
        raise UsageError(
            f"No linear layer named {', '.join(projections)} in a {type(model).__name__}; nothing to tune there."
        )
    return found


def parameter_count(model: nn.Module) -> int:
    """Return the number of parameters, tied ones once."""
    return sum(weight.numel() for weight in model.parameters())
