"""GoodVibe's tuner: rows of one cluster share one trainable update (section 3.4, eq. 6 and 7).

For a layer y = W x + b with selected rows S and clusters c(i) it trains U [clusters, d_in] from zero in
y[S] += (U x)[c]. The full update matrix is never built in the forward pass, so no full weight gradient is formed.
It selects no rows itself: neuron/ does.
"""

import torch
from torch import nn
from torch.nn import functional

from goodvibe_bench.neuron.selection import Neurons, Selection


class GoodVibeLinear(nn.Module):
    """A frozen linear layer with a cluster-shared update of some of its output rows."""

    rows: torch.Tensor
    clusters: torch.Tensor

    def __init__(self, base: nn.Linear, neurons: Neurons) -> None:
        super().__init__()
        self.base = base
        device = base.weight.device
        self.update = nn.Parameter(torch.zeros(neurons.cluster_count, base.in_features, device=device))
        self.register_buffer("rows", neurons.rows.to(device))
        self.register_buffer("clusters", neurons.clusters.to(device))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return base(x) with the clusters' shared contributions added to the selected rows."""
        y = self.base(x)
        shared = functional.linear(x, self.update.to(x.dtype))
        return y.index_add(-1, self.rows, shared[..., self.clusters])

    def delta(self) -> torch.Tensor:
        """Return the full update matrix dW in float32, [d_out, d_in]; zero outside the selected rows (eq. 6)."""
        update = torch.zeros(self.base.weight.shape, dtype=torch.float32, device=self.update.device)
        update[self.rows] = self.update.detach().float()[self.clusters]
        return update

    def lora(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return (A, B) with B A = dW: A = U and B the 0/1 cluster matrix [d_out, clusters]; alpha = rank."""
        b = torch.zeros(self.base.out_features, len(self.update))
        b[self.rows.cpu(), self.clusters.cpu()] = 1.0
        return self.update.detach().float().cpu(), b


def attach(model: nn.Module, selection: Selection) -> nn.Module:
    """Freeze `model` and replace every selected layer in it by a GoodVibeLinear; return the same model."""
    model.requires_grad_(False)
    for name, neurons in selection.items():
        if len(neurons.rows) == 0:
            continue
        parent, _, leaf = name.rpartition(".")
        owner = model.get_submodule(parent)
        setattr(owner, leaf, GoodVibeLinear(getattr(owner, leaf), neurons))
    return model


def fold(model: nn.Module) -> nn.Module:
    """Add every update to its weight and put the plain layers back; rows outside the selection keep their bits."""
    for name, layer in [(n, m) for n, m in model.named_modules() if isinstance(m, GoodVibeLinear)]:
        with torch.no_grad():
            weight = layer.base.weight
            changed = weight[layer.rows].float() + layer.update.float()[layer.clusters]
            weight[layer.rows] = changed.to(weight.dtype)
        parent, _, leaf = name.rpartition(".")
        setattr(model.get_submodule(parent), leaf, layer.base)
    return model
