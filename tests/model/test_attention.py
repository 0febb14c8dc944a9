from typing import Any

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from goodvibe_bench.model.attention import plain_attention

SHAPE = {"batch": 3, "heads": 6, "shared": 2, "length": 7, "head_dim": 8}


def _inputs(keys: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return query, key, value and a causal additive mask in which the first row has two padded places."""
    dice = torch.Generator().manual_seed(0)
    length = SHAPE["length"]
    query = torch.randn(SHAPE["batch"], SHAPE["heads"], length, SHAPE["head_dim"], generator=dice)
    key, value = torch.randn(2, SHAPE["batch"], SHAPE["shared"], keys, SHAPE["head_dim"], generator=dice)
    seen = torch.ones(length, keys, dtype=torch.bool).tril(keys - length).expand(SHAPE["batch"], 1, -1, -1).clone()
    seen[0, :, 2:, :2] = False
    mask = torch.zeros(seen.shape).masked_fill(~seen, torch.finfo(torch.float32).min)
    return query.requires_grad_(), key.requires_grad_(), value.requires_grad_(), mask


@pytest.mark.parametrize("keys", [7, 11], ids=["prefill", "behind a cache"])
@pytest.mark.parametrize("scaling", [None, 0.3])
def test_output_and_gradients_are_those_of_torchs_attention(keys: int, scaling: float | None):
    query, key, value, mask = _inputs(keys)
    groups = SHAPE["heads"] // SHAPE["shared"]
    wide = [part.repeat_interleave(groups, dim=1) for part in (key, value)]
    expected = scaled_dot_product_attention(query, *wide, attn_mask=mask, scale=scaling).transpose(1, 2)
    ours, nothing = plain_attention(torch.nn.Identity(), query, key, value, mask, scaling=scaling)
    assert nothing is None
    torch.testing.assert_close(ours, expected)
    weight = torch.randn(ours.shape, generator=torch.Generator().manual_seed(1))
    theirs = torch.autograd.grad((expected * weight).sum(), (query, key, value))
    found = torch.autograd.grad((ours * weight).sum(), (query, key, value))
    for one, other in zip(found, theirs, strict=True):
        torch.testing.assert_close(one, other)


def test_without_a_mask_every_key_is_seen():
    query, key, value, _ = _inputs(7)
    ours, _ = plain_attention(torch.nn.Identity(), query, key, value, None)
    nothing_hidden = torch.zeros(SHAPE["batch"], 1, SHAPE["length"], 7)
    torch.testing.assert_close(ours, plain_attention(torch.nn.Identity(), query, key, value, nothing_hidden)[0])


def test_dropout_is_for_training_only():
    query, key, value, mask = _inputs(7)
    module: Any = torch.nn.Identity().eval()
    still = plain_attention(module, query, key, value, mask, dropout=0.9)[0]
    torch.testing.assert_close(still, plain_attention(module, query, key, value, mask)[0])
    assert not torch.equal(plain_attention(module.train(), query, key, value, mask, dropout=0.9)[0], still)


def test_a_query_that_sees_nothing_is_finite_under_autocast():
    query, key, value, mask = _inputs(7)
    mask[0] = torch.finfo(torch.float32).min
    with torch.autocast("cpu", torch.bfloat16):
        output, _ = plain_attention(torch.nn.Identity(), query, key, value, mask)
    output.float().sum().backward()
    assert torch.isfinite(output).all()
    assert query.grad is not None
    assert torch.isfinite(query.grad).all()
