"""The model judge: p_unsafe is the softmax of the logits of "0" and "1", one prefill, no decoding (section 4.3).

It trains nothing (fit.py's recipe goes through the trainer) and chooses no threshold (calibrate.py does).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from goodvibe_bench.judge.decide import decide
from goodvibe_bench.model.chat import pad_left
from goodvibe_bench.model.load import Loaded
from goodvibe_bench.objective.verdict import choice_ids, choice_logits, encode
from goodvibe_bench.types import Code, Language, Verdict


@dataclass
class ModelJudge:
    """A judge on a loaded model, with a threshold for each language."""

    name: str
    loaded: Loaded
    thresholds: dict[Language, float]
    max_code_tokens: int = 512
    tokens_per_batch: int = 4096
    progress: Callable[[int], None] = lambda done: None

    def judge(self, codes: Sequence[Code]) -> list[Verdict]:
        """Return one verdict for each code, in order; 0.5 is the threshold of a language without calibration."""
        found = probabilities(
            self.loaded, [code.text for code in codes], self.max_code_tokens, self.tokens_per_batch, self.progress
        )
        return [
            decide(self.name, code, p_unsafe, self.thresholds.get(code.language, 0.5))
            for code, p_unsafe in zip(codes, found, strict=True)
        ]


@torch.inference_mode()
def probabilities(
    loaded: Loaded,
    texts: Sequence[str],
    max_code_tokens: int,
    tokens_per_batch: int = 4096,
    progress: Callable[[int], None] = lambda done: None,
) -> list[float]:
    """Return p_unsafe in [0, 1] for each text, in order: float32 softmax, batched by length."""
    choices = choice_ids(loaded.tokenizer)
    rows = [encode(loaded.tokenizer, text, max_code_tokens) for text in texts]
    order = sorted(range(len(rows)), key=lambda place: len(rows[place]))
    found = [float("nan")] * len(rows)
    while order:
        size = 1
        while size < len(order) and len(rows[order[size]]) * (size + 1) <= tokens_per_batch:
            size += 1
        places, order = order[:size], order[size:]
        pad = int(loaded.tokenizer.pad_token_id)  # type: ignore[arg-type]
        ids, mask, positions = pad_left([rows[place] for place in places], pad, loaded.device)
        batch = {"input_ids": ids, "attention_mask": mask, "position_ids": positions}
        unsafe = choice_logits(loaded.model, batch, choices).softmax(-1)[:, 1].tolist()
        for place, p_unsafe in zip(places, unsafe, strict=True):
            found[place] = float(p_unsafe)
        progress(len(places))
    return found
