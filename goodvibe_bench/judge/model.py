"""The model judge: p_unsafe is the softmax of the logits of "0" and "1", one prefill, no decoding (section 4.3).

Unless it is told to read all, it is shown the code without comments and in one layout (completion/bare.py): neither
can then flip a verdict, and an order to the judge cannot hide in a comment.

It trains nothing (fit.py's recipe goes through the trainer) and chooses no threshold (calibrate.py does).

A score depends on its code alone, not on the codes beside it, their order or their number. In bfloat16 that takes care,
since p_unsafe near 1/2 moves by 1/100 when kernels round otherwise:
- What all questions begin with is computed once; where it ends is decided by the tokenizer, not by a call's codes.
- Attention kernels cut the work by length and then round otherwise, so the length that a row is padded to follows
  from its own length, and only rows of one padded length make a batch. Padding is on the right, where no real token
  looks. On a CPU the matrix products give a row the same bits whatever the number of rows; an accelerator picks its
  kernel by shape, so there every batch of one length is filled up to one number of rows.
- The two logits are formed in float32: in bfloat16 a logit of 8 to 16 comes in steps of 1/16, p_unsafe of 1/64.
Scores are not rounded to a grid: that would move the places where a verdict can flip, not remove them.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import torch
from transformers.cache_utils import DynamicCache, DynamicLayer

from goodvibe_bench.judge.decide import decide_all
from goodvibe_bench.model.chat import pad_left
from goodvibe_bench.model.halving import Halving
from goodvibe_bench.model.load import Loaded
from goodvibe_bench.objective.verdict import choice_ids, choice_logits, encode_all
from goodvibe_bench.types import Code, Verdict

TOKENS_PER_BATCH = 4096
PLAIN_HEADS = frozenset({"gemma", "llama", "mistral", "olmo2", "phi3", "qwen2", "qwen3", "smollm3"})
"""Architectures whose logits are the last hidden state times the output embedding: no cap, no scale. Any other is
asked through its own head, question by question in full."""
_PROBES = ("", "x", " ", "\n", "#", "//", "{", "0", "é")
_LEAST_SHARED = 16
_CPU_STEP, _ACCELERATOR_STEP = 16, 32
"""Lengths are padded to multiples of these."""


@dataclass
class ModelJudge:
    """A judge on a loaded model; its own threshold is 0.5."""

    name: str
    loaded: Loaded
    max_code_tokens: int = 512
    bare: bool = True
    """Whether it reads code without comments and in one layout."""
    tokens_per_batch: int = TOKENS_PER_BATCH
    progress: Callable[[int], None] = lambda done: None
    kept: Callable[[Sequence[str]], list[float]] | None = None
    """Where scores come from instead of `ask`, such as a cache before it (cache.py)."""

    def judge(self, codes: Sequence[Code]) -> list[Verdict]:
        """Return one verdict for each code, in order."""
        return decide_all(self.name, codes, self.kept or self.ask, plain=self.bare)

    def ask(self, texts: Sequence[str]) -> list[float]:
        """Return p_unsafe in [0, 1] for each text, in order, as the model gives it now."""
        return self.scorer.probabilities(texts, self.progress)

    @cached_property
    def scorer(self) -> "Scorer":
        """The scorer on this model; it keeps what all questions share, so the weights must not change after it."""
        return Scorer(self.loaded, self.max_code_tokens, self.tokens_per_batch)


def probabilities(
    loaded: Loaded,
    texts: Sequence[str],
    max_code_tokens: int,
    tokens_per_batch: int = TOKENS_PER_BATCH,
    progress: Callable[[int], None] = lambda done: None,
) -> list[float]:
    """Return p_unsafe in [0, 1] for each text, in order, by the model as it is now."""
    return Scorer(loaded, max_code_tokens, tokens_per_batch).probabilities(texts, progress)


@dataclass(frozen=True)
class _Question:
    """The token ids of one code's question that are still to be computed, and the codes it answers."""

    ids: list[int]
    places: list[int]


@dataclass
class _Shared:
    """What all questions begin with: token ids, and per layer keys and values [1, heads, ids, width]."""

    ids: list[int]
    layers: list[tuple[torch.Tensor, torch.Tensor]]

    def cache(self, rows: int) -> DynamicCache:
        """Return a cache that holds the shared part for each of `rows` questions."""
        return DynamicCache(
            ddp_cache_data=[(k.expand(rows, -1, -1, -1), v.expand(rows, -1, -1, -1)) for k, v in self.layers]
        )


