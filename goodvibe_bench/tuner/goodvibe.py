"""GoodVibe as a PEFT method: rows of one cluster share one trainable update (section 3.4, eq. 6 and 7).

For a layer y = W x + b with selected rows S and clusters c(i) it trains U [clusters, d_in], float32, from zero, in
y[S] += (U x)[c]. The full update matrix is never built in the forward pass, so no full weight gradient is formed.
It selects no rows itself: neuron/ does.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, cast

import torch
from peft import PeftConfig, get_peft_model
from peft.mapping import (
    PEFT_TYPE_TO_CONFIG_MAPPING,
    PEFT_TYPE_TO_PREFIX_MAPPING,
    PEFT_TYPE_TO_TUNER_MAPPING,
)
from peft.tuners._buffer_dict import BufferDict
from peft.tuners.tuners_utils import BaseTuner, BaseTunerLayer, check_adapters_to_merge
from torch import nn
from torch.nn import functional

from goodvibe_bench.errors import UsageError
from goodvibe_bench.neuron.selection import Selection


class _Type(str):
    """A PEFT type of our own: peft's enum cannot be extended, but all it asks of a member is `.value`."""

    __slots__ = ()

    @property
    def value(self) -> str:
        return str(self)


GOODVIBE = _Type("GOODVIBE")


@dataclass
class GoodVibeConfig(PeftConfig):
    """Which modules have how many selected rows and clusters; the rows themselves are saved with the weights."""

    shapes: dict[str, list[int]] = field(default_factory=dict)
    """Per module path of the base model: [selected rows, clusters]."""
    target_modules: list[str] = field(default_factory=list)
    selection: Selection | None = None
    """Rows and clusters of a new adapter; not written to adapter_config.json."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.peft_type = cast(Any, GOODVIBE)
        if self.selection is not None:
            chosen = {name: neurons for name, neurons in self.selection.items() if len(neurons.rows)}
            if twice := [name for name, neurons in chosen.items() if len(neurons.rows.unique()) < len(neurons.rows)]:
                raise ValueError(f"the selection has a row of {twice[0]} more than once")
            self.shapes = {name: [len(neurons.rows), neurons.cluster_count] for name, neurons in chosen.items()}
        if not self.shapes:
            raise ValueError("GoodVibeConfig needs a selection with at least one row")
        self.target_modules = list(self.shapes)

    def to_dict(self) -> dict[str, Any]:
        """Return what adapter_config.json holds: everything but the selection."""
        return {key: value for key, value in vars(self).items() if key != "selection"}


class GoodVibeLayer(BaseTunerLayer):
    """Per adapter: the trained updates, the rows they go to, and the cluster of each row."""

    adapter_layer_names = ("goodvibe_update",)
    other_param_names = ("goodvibe_rows", "goodvibe_clusters")

    def __init__(self, base_layer: nn.Linear) -> None:
        self.base_layer = base_layer
        self.goodvibe_update = nn.ParameterDict({})
        self.goodvibe_rows: Any = BufferDict({}, persistent=True)
        self.goodvibe_clusters: Any = BufferDict({}, persistent=True)
        self.in_features, self.out_features = base_layer.in_features, base_layer.out_features
        self._disable_adapters = False
        self.merged_adapters: list[str] = []
        self._before: dict[str, torch.Tensor] = {}

    def add(self, name: str, rows: torch.Tensor, clusters: torch.Tensor, cluster_count: int) -> None:
        """Add an adapter whose updates [clusters, d_in] are zero."""
        device = cast(nn.Linear, self.get_base_layer()).weight.device
        self.goodvibe_update[name] = nn.Parameter(torch.zeros(cluster_count, self.in_features, device=device))
        self.goodvibe_rows[name] = rows.to(device)
        self.goodvibe_clusters[name] = clusters.to(device)
        self.set_adapter(self.active_adapters)

    def delta(self, name: str = "default") -> torch.Tensor:
        """Return the full update matrix dW in float32, [d_out, d_in]; zero outside the selected rows (eq. 6)."""
        update = self.goodvibe_update[name].detach().float()
        full = torch.zeros(self.out_features, self.in_features, device=update.device)
        full[self.goodvibe_rows[name]] = update[self.goodvibe_clusters[name]]
        return full

    def factors(self, name: str = "default") -> tuple[torch.Tensor, torch.Tensor]:
        """Return (A, B) with B A = dW: A = U [clusters, d_in], B the 0/1 cluster matrix [d_out, clusters]."""
        update = self.goodvibe_update[name].detach().float().cpu()
        b = torch.zeros(self.out_features, len(update))
        b[self.goodvibe_rows[name].cpu(), self.goodvibe_clusters[name].cpu()] = 1.0
        return update, b

    @torch.no_grad()
    def merge(self, safe_merge: bool = False, adapter_names: list[str] | None = None) -> None:
        """Add the updates to the weight, in float32, rounded once; keep the rows' old bits for `unmerge`."""
        names: Sequence[str] = check_adapters_to_merge(self, adapter_names)
        weight = cast(nn.Linear, self.get_base_layer()).weight
        for name in names:
            if name not in self.goodvibe_update:
                continue
            rows = self.goodvibe_rows[name]
            changed = weight[rows].float() + self.goodvibe_update[name].float()[self.goodvibe_clusters[name]]
            if safe_merge and not torch.isfinite(changed).all():
                raise ValueError(f"NaNs detected in the merged weights. The adapter {name} seems to be broken")
            self._before[name] = weight[rows].clone()
            weight[rows] = changed.to(weight.dtype)
            self.merged_adapters.append(name)

    @torch.no_grad()
    def unmerge(self) -> None:
        """Put the rows' old bits back, last merged first."""
        while self.merged_adapters:
            name = self.merged_adapters.pop()
            cast(nn.Linear, self.get_base_layer()).weight[self.goodvibe_rows[name]] = self._before.pop(name)


