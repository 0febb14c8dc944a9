"""Rows without a label fill a process' batch: they add no loss and no gradient in any objective."""

from typing import Any

import pytest
import torch

from goodvibe_bench.model.load import Loaded
from goodvibe_bench.objective.cross_entropy import IGNORED
from goodvibe_bench.objective.ranking import RankingObjective
from goodvibe_bench.objective.sft import SftObjective
from goodvibe_bench.objective.verdict import VerdictObjective
from goodvibe_bench.types import Labelled, Pair


def _batches(kind: str, loaded: Loaded, pairs: list[Pair], snippets: list[Labelled]) -> tuple[Any, Any, Any]:
    """Return an objective, a batch of one example, and one of two of which the second has no label."""
    verdict = VerdictObjective(loaded.tokenizer)
    objective: Any = {"sft": SftObjective(loaded.tokenizer), "verdict": verdict, "ranking": RankingObjective(verdict)}
    objective = objective[kind]
    rows = objective.examples(pairs[:2] if kind == "sft" else snippets[:4])[:2]
    filled = objective.collate(rows)
    filled["labels"][1] = IGNORED
    return objective, objective.collate(rows[:1]), filled


@pytest.mark.parametrize("kind", ["sft", "verdict", "ranking"])
def test_a_row_without_a_label_adds_nothing(loaded: Loaded, pairs: list[Pair], snippets: list[Labelled], kind: str):
    objective, alone, filled = _batches(kind, loaded, pairs, snippets)
    assert objective.weight(alone) == objective.weight(filled)
    assert torch.allclose(objective.loss(loaded.model, alone), objective.loss(loaded.model, filled), rtol=1e-4)


@pytest.mark.parametrize("kind", ["sft", "verdict", "ranking"])
def test_a_batch_without_any_label_has_no_loss_and_no_gradient(
    loaded: Loaded, pairs: list[Pair], snippets: list[Labelled], kind: str
):
    objective, _, filled = _batches(kind, loaded, pairs, snippets)
    filled["labels"][:] = IGNORED
    assert (objective.weight(filled), objective.kept(filled) >= 1) == (0, True)
    loaded.model.requires_grad_(True)
    loss = objective.loss(loaded.model, filled)
    loss.backward()
    assert float(loss.detach()) == 0
    assert all(weight.grad is None or not weight.grad.any() for weight in loaded.model.parameters())
