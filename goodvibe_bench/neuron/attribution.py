"""Score every output row of every target layer by its influence on the security question (section 3.3, eq. 1 and 8).

It only scores: selection.py selects, and nothing here changes the model.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import nn
from transformers import PreTrainedModel

from goodvibe_bench.model.linears import layer_index, target_linears
from goodvibe_bench.objective.verdict import VerdictObjective
from goodvibe_bench.types import Labelled

Profiles = dict[str, torch.Tensor]
"""Per module path: float32 scores on the CPU, shape [samples, rows]."""
Layers = dict[str, nn.Linear]
"""The modules to score, by path; each lies in a numbered decoder layer."""
OnBatch = Callable[[torch.Tensor], None]
"""Called after every forward pass with its attention mask, shape [batch, padded length]."""


def gradient_profiles(
    model: PreTrainedModel,
    objective: VerdictObjective,
    snippets: Sequence[Labelled],
    *,
    layers: Layers | None = None,
    batch_size: int = 4,
    on_batch: OnBatch = lambda mask: None,
) -> Profiles:
    """Return mean over tokens of |dL/dy| for each sample and row (eq. 8, one sample at a time).

    `layers` limits the scores to these modules (all target layers when None), and the backward pass to the decoder
    layers from the lowest of them up. Exact in any batch: the loss is a sum over samples, padding is masked, and each
    sample is divided by its own number of tokens. No weight gradient is formed; the model is left as it was.
    """
    return _profiles(model, objective, snippets, layers, batch_size, on_batch, gradient=True)


def activation_profiles(
    model: PreTrainedModel,
    objective: VerdictObjective,
    snippets: Sequence[Labelled],
    *,
    layers: Layers | None = None,
    batch_size: int = 4,
    on_batch: OnBatch = lambda mask: None,
) -> Profiles:
    """Return mean over tokens of |y| for each sample and row of `layers`: the baseline of Table 5."""
    return _profiles(model, objective, snippets, layers, batch_size, on_batch, gradient=False)


def _profiles(
    model: PreTrainedModel,
    objective: VerdictObjective,
    snippets: Sequence[Labelled],
    layers: Layers | None,
    batch_size: int,
    on_batch: OnBatch,
    gradient: bool,
) -> Profiles:
    layers = target_linears(model) if layers is None else layers
    examples = objective.examples(snippets)
    order = sorted(range(len(examples)), key=lambda i: len(examples[i]["input_ids"]))
    profiles = {name: torch.zeros(len(examples), layer.out_features) for name, layer in layers.items()}
    for start in range(0, len(order), batch_size):
        places = order[start : start + batch_size]
        batch = objective.collate([examples[i] for i in places])
        batch = {key: value.to(model.device) for key, value in batch.items()}
        for name, scores in _score(model, objective, layers, batch, gradient).items():
            profiles[name][places] = scores
        on_batch(batch["attention_mask"])
    return profiles


def _score(
    model: PreTrainedModel,
    objective: VerdictObjective,
    layers: Layers,
    batch: dict[str, torch.Tensor],
    gradient: bool,
) -> Profiles:
    found: Profiles = {}
    mask = batch["attention_mask"].float()
    share = (mask / mask.sum(1, keepdim=True)).unsqueeze(-1)

    def keep(name: str, value: torch.Tensor) -> None:
        found[name] = (value.detach().float().abs() * share).sum(1).cpu()

    def on_output(name: str) -> Callable[..., None]:
        def hook(_module: nn.Module, _inputs: object, output: torch.Tensor) -> None:
            if gradient:
                output.register_hook(lambda grad: keep(name, grad))
            else:
                keep(name, output)

        return hook

    handles = [layer.register_forward_hook(on_output(name)) for name, layer in layers.items()]
    try:
        with _frozen(model, layers), torch.set_grad_enabled(gradient):
            loss = objective.loss(model, batch)
            if gradient:
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
