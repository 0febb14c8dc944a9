"""Train the last layers from hidden states that are computed once: what lies below a frozen cut never changes.

It trains nothing itself. Two epochs over the top 8 of 32 layers then run the other 24 once, forward, instead of twice.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import nn

from goodvibe_bench.model.chat import pad_left
from goodvibe_bench.model.halving import Halving


class _CutReachedError(Exception):
    """Ends a forward pass at the cut."""


def decoder_of(model: nn.Module) -> Any:
    """Return the text decoder inside `model`: the module that holds the token embeddings and the numbered layers.

    Raises ValueError where there is none.
    """
    for module in model.modules():
        if isinstance(getattr(module, "layers", None), nn.ModuleList) and hasattr(module, "embed_tokens"):
            return module
    raise ValueError(f"a {type(model).__name__} has no decoder with embed_tokens and layers")


@torch.no_grad()
def hidden_below(
    model: Any,
    ids: Sequence[Sequence[int]],
    top_layers: int,
    *,
    batch_tokens: int = 4096,
    progress: Callable[[int], None] = lambda done: None,
) -> tuple[list[torch.Tensor], list[tuple[int, int]]]:
    """Return for each sequence of token ids the states that enter the last `top_layers` layers, on the CPU,
    [tokens, hidden] in the model's dtype; and the (rows, padded length) of the forward passes.

    Sequences of like length share a pass of about `batch_tokens` tokens, in halves where memory does not hold it.
    """
    order = sorted(range(len(ids)), key=lambda place: len(ids[place]))
    halving = Halving("the layers below")
    found: dict[int, torch.Tensor] = {}
    shapes = []
    while order:
        rows = max(1, batch_tokens // len(ids[order[0]]))
        while rows > 1 and rows * len(ids[order[min(rows, len(order)) - 1]]) > batch_tokens:
            rows -= 1
        places, order = order[:rows], order[rows:]
        batch: list[list[int]] = [list(ids[place]) for place in places]
        found |= dict(zip(places, halving.run(batch, partial(_states_at_cut, model, top_layers)), strict=True))
        shapes.append((len(places), max(map(len, batch))))
        progress(len(places))
    return [found[place] for place in range(len(ids))], shapes


def _states_at_cut(model: Any, top_layers: int, rows: Sequence[list[int]]) -> list[torch.Tensor]:
    """Return what enters the top layers in each row, [tokens, hidden] on the CPU."""
    decoder = decoder_of(model)
    ids, mask, positions = pad_left(list(rows), 0)
    caught: list[torch.Tensor] = []

    def stop(_layer: nn.Module, inputs: tuple[Any, ...], words: dict[str, Any]) -> None:
        caught.append(inputs[0] if inputs else words["hidden_states"])
        raise _CutReachedError

    cut = max(0, len(decoder.layers) - top_layers)
    handle = decoder.layers[cut].register_forward_pre_hook(stop, with_kwargs=True)
    device = decoder.embed_tokens.weight.device
    try:
        decoder(
            input_ids=ids.to(device),
            attention_mask=mask.to(device),
            position_ids=positions.to(device),
            use_cache=False,
        )
    except _CutReachedError:
        return [state[-len(row) :].to("cpu", copy=True) for row, state in zip(rows, caught[0], strict=True)]
    finally:
        handle.remove()
    raise RuntimeError("the forward pass never reached the cut")


@contextmanager
def top_only(model: Any, top_layers: int) -> Iterator[None]:
    """Cut `model` down to its last `top_layers` layers, so that it runs from hidden states given as inputs_embeds.

    The layers below are kept aside and put back at the end; the model is changed in place. What a decoder does to
    embeddings before its first layer (Granite scales them, OPT-350m widens them) was done to the states below: they
    enter as they are given.
    """
    decoder = decoder_of(model)
    given: list[torch.Tensor] = []

    def keep(_decoder: nn.Module, inputs: tuple[Any, ...], words: dict[str, Any]) -> Any:
        states = words["inputs_embeds"]
        given[:] = [states]
        narrow = decoder.embed_tokens.weight.shape[-1]
        if narrow != states.shape[-1]:
            words = words | {"inputs_embeds": states.new_zeros(*states.shape[:-1], narrow)}
        return inputs, words

    def enter(_layer: nn.Module, inputs: tuple[Any, ...], words: dict[str, Any]) -> Any:
        if inputs:
            return (given[0], *inputs[1:]), words
        return inputs, words | {"hidden_states": given[0]}

    layers, types = decoder.layers, getattr(decoder.config, "layer_types", None)
    decoder.layers = nn.ModuleList(list(layers)[-top_layers:])
    if types:
        decoder.config.layer_types = list(types)[-top_layers:]
    handles = [
        decoder.register_forward_pre_hook(keep, with_kwargs=True),
        decoder.layers[0].register_forward_pre_hook(enter, with_kwargs=True),
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
        decoder.layers = layers
        if types:
            decoder.config.layer_types = types