class _TunedLinear(torch.autograd.Function):
    """y = W x + b + B U x with W frozen and B the 0/1 cluster matrix, in one node (eq. 7).

    Autograd's own nodes would copy y and add two input gradients. Products with the thin B cost less than gathering
    and scattering rows, and round once. The backward pass keeps x, once for the layers that share it.
    """

    @staticmethod
    def forward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any,
        x: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        update: torch.Tensor,
        rows: torch.Tensor,
        clusters: torch.Tensor,
    ) -> torch.Tensor:
        shared = update.to(x.dtype)
        members = x.new_zeros(len(weight), len(update))
        members[rows, clusters] = 1
        ctx.save_for_backward(x, weight, shared, members)
        y = functional.linear(x, weight, bias)
        _add_product(_flat(y), _flat(functional.linear(x, shared)), members.T)
        # linear with a bias returns a view, and autograd allows no in-place operation on a view from in here.
        return torch.ops.aten._unsafe_view(y, y.shape)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[Any, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        x, weight, shared, members = ctx.saved_tensors
        flat = _flat(gradient)
        summed = flat @ members
        to_x = _add_product(flat @ weight, summed, shared).view_as(x) if ctx.needs_input_grad[0] else None
        return to_x, None, None, (summed.T @ _flat(x)).float(), None, None


def _flat(values: torch.Tensor) -> torch.Tensor:
    """Return `values` as rows of its last dimension; a vector is one row."""
    return values.reshape(-1, values.shape[-1])


def _add_product(total: torch.Tensor, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """Return `total` after adding left @ right to it in place; torch's FLOP counter sees this form, and not addmm_."""
    return torch.addmm(total, left, right, out=total)


class GoodVibeLinear(nn.Module, GoodVibeLayer):
    """A frozen linear layer with a cluster-shared update of some of its output rows."""

    def __init__(self, base_layer: nn.Linear) -> None:
        super().__init__()
        GoodVibeLayer.__init__(self, base_layer)

    def forward(self, x: torch.Tensor, *args: Any) -> torch.Tensor:
        """Return base(x) with the clusters' shared contributions added to the selected rows."""
        if self.disable_adapters and self.merged:
            self.unmerge()
        base, active = self.base_layer, [name for name in self.active_adapters if name in self.goodvibe_update]
        if self.disable_adapters or self.merged or not active:
            return base(x, *args)
        if len(active) == 1 and _plain(base, x):
            update, rows, ids = (part[active[0]] for part in self._parts())
            return cast(torch.Tensor, _TunedLinear.apply(x, base.weight, base.bias, update, rows, ids))
        y = base(x, *args)
        for name in active:
            update, rows, ids = (part[name] for part in self._parts())
            shared = functional.linear(x, update.to(x.dtype))
            y = y.index_add(-1, rows, shared.index_select(-1, ids).to(y.dtype))
        return y

    def _parts(self) -> tuple[Any, Any, Any]:
        return self.goodvibe_update, self.goodvibe_rows, self.goodvibe_clusters


def _plain(base: nn.Module, x: torch.Tensor) -> bool:
    """Return whether `base` is a frozen nn.Linear of x's own dtype with nothing watching it, outside of autocast."""
    kind = x.device.type
    if type(base) is not nn.Linear or (kind != "meta" and torch.is_autocast_enabled(kind)):
        return False
    watched = base._forward_hooks or base._forward_pre_hooks or base._backward_hooks or base._backward_pre_hooks
    return not watched and not base.weight.requires_grad and base.weight.dtype == x.dtype


class GoodVibeModel(BaseTuner):
    """Puts a GoodVibeLinear on every module of the config; peft's machinery does the rest."""

    prefix = "goodvibe_"
    tuner_layer_cls = GoodVibeLayer
    target_module_mapping: dict[str, list[str]] = {}

    def _create_and_replace(
        self,
        peft_config: Any,
        adapter_name: str,
        target: nn.Module,
        target_name: str,
        parent: nn.Module,
        current_key: str,
        parameter_name: str | None = None,
    ) -> None:
        path = next(path for path in peft_config.shapes if current_key == path or current_key.endswith("." + path))
        rows, clusters = self._ids(peft_config, path)
        if isinstance(target, GoodVibeLinear):
            target.add(adapter_name, rows, clusters, peft_config.shapes[path][1])
            return
        if not isinstance(target, nn.Linear):
            raise UsageError(f"GoodVibe tunes nn.Linear layers; {current_key} is a {type(target).__name__}.")
        layer = GoodVibeLinear(target)
        layer.add(adapter_name, rows, clusters, peft_config.shapes[path][1])
        if adapter_name not in self.active_adapters:
            layer.requires_grad_(False)
        self._replace_module(parent, target_name, layer, target)

    def _check_tied_modules(self, model: Any, peft_config: Any) -> None:
        """Refuse a head that shares its weight with the embeddings: an update of one would be one of the other."""
        embeddings = getattr(model, "get_input_embeddings", lambda: None)()
        for path in peft_config.shapes:
            module = next((module for name, module in model.named_modules() if name == path), None)
            if embeddings is not None and getattr(module, "weight", None) is embeddings.weight:
                raise UsageError(f"{path} is tied to the input embeddings: its rows cannot be tuned on their own.")

    @staticmethod
    def _ids(config: GoodVibeConfig, path: str) -> tuple[torch.Tensor, torch.Tensor]:
        """Return rows and clusters of the module: the selection's, or zeros that loading fills."""
        if config.selection is not None:
            return config.selection[path].rows, config.selection[path].clusters
        empty = torch.zeros(config.shapes[path][0], dtype=torch.int64)
        return empty, empty.clone()


def register() -> None:
    """Make GoodVibe known to peft: get_peft_model, save_pretrained, from_pretrained, Trainer and TRL then take it.

    peft's own register function refuses names outside of its enum, so its three mappings are written to directly.
    """
    mappings: list[tuple[Any, Any]] = [
        (PEFT_TYPE_TO_CONFIG_MAPPING, GoodVibeConfig),
        (PEFT_TYPE_TO_TUNER_MAPPING, GoodVibeModel),
        (PEFT_TYPE_TO_PREFIX_MAPPING, GoodVibeModel.prefix),
    ]
    for mapping, entry in mappings:
        mapping[GOODVIBE] = entry


register()


def attach(model: Any, selection: Selection, task_type: Literal["CAUSAL_LM"] | None = "CAUSAL_LM") -> Any:
    """Return `model`, frozen, as a peft model whose GoodVibe adapter holds `selection`."""
    return get_peft_model(model, GoodVibeConfig(task_type=task_type, selection=selection))
