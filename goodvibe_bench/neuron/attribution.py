"""Score every output row of every target layer by its influence on the security question (section 3.3, eq. 1 and 8).

It only scores: selection.py selects, and nothing here changes the model.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Literal

import torch
from torch import nn
from transformers import PreTrainedModel

from goodvibe_bench.model.halving import Halving
from goodvibe_bench.model.linears import layer_index, target_linears
from goodvibe_bench.objective.verdict import VerdictObjective
from goodvibe_bench.types import Labelled

Profiles = dict[str, torch.Tensor]
"""Per module path: float32 scores on the CPU, shape [samples, rows]."""
Layers = dict[str, nn.Linear]
"""The modules to score, by path; each lies in a numbered decoder layer."""
Kind = Literal["gradient", "activation", "gradient_activation", "parameter"]
"""How a row is scored on one sample, over its real tokens.

gradient: mean |dL/dy|, the paper's (eq. 8). activation: mean |y|, the baseline of Table 5, without a backward pass.
gradient_activation: mean |dL/dy * y|, what the loss would change by, to first order, were the output zero. parameter:
norm of dL/dW of the row, the magnitude of the gradient with respect to its parameters (eq. 1, to the letter).
"""
OnBatch = Callable[[torch.Tensor], None]
"""Called after every forward pass with its attention mask, shape [batch, padded length]."""


def score_profiles(
    model: PreTrainedModel,
    objective: VerdictObjective,
    snippets: Sequence[Labelled],
    kind: Kind = "gradient",
    *,
    layers: Layers | None = None,
    batch_size: int = 4,
    turn: tuple[int, int] = (0, 1),
    on_batch: OnBatch = lambda mask: None,
) -> Profiles:
    """Return the score of each sample and row by `kind`; see there.

    `layers` limits the scores to these modules (all target layers when None), and the backward pass to the decoder
    layers from the lowest of them up. Exact in any batch: the loss is a sum over samples, padding is masked, and each
    sample is divided by its own number of tokens. The model's own weight gradients are never formed, and the model is
    left as it was. With a `turn` of (i, n) every n-th batch is scored, from the i-th on, and the rest is zero: the n
    turns add up to the whole, to the bit.
    """
    layers = target_linears(model) if layers is None else layers
    examples = objective.examples(snippets)
    order = sorted(range(len(examples)), key=lambda i: len(examples[i]["input_ids"]))
    profiles = {name: torch.zeros(len(examples), layer.out_features) for name, layer in layers.items()}
    halving = Halving("attribution")

    def score(places: Sequence[int]) -> list[int]:
        batch = objective.collate([examples[i] for i in places])
        batch = {key: value.to(model.device) for key, value in batch.items()}
        for name, scores in _score(model, objective, layers, batch, kind).items():
            profiles[name][list(places)] = scores
        on_batch(batch["attention_mask"])
        return list(places)

    for start in range(turn[0] * batch_size, len(order), turn[1] * batch_size):
        halving.run(order[start : start + batch_size], score)
    return profiles


def _score(
    model: PreTrainedModel,
    objective: VerdictObjective,
    layers: Layers,
    batch: dict[str, torch.Tensor],
    kind: Kind,
) -> Profiles:
    found: Profiles = {}
    mask = batch["attention_mask"].float().unsqueeze(-1)
    share = mask / mask.sum(1, keepdim=True)

    def rowed(values: torch.Tensor) -> torch.Tensor:
        return values.reshape(*mask.shape[:2], -1)  # OPT's fc1 and fc2 see all rows' tokens in one

    def mean(values: torch.Tensor) -> torch.Tensor:
        return (rowed(values).float().abs() * share).sum(1)

    def on_output(name: str) -> Callable[..., None]:
        def keep(scores: torch.Tensor) -> None:
            found[name] = scores.cpu()

        def hook(_module: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
            x, y = inputs[0].detach(), output.detach()
            if kind == "activation":
                keep(mean(y))
            elif kind == "gradient":
                output.register_hook(lambda grad: keep(mean(grad)))
            elif kind == "gradient_activation":
                output.register_hook(lambda grad: keep(mean(grad * y)))
            else:
                output.register_hook(
                    lambda grad: keep((mask * rowed(grad)).float().mT.matmul(rowed(x).float()).norm(dim=-1))
                )

        return hook

    handles = [layer.register_forward_hook(on_output(name)) for name, layer in layers.items()]
    try:
        with _frozen(model, layers), torch.set_grad_enabled(kind != "activation"):
            loss = objective.loss(model, batch)
            if kind != "activation":
                loss.backward()
    finally:
        for handle in handles:
            handle.remove()
    return found


@contextmanager
def _frozen(model: PreTrainedModel, layers: Layers) -> Iterator[None]:
    """Freeze all weights and let the input of the lowest scored decoder layer require grad, else hooks stay silent."""
    required = [(weight, weight.requires_grad) for weight in model.parameters()]
    for weight, _ in required:
        weight.requires_grad_(False)

    def require(_module: nn.Module, inputs: tuple[torch.Tensor, ...], named: dict[str, torch.Tensor]) -> None:
        (inputs[0] if inputs else named["hidden_states"]).requires_grad_(True)

    handle = _lowest(model, layers).register_forward_pre_hook(require, with_kwargs=True)
    try:
        yield
    finally:
        handle.remove()
        for weight, was in required:
            weight.requires_grad_(was)


def _lowest(model: PreTrainedModel, layers: Layers) -> nn.Module:
    """Return the lowest decoder layer that holds one of `layers`."""
    path = min(layers, key=layer_index)
    number = f".{layer_index(path)}."
    return model.get_submodule(path[: path.index(number) + len(number) - 1])
