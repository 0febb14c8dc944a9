"""Attention as plain products, for 16-bit models on a CPU, where torch's fused kernel is slower on short sequences.

Registered with transformers under the name PLAIN. It does what "sdpa" does and chooses nothing: cpu.py does.
"""

from typing import Any

import torch
from torch.nn import functional
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import eager_mask

PLAIN = "goodvibe_plain"


def plain_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """Return softmax(q k' * scaling + mask) v, [batch, queries, heads, head_dim], for an additive mask.

    `query` is [batch, heads, queries, head_dim], `key` and `value` have fewer heads where several queries share one:
    they are not copied for each. The softmax is computed in float32 and rounded; only that is kept for the backward.
    """
    batch, heads, length, head_dim = query.shape
    shared = key.shape[1]
    scaled = query * (head_dim**-0.5 if scaling is None else scaling)
    scores = scaled.reshape(batch, shared, -1, head_dim) @ key.transpose(2, 3)
    if attention_mask is not None:
        # Under autocast the mask is float32 and the scores are not: its lowest number would be their -inf, and a padded
        # query that sees nothing would be NaN.
        lowest = torch.finfo(scores.dtype).min
        by_query = scores.view(batch, shared, heads // shared, length, -1)
        by_query += attention_mask[:, :, None, :, : key.shape[2]].clamp(min=lowest)
    chances = functional.dropout(scores.softmax(-1), dropout, training=module.training)
    mixed = (chances @ value).view(batch, heads, length, head_dim)
    return mixed.transpose(1, 2).contiguous(), None


AttentionInterface.register(PLAIN, plain_attention)
AttentionMaskInterface.register(PLAIN, eager_mask)
