"""Cross-entropy over a large vocabulary in little memory: the gradient is formed chunk by chunk in the forward pass.

The plain path keeps three float32 matrices [tokens, vocabulary]; this one keeps one in the logits' own dtype. It
averages nothing.
"""

from typing import Any, cast

import torch

IGNORED = -100
"""Label of a position that has no loss."""
CHUNK = 2**22
"""Scores turned into probabilities at once: 16 MiB in float32, which a processor's cache holds."""


def summed_cross_entropy(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return the float32 sum of -log softmax(logits)[label] over positions whose label is not IGNORED.

    `logits` are [..., vocabulary], `labels` int64 [...]. The softmax is float32 whatever the logits' dtype.
    """
    flat = logits.reshape(-1, logits.shape[-1])
    return cast(torch.Tensor, _SummedCrossEntropy.apply(flat, labels.reshape(-1), torch.is_grad_enabled()))


class _SummedCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: torch.Tensor, labels: torch.Tensor, backward: bool) -> torch.Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        wanted = (labels != IGNORED).nonzero().flatten()
        gradient = torch.zeros_like(logits) if backward else None
        total = torch.zeros((), device=logits.device)
        for places in wanted.split(max(1, CHUNK // logits.shape[-1])):
            scores, targets = logits[places].float(), labels[places].unsqueeze(-1)
            log_sum = scores.logsumexp(-1, keepdim=True)
            total += (log_sum - scores.gather(-1, targets)).sum()
            if gradient is not None:
                probabilities = scores.sub_(log_sum).exp_()
                probabilities.scatter_add_(-1, targets, torch.full_like(log_sum, -1.0))
                gradient[places] = probabilities.to(gradient.dtype)
        ctx.save_for_backward(gradient)
        return total

    @staticmethod
    def backward(ctx: Any, outer: torch.Tensor) -> tuple[torch.Tensor, None, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        (gradient,) = ctx.saved_tensors
        return gradient * outer.to(gradient.dtype), None, None
