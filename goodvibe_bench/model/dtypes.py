"""What dtype every part of a model is kept in: rotary frequencies are float32 in a bfloat16 model."""

from collections.abc import Iterator, Mapping
from itertools import chain

import torch
from torch import nn


def of(model: nn.Module) -> dict[str, torch.dtype]:
    """Return the dtype of every weight and buffer by its name, of shared ones once."""
    return {name: part.dtype for name, part in _parts(model)}


def restore(model: nn.Module, kept: Mapping[str, torch.dtype]) -> None:
    """Put every weight and buffer back into the dtype that `of` found; what it did not find stays as it is."""
    for name, part in _parts(model):
        part.data = part.data.to(kept.get(name, part.dtype))


def _parts(model: nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    return chain(model.named_parameters(), model.named_buffers())