class Scorer:
    """Scores codes by one model, whose weights must not change meanwhile."""

    def __init__(
        self,
        loaded: Loaded,
        max_code_tokens: int,
        tokens_per_batch: int = TOKENS_PER_BATCH,
        *,
        reuse_prefix: bool = True,
        fill: bool | None = None,
    ) -> None:
        """Prepare to ask `loaded`; `fill` fills batches up to one number of rows: on accelerators when None."""
        self.loaded, self.max_code_tokens, self.tokens_per_batch = loaded, max_code_tokens, tokens_per_batch
        self.fill = loaded.device.type != "cpu" if fill is None else fill
        self.halving = Halving("judging")
        self.choices = choice_ids(loaded.tokenizer)
        model: Any = loaded.model
        self.plain = model.config.model_type in PLAIN_HEADS and isinstance(model.lm_head, torch.nn.Linear)
        self.shared = _shared(loaded, max_code_tokens) if self.plain and reuse_prefix else None

    @torch.inference_mode()
    def probabilities(self, texts: Sequence[str], progress: Callable[[int], None] = lambda done: None) -> list[float]:
        """Return p_unsafe in [0, 1] for each text, in order; equal texts are asked about once.

        `progress` is called with the number of texts that each batch has answered.
        """
        places: dict[str, list[int]] = {}
        for place, text in enumerate(texts):
            places.setdefault(text, []).append(place)
        asked = encode_all(self.loaded.tokenizer, list(places), self.max_code_tokens)
        questions = [_Question(ids, where) for ids, where in zip(asked, places.values(), strict=True)]
        found = [float("nan")] * len(texts)
        for batch, scores in self._answers(questions):
            for question, p_unsafe in zip(batch, scores, strict=True):
                for place in question.places:
                    found[place] = p_unsafe
            progress(sum(len(question.places) for question in batch))
        return found

    def _answers(self, questions: list[_Question]) -> Iterator[tuple[list[_Question], list[float]]]:
        """Yield batches with their scores: first the questions with the shared beginning, then any others."""
        if not self.plain:
            for batch, _ in self._batches(questions, step=1):
                yield batch, self._fitting(batch, self._by_own_head)
            return
        short, whole = [], []
        for question in questions:
            size = len(self.shared.ids) if self.shared else 0
            begins = self.shared is not None and question.ids[:size] == self.shared.ids and len(question.ids) > size
            (short if begins else whole).append(_Question(question.ids[size:], question.places) if begins else question)
        step = _ACCELERATOR_STEP if self.fill else _CPU_STEP
        for shared, group in ((self.shared, short), (None, whole)):
            for batch, length in self._batches(group, step):
                count = max(1, self.tokens_per_batch // length)
                yield batch, self._fitting(batch, partial(self._filled, length=length, count=count, shared=shared))

    def _fitting(self, batch: list[_Question], score: Callable[[Sequence[list[int]]], list[float]]) -> list[float]:
        """Return the scores of a batch, asked in halves where memory does not hold it."""
        return self.halving.run([question.ids for question in batch], score)

    def _filled(self, rows: Sequence[list[int]], length: int, count: int, shared: _Shared | None) -> list[float]:
        """Return p_unsafe of each row; where batches are filled up, to `count` rows or to as many as fit."""
        count = min(count, self.halving.limit or count) if self.fill else len(rows)
        return self._by_two_rows(list(rows), length, count, shared)

    def _batches(self, questions: list[_Question], step: int) -> Iterator[tuple[list[_Question], int]]:
        """Yield batches of questions of one length, rounded up to a multiple of `step`, with that length."""
        groups: dict[int, list[_Question]] = {}
        for question in questions:
            groups.setdefault(-(-len(question.ids) // step) * step, []).append(question)
        for length, group in sorted(groups.items()):
            size = max(1, self.tokens_per_batch // length)
            for start in range(0, len(group), size):
                yield group[start : start + size], length

    def _by_two_rows(self, rows: list[list[int]], length: int, count: int, shared: _Shared | None) -> list[float]:
        """Return p_unsafe of each row by two rows of the output embedding, padded to [count, length] on the right.

        Attention looks back only, so what follows a row's last token changes nothing and needs no mask.
        """
        pad = int(self.loaded.tokenizer.pad_token_id)  # type: ignore[arg-type]
        filled = rows + [rows[0]] * (count - len(rows))
        ids = torch.tensor([row + [pad] * (length - len(row)) for row in filled], device=self.loaded.device)
        last = torch.tensor([len(row) - 1 for row in filled], device=self.loaded.device)
        model: Any = self.loaded.model
        cache = shared.cache(count) if shared else None
        hidden = model.base_model(input_ids=ids, past_key_values=cache, use_cache=cache is not None).last_hidden_state
        asked = hidden[torch.arange(count, device=ids.device), last].float()
        weight = model.lm_head.weight[list(self.choices)].float()
        logits = (asked[:, None] * weight).sum(-1)  # no matrix product: its order of summing depends on the rows
        if model.lm_head.bias is not None:
            logits = logits + model.lm_head.bias[list(self.choices)].float()
        return logits.softmax(-1)[: len(rows), 1].tolist()

    def _by_own_head(self, rows: Sequence[list[int]]) -> list[float]:
        """Return p_unsafe of each row by the model's own logits, padded on the left."""
        pad = int(self.loaded.tokenizer.pad_token_id)  # type: ignore[arg-type]
        ids, mask, positions = pad_left(list(rows), pad, self.loaded.device)
        batch = {"input_ids": ids, "attention_mask": mask, "position_ids": positions}
        return choice_logits(self.loaded.model, batch, self.choices).softmax(-1)[:, 1].tolist()


@torch.inference_mode()
def _shared(loaded: Loaded, max_code_tokens: int) -> _Shared | None:
    """Return what all questions begin with, or None where it is short or some layer keeps more than keys and values.

    It is what the questions about a few codes share that begin differently, and so the same in every call: a token
    that merges with the code's first character is not part of it. Layers with a sliding window take no shared part.
    """
    first, *others = encode_all(loaded.tokenizer, _PROBES, max_code_tokens)
    size = 0
    while all(row[: size + 1] == first[: size + 1] for row in others) and size < min(map(len, [first, *others])) - 1:
        size += 1
    cache = DynamicCache(config=loaded.model.config)
    if size < _LEAST_SHARED or any(type(layer) is not DynamicLayer for layer in cache.layers):
        return None
    model: Any = loaded.model
    model.base_model(
        input_ids=torch.tensor([first[:size]], device=loaded.device), past_key_values=cache, use_cache=True
    )
    layers: list[Any] = list(cache.layers)
    return _Shared(first[:size], [(layer.keys, layer.values) for layer in layers])
