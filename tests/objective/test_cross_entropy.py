import pytest
import torch
from torch.nn import functional

from goodvibe_bench.objective import cross_entropy
from goodvibe_bench.objective.cross_entropy import IGNORED, summed_cross_entropy


@pytest.fixture(params=[1, 64, 2**22], ids=["a row at once", "two rows", "all at once"])
def chunk(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(cross_entropy, "CHUNK", request.param)
    return request.param


def _case(dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    dice = torch.Generator().manual_seed(0)
    logits = (4 * torch.randn(2, 5, 32, generator=dice)).to(dtype).requires_grad_(True)
    labels = torch.randint(32, (2, 5), generator=dice)
    labels[0, :3] = IGNORED
    return logits, labels


def _plain(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    return functional.cross_entropy(logits.float().flatten(0, 1), labels.flatten(), reduction="sum")


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.bfloat16, 1e-2)])
def test_loss_and_gradient_are_those_of_torchs_cross_entropy(chunk: int, dtype: torch.dtype, tolerance: float):
    logits, labels = _case(dtype)
    expected = _plain(logits, labels)
    (gradient,) = torch.autograd.grad(3 * expected, logits)
    ours = summed_cross_entropy(logits, labels)
    (our_gradient,) = torch.autograd.grad(3 * ours, logits)
    torch.testing.assert_close(ours, expected)
    torch.testing.assert_close(our_gradient, gradient, atol=tolerance, rtol=tolerance)
    assert our_gradient[0, :3].abs().sum() == 0


def test_its_gradient_is_that_of_finite_differences():
    logits, labels = _case(torch.float32)
    with torch.no_grad():
        moved = logits.clone()
        moved[1, 2, 7] += 1e-2
        slope = (summed_cross_entropy(moved, labels) - summed_cross_entropy(logits, labels)) / 1e-2
    (gradient,) = torch.autograd.grad(summed_cross_entropy(logits, labels), logits)
    assert float(gradient[1, 2, 7]) == pytest.approx(float(slope), abs=5e-3)


def test_large_logits_stay_finite():
    logits = torch.tensor([[1e4, -1e4]], requires_grad=True)
    loss = summed_cross_entropy(logits, torch.tensor([1]))
    loss.backward()
    assert loss.item() == pytest.approx(2e4)
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()


def test_nothing_to_learn_is_a_loss_of_zero():
    logits, labels = _case(torch.float32)
    assert summed_cross_entropy(logits, torch.full_like(labels, IGNORED)).item() == 0.0
