"""Models without weights, on torch's meta device: shapes to count parameters, FLOPs and bytes by. It loads nothing."""

import copy
from typing import Any

import torch


def on_meta(kind: Any, config: Any, dtype: torch.dtype = torch.float32) -> Any:
    """Return `kind` (an Auto class) made from the config, eager attention, in training mode, without memory."""
    with torch.device("meta"):
        return kind.from_config(copy.deepcopy(config), attn_implementation="eager", dtype=dtype).train()


def with_layers(config: Any, layers: int) -> Any:
    """Return the text config with its last `layers` layers only."""
    text = copy.deepcopy(config.get_text_config())
    if getattr(text, "layer_types", None):
        text.layer_types = list(text.layer_types)[text.num_hidden_layers - layers :]
    text.num_hidden_layers = layers
    return text
