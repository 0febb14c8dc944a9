"""Which linear layers of a model a tuner may touch. It changes none of them."""

import re
from collections.abc import Iterable

from torch import nn

from goodvibe_bench.errors import UsageError, nearest
from goodvibe_bench.types import PROJECTIONS

_OUTSIDE = re.compile(r"(^|\.)(lm_head|embed\w*|score|\w*vision\w*|\w*visual\w*|\w*audio\w*|\w*projector\w*)(\.|$)")

_LAYER = re.compile(r"\.(?:layers|h|blocks)\.(\d+)\.")


def target_linears(
    model: nn.Module, projections: tuple[str, ...] = PROJECTIONS, top_layers: int | None = None
) -> dict[str, nn.Linear]:
    """Return the text decoder's linear layers by full module path, in the model's order.

    `top_layers` keeps those of the last decoder layers only.

    The LM head and vision or audio towers are never among them (paths are matched, since Gemma3's tower has the
    same leaf names). Raises UsageError for fused mixture-of-experts weights, for a projection that no layer is named
    by, and where the last decoder layers have none of them.
    """
    experts = [name for name, weight in model.named_parameters() if weight.dim() == 3 and "expert" in name]
    if experts:
        raise UsageError(
            f"This model is a mixture of experts whose weights are fused tensors ({experts[0]}), which row-wise "
            "tuning cannot select from. Use a dense model, or --method full."
        )
    linears = {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) and not _OUTSIDE.search(name)
    }
    _check_names(model, projections, {name.rpartition(".")[2] for name in linears})
    found = {name: module for name, module in linears.items() if name.rpartition(".")[2] in projections}
    if top_layers is not None:
        depth = max((layer_index(name) for name in linears if _LAYER.search(name)), default=-1) + 1
        found = {name: found[name] for name in found if _LAYER.search(name) and layer_index(name) >= depth - top_layers}
        if not found:
            raise UsageError(
                f"The last {top_layers} of {depth} decoder layers have no linear layer named {', '.join(projections)}: "
                "set a larger tuner.top_layers, or name others in tuner.projections."
            )
    return found


def check_numbered(names: Iterable[str]) -> None:
    """Raise UsageError for module paths that lie in no numbered decoder layer: their rows cannot be scored."""
    outside = [name for name in names if not _LAYER.search(name)]
    if outside:
        raise UsageError(
            f"{outside[0]} lies in no numbered decoder layer, where GoodVibe looks for neurons. "
            "Take it out of tuner.projections, or use a lora method."
        )


def _check_names(model: nn.Module, projections: tuple[str, ...], names: set[str]) -> None:
    missing = [name for name in projections if name not in names]
    if missing or not projections:
        valid = sorted(names)
        hint = nearest(missing[0], valid) if len(missing) == 1 else ""
        raise UsageError(
            f"A {type(model).__name__} has no linear layer named {', '.join(map(repr, missing))}. {hint}".strip()
            + f" Its layers are named {', '.join(valid) or 'otherwise'}: name those to tune in tuner.projections, or "
            "use --method full."
        )


def block_weights(model: nn.Module) -> dict[str, nn.Parameter]:
    """Return by name the weights of two or more dimensions in the text decoder's numbered layers.

    Of a dense model those are its target layers'; a mixture of experts has its experts' and routers' among them.
    """
    return {
        name: weight
        for name, weight in model.named_parameters()
        if weight.dim() > 1 and _LAYER.search(name) and not _OUTSIDE.search(name)
    }


def layer_index(path: str) -> int:
    """Return the number of the decoder layer that the module path leads through. Raises ValueError without one."""
    match = _LAYER.search(path)
    if match is None:
        raise ValueError(f"{path} lies in no numbered layer")
    return int(match.group(1))


def parameter_count(model: nn.Module) -> int:
    """Return the number of parameters, tied ones once."""
    return sum(weight.numel() for weight in model.parameters())
