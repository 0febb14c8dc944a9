"""The security question asked about all sides of a family at once: each must be labelled rightly, and their order too.

The sides of a minimal pair or a contrast set share their style, so what tells them apart is the weakness. It trains
judges only; judging asks about one snippet at a time (verdict.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import PreTrainedModel

from goodvibe_bench.objective.cross_entropy import IGNORED
from goodvibe_bench.objective.verdict import VerdictObjective
from goodvibe_bench.types import Labelled

_CODE = ("input_ids", "position_ids", "segment", "shared")


@dataclass
class RankingObjective:
    """Cross-entropy of each snippet's two-way choice, and the logistic loss of the order within each family.

    With s = logit("1") - logit("0"), every unsafe side u and safe side v of a family add
    weight * log(1 + exp(s_v - s_u)), as in RankNet (Burges et al. 2005).

    A family is one row. Its first snippet stands there whole, of each further one only what follows the beginning that
    it shares with the first: those tokens see that beginning and one another, at the positions that they would have
    alone. The losses are the same as of snippets in rows of their own, at about half the tokens. A family beyond
    `longest` tokens is several rows, each with its first snippet.
    """

    verdict: VerdictObjective
    rank_weight: float = 1.0
    longest: int = 1024

    def examples(self, data: Sequence[Labelled]) -> list[dict[str, Any]]:
        """Return one example a family or part of one, whose `ends` are the places of each snippet's last token."""
        families: dict[str, list[Labelled]] = {}
        for item in data:
            families.setdefault(item.family, []).append(item)
        parts = (part for members in families.values() for part in self._parts(self.verdict.examples(members)))
        return [_packed(part) for part in parts]

    def _parts(self, snippets: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
        """Return a family's snippets in parts of at most `longest` tokens where one snippet and the first allow it."""
        first, *others = snippets
        parts, room = [[first]], self.longest - len(first["input_ids"])
        for other in others:
            own = len(other["input_ids"]) - _same(first["input_ids"], other["input_ids"])
            if own > room and len(parts[-1]) > 1:
                parts.append([first])
                room = self.longest - len(first["input_ids"])
            parts[-1].append(other)
            room -= own
        return parts

    def collate(self, rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        """Return the families as right-padded rows: tokens [rows, longest], ends and labels [rows, most snippets]."""
        pad = int(self.verdict.tokenizer.pad_token_id)  # type: ignore[arg-type]
        batch = {name: _padded([row[name] for row in rows], pad if name == "input_ids" else 0) for name in _CODE}
        batch["attention_mask"] = _padded([[1] * len(row["input_ids"]) for row in rows], 0)
        batch["ends"] = _padded([row["ends"] for row in rows], 0)
        batch["labels"] = _padded([row["labels"] for row in rows], IGNORED)
        return batch

    def loss(self, model: PreTrainedModel, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        """Return the sum over snippets of their choice's loss, and over families of their orders'."""
        logits, labels = self._logits(model, batch), batch["labels"]
        choice = torch.nn.functional.cross_entropy(
            logits.flatten(0, 1), labels.flatten(), ignore_index=IGNORED, reduction="sum"
        )
        score = logits[..., 1] - logits[..., 0]
        ordered = (labels == 1)[:, :, None] & (labels == 0)[:, None, :]
        order = torch.nn.functional.softplus(score[:, None, :] - score[:, :, None])[ordered].sum()
        return choice + self.rank_weight * order

    def kept(self, batch: dict[str, torch.Tensor]) -> int:
        """Return for how many positions of each row logits are formed."""
        return len(batch["ends"].unique())

    def weight(self, batch: dict[str, torch.Tensor]) -> int:
        """Return how many losses the sum holds: one a snippet (those of order come on top)."""
        return int((batch["labels"] != IGNORED).sum())

    def _logits(self, model: PreTrainedModel, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        """Return the float32 logits of "0" and "1" after each snippet, [rows, most snippets, 2]."""
        places = batch["ends"].unique()
        output = model(
            input_ids=batch["input_ids"],
            attention_mask=_seen(batch, next(model.parameters()).dtype),
            position_ids=batch["position_ids"],
            logits_to_keep=places,
            use_cache=False,
        )
        two = output.logits[..., list(self.verdict.choices)].float()
        at = torch.searchsorted(places, batch["ends"])
        return two.gather(1, at[..., None].expand(-1, -1, 2))


def _packed(snippets: list[dict[str, Any]]) -> dict[str, Any]:
    """Return snippets of one family as one row: each token's segment, and how much of the first one it sees."""
    first = snippets[0]["input_ids"]
    row: dict[str, Any] = {name: [] for name in (*_CODE, "ends")}
    for number, snippet in enumerate(snippets):
        ids = snippet["input_ids"]
        shared = _same(first, ids) if number else 0
        row["input_ids"] += ids[shared:]
        row["position_ids"] += range(shared, len(ids))
        row["segment"] += [number] * (len(ids) - shared)
        row["shared"] += [shared] * (len(ids) - shared)
        row["ends"].append(len(row["input_ids"]) - 1)
    return row | {"labels": [snippet["label"] for snippet in snippets]}


def _same(first: list[int], other: list[int]) -> int:
    """Return the length of the beginning that both share, short of the last token of `other`: it answers."""
    most = min(len(first), len(other) - 1)
    return next((place for place in range(most) if first[place] != other[place]), most)


def _seen(batch: dict[str, torch.Tensor], dtype: torch.dtype) -> torch.Tensor:
    """Return the additive mask [rows, 1, longest, longest]: what came before in one's own segment and what it shares.

    Padding sees its row's first segment and nothing sees padding, which stands behind all.
    """
    segment, shared, position = batch["segment"], batch["shared"], batch["position_ids"]
    length = segment.shape[1]
    before = torch.ones(length, length, dtype=torch.bool, device=segment.device).tril()
    own = (segment[:, :, None] == segment[:, None, :]) & before
    begun = (segment[:, None, :] == 0) & (position[:, None, :] < shared[:, :, None]) & before
    seen = (own | begun)[:, None]
    return torch.zeros(seen.shape, dtype=dtype, device=seen.device).masked_fill(~seen, torch.finfo(dtype).min)


def _padded(rows: list[list[int]], value: int) -> torch.Tensor:
    longest = max(map(len, rows))
    return torch.tensor([row + [value] * (longest - len(row)) for row in rows])
