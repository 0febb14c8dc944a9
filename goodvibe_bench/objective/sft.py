"""Supervised fine-tuning on the secure answer; the loss counts its tokens only (section 4.2).

The answer is the code in a fence that names its language, as chat models write it, and the end of the turn.
It does not see the insecure side.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from goodvibe_bench.model import chat
from goodvibe_bench.objective.cross_entropy import IGNORED, summed_cross_entropy
from goodvibe_bench.types import Pair


@dataclass
class SftObjective:
    """Next-token cross-entropy over the answer, given the prompt through the chat template."""

    tokenizer: PreTrainedTokenizerBase
    max_length: int = 1024

    def examples(self, data: Sequence[Pair]) -> list[dict[str, Any]]:
        """Return one example a pair, its ids and the answer's length in tokens; those over max_length are left out."""
        rows = [self._example(pair) for pair in data]
        return [row for row in rows if len(row["input_ids"]) <= self.max_length]

    def _example(self, pair: Pair) -> dict[str, Any]:
        prompt = chat.render(self.tokenizer, pair.prompt)
        text = f"```{pair.language}\n{pair.secure.strip()}\n```"
        answer = list(self.tokenizer(text, add_special_tokens=False)["input_ids"])
        answer.append(chat.end_of_turn(self.tokenizer))
        return {"input_ids": prompt + answer, "answer_length": len(answer)}

    def collate(self, rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        """Return a left-padded batch with labels, so that all answers end at the right edge.

        Rows with hidden states [tokens, hidden] (trainer/top.py) are run from those instead of from their ids.
        """
        pad = int(self.tokenizer.pad_token_id)  # type: ignore[arg-type]
        ids, mask, positions = chat.pad_left([row["input_ids"] for row in rows], pad)
        labels = torch.full_like(ids, IGNORED)
        for index, row in enumerate(rows):
            labels[index, -row["answer_length"] :] = ids[index, -row["answer_length"] :]
        batch = {"input_ids": ids, "attention_mask": mask, "position_ids": positions, "labels": labels}
        if "hidden" in rows[0]:
            batch["inputs_embeds"] = _padded([row["hidden"] for row in rows], ids.shape[1])
        return batch

    def loss(self, model: PreTrainedModel, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        """Return the sum of the token losses; logits are formed for the answers' span only."""
        labels, span = batch["labels"], self.kept(batch)
        length = labels.shape[1]
        start = "inputs_embeds" if "inputs_embeds" in batch else "input_ids"
        output = model(
            **{start: batch[start]},
            attention_mask=batch["attention_mask"],
            position_ids=batch["position_ids"],
            logits_to_keep=torch.arange(length - span - 1, length - 1, device=labels.device),
            use_cache=False,
        )
        return summed_cross_entropy(output.logits, labels[:, -span:])

    @torch.no_grad()
    def mean_loss(self, model: PreTrainedModel, data: Sequence[Pair], batch_size: int = 4) -> float:
        """Return the mean cross-entropy of a token over the secure answers of `data`, in nats; it trains nothing.

        Raises ValueError where no answer is within max_length.
        """
        total = weight = 0.0
        examples = sorted(self.examples(data), key=lambda row: len(row["input_ids"]))
        if not examples:
            raise ValueError("a mean loss over nothing")
        for start in range(0, len(examples), batch_size):
            batch = self.collate(examples[start : start + batch_size])
            batch = {key: value.to(model.device) for key, value in batch.items()}
            total += float(self.loss(model, batch))
            weight += self.weight(batch)
        return total / weight

    def kept(self, batch: dict[str, torch.Tensor]) -> int:
        """Return for how many positions logits are formed: those before the longest answer's tokens; 1 at least."""
        answered = (batch["labels"] != IGNORED).any(0)
        return int(answered.flip(0).nonzero().max()) + 1 if answered.any() else 1

    def weight(self, batch: dict[str, torch.Tensor]) -> int:
        """Return how many losses the sum holds: one a token of an answer."""
        return int((batch["labels"] != IGNORED).sum())


def _padded(states: list[torch.Tensor], length: int) -> torch.Tensor:
    """Return states [tokens, hidden] of each row left-padded with zeros to [rows, length, hidden]."""
    return torch.stack([torch.nn.functional.pad(state, (0, 0, length - len(state), 0)) for state in states])
