"""Generate with transformers: batched, left-padded, through the model's own chat template.

It extracts no code and judges nothing. Prompts of like length share a batch, so completions come out of order.

Batches follow from the prompts alone, not from what is kept already: in 16 bits an answer's tokens hang on the rows
beside it, so a batch of which anything is missing is drawn again whole, and says what it would have said.
"""

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from transformers.generation.streamers import BaseStreamer

from goodvibe_bench.generator.sampling import Sampling, hash_seed
from goodvibe_bench.generator.tokens import Sample, completion, render
from goodvibe_bench.model import chat
from goodvibe_bench.model.cpu import quicken
from goodvibe_bench.model.halving import Halving
from goodvibe_bench.model.load import Loaded
from goodvibe_bench.types import Completion, Prompt


@dataclass
class TransformersGenerator:
    """A generator on a loaded model."""

    loaded: Loaded
    sampling: Sampling = field(default_factory=Sampling)
    kept: Collection[tuple[str, int]] = frozenset()
    """Prompt ids and attempts that are there already; a batch that holds nothing else is left out."""
    halving: Halving = field(default_factory=lambda: Halving("generation"))
    progress: Callable[[int, int], None] = lambda rows, tokens: None
    """Called with the rows of the batch and how many tokens each has by now, at every token."""

    def generate(self, prompts: Sequence[Prompt]) -> Iterator[Completion]:
        """Yield `sampling.attempts` completions for each prompt, batch by batch."""
        rendered = {prompt.id: render(self.loaded.tokenizer, prompt, self.sampling) for prompt in prompts}
        work = [(prompt, attempt) for prompt in prompts for attempt in range(self.sampling.attempts)]
        work.sort(key=lambda item: (len(rendered[item[0].id]), item[0].id, item[1]))
        for start in range(0, len(work), self.sampling.batch_size):
            batch = work[start : start + self.sampling.batch_size]
            if all((prompt.id, attempt) in self.kept for prompt, attempt in batch):
                continue
            yield from self.halving.run(batch, lambda part: self._batch(part, [rendered[one.id] for one, _ in part]))

    @torch.inference_mode()
    def _batch(self, batch: Sequence[Sample], rows: list[list[int]]) -> list[Completion]:
        model: Any = self.loaded.model
        tokenizer = self.loaded.tokenizer
        pad = int(tokenizer.pad_token_id)  # type: ignore[arg-type]
        ids, mask, _ = chat.pad_left(rows, pad, model.device)
        quicken(model, ids.shape[1] + self.sampling.max_new_tokens)
        stops = chat.stop_ids(tokenizer, model.generation_config)
        options = {"do_sample": False, "temperature": None, "top_p": None, "top_k": None}
        if self.sampling.temperature > 0:
            options = {"do_sample": True, "temperature": self.sampling.temperature, "top_p": self.sampling.top_p}
            options |= {"top_k": 0}  # else what a model's config says, or 50, would decide unseen
            first, attempt = batch[0]
            torch.manual_seed(hash_seed(self.sampling.seed, first.id, attempt))
        start = time.monotonic()
        output = model.generate(
            input_ids=ids,
            attention_mask=mask,
            max_new_tokens=self.sampling.max_new_tokens,
            eos_token_id=stops,
            pad_token_id=pad,
            streamer=_Steps(lambda tokens: self.progress(len(batch), tokens)),
            **options,
        )
        seconds = (time.monotonic() - start) / len(batch)
        answers = output[:, ids.shape[1] :].tolist()
        return [
            completion(tokenizer, sample, answer, stops, seconds) for sample, answer in zip(batch, answers, strict=True)
        ]


class _Steps(BaseStreamer):
    """Counts the tokens of a batch while they are drawn; what transformers puts first are the prompts."""

    def __init__(self, tell: Callable[[int], None]) -> None:
        self.tell = tell
        self.tokens = -1

    def put(self, value: Any) -> None:
        self.tokens += 1
        if self.tokens:
            self.tell(self.tokens)

    def end(self) -> None:
        """The last token was put."""
