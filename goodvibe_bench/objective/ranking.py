"""The security question asked about both sides of a pair at once: each must be labelled rightly, and their order too.

Both sides of a minimal pair share their style, so what tells them apart is the weakness. It trains judges only;
judging asks about one snippet at a time (verdict.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import PreTrainedModel

from goodvibe_bench.objective.verdict import VerdictObjective, choice_logits
from goodvibe_bench.types import Labelled


@dataclass
class RankingObjective:
    """Cross-entropy of each snippet's two-way choice, and the logistic loss of the order within each family.

    With s = logit("1") - logit("0"), a family with an unsafe side u and a safe side v adds
    weight * log(1 + exp(s_v - s_u)), as in RankNet (Burges et al. 2005).
    """

    verdict: VerdictObjective
    rank_weight: float = 1.0

    def examples(self, data: Sequence[Labelled]) -> list[dict[str, Any]]:
        """Return one example a family: its snippets' token ids and labels; `input_ids` is the longest of them."""
        families: dict[str, list[Labelled]] = {}
        for item in data:
            families.setdefault(item.family, []).append(item)
        found = []
        for members in families.values():
            rows = self.verdict.examples(members)
            longest = max(rows, key=lambda row: len(row["input_ids"]))
            found.append({"input_ids": longest["input_ids"], "snippets": rows})
        return found

    def collate(self, rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        """Return the snippets of all families as one left-padded batch; `family` numbers each row's."""
        batch = self.verdict.collate([snippet for row in rows for snippet in row["snippets"]])
        family = [number for number, row in enumerate(rows) for _ in row["snippets"]]
        return batch | {"family": torch.tensor(family)}

    def loss(self, model: PreTrainedModel, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        """Return the sum over snippets of their choice's loss, and over families of their order's."""
        logits = choice_logits(model, batch, self.verdict.choices)
        labels, score = batch["labels"], logits[:, 1] - logits[:, 0]
        unsafe, safe = labels == 1, labels == 0
        pairs = (batch["family"][unsafe, None] == batch["family"][None, safe]).nonzero(as_tuple=True)
        order = torch.nn.functional.softplus(score[safe][pairs[1]] - score[unsafe][pairs[0]]).sum()
        return torch.nn.functional.cross_entropy(logits, labels, reduction="sum") + self.rank_weight * order

    def kept(self, batch: dict[str, torch.Tensor]) -> int:
        """Return for how many of the last positions logits are formed: the last one."""
        return 1

    def weight(self, batch: dict[str, torch.Tensor]) -> int:
        """Return how many losses the sum holds: one a snippet (those of order come on top)."""
        return len(batch["labels"])
