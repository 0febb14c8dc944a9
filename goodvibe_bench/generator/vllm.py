"""Generate with vLLM: all prompts at once (continuous batching), completions as they are done.

Template, token ids, stops and decoding are those of the transformers generator, and every sample has a seed of its
own. What differs is arithmetic: in 16 bits a token can hang on the rows that are computed beside it, and which those
are follows from what is still to be done. So greedy answers agree with transformers, and with those of a run that was
resumed, up to near ties; `goodvibe-bench doctor backends` counts how far that goes.
"""

import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from goodvibe_bench.engine import Engine
from goodvibe_bench.engine.process import Ask, Served, running
from goodvibe_bench.errors import UsageError
from goodvibe_bench.generator.sampling import Sampling, hash_seed
from goodvibe_bench.generator.tokens import Sample, completion, render
from goodvibe_bench.model.chat import stop_ids
from goodvibe_bench.model.load import OnDisk, best_device
from goodvibe_bench.types import Completion, Prompt


@dataclass(frozen=True)
class VllmGenerator:
    """A generator on a model's folder, or on an adapter over it."""

    model: OnDisk
    sampling: Sampling = field(default_factory=Sampling)
    kept: Collection[tuple[str, int]] = frozenset()
    """Prompt ids and attempts that are there already and not drawn again."""
    dtype: str = "bfloat16"
    engine: Engine = field(default_factory=Engine)
    trust_remote_code: bool = False
    adapter: Path | None = None
    """Folder of the LoRA adapter that answers; the model itself when None."""
    lora_rank: int = 0
    """The largest rank of the adapters that the engine shall be able to serve, this one or others after it."""

    def generate(self, prompts: Sequence[Prompt]) -> Iterator[Completion]:
        """Yield `sampling.attempts` completions for each prompt, less those kept, as they are done.

        A completion's seconds are those by which it came later than the one before, so that their sum is what all of
        them took. Raises UsageError for prompts that the settings leave no room for, RunError when the engine ends.
        """
        samples = [(prompt, attempt) for prompt in prompts for attempt in range(self.sampling.attempts)]
        samples = [(prompt, attempt) for prompt, attempt in samples if (prompt.id, attempt) not in self.kept]
        if not samples:
            return
        stops = stop_ids(self.model.tokenizer, self.model.generation_config)
        asks = [self._ask(sample, tuple(stops)) for sample in samples]
        engine = running(self._served(samples, asks))
        last = time.monotonic()
        for answer in engine.answers(asks):
            now = time.monotonic()
            sample, seconds, last = samples[answer.place], now - last, now
            if answer.error is None:
                yield completion(self.model.tokenizer, sample, answer.ids, stops, seconds)
            else:
                yield _failed(sample, answer.error)

    def _ask(self, sample: Sample, stops: tuple[int, ...]) -> Ask:
        prompt, attempt = sample
        return Ask(
            ids=render(self.model.tokenizer, prompt, self.sampling),
            max_tokens=self.sampling.max_new_tokens,
            temperature=self.sampling.temperature,
            top_p=self.sampling.top_p,
            seed=hash_seed(self.sampling.seed, prompt.id, attempt),
            stops=stops,
            repetition_penalty=self.model.generation_config.repetition_penalty or 1.0,
            adapter=self.adapter,
        )

    def _served(self, samples: Sequence[Sample], asks: Sequence[Ask]) -> Served:
        """Return what the engine has to serve. Raises UsageError where the settings leave no room for a prompt."""
        place = max(range(len(asks)), key=lambda place: len(asks[place].ids))
        longest = len(asks[place].ids) + self.sampling.max_new_tokens
        room = self.engine.max_model_len
        if room is not None and longest > room:
            raise UsageError(
                f"max_model_len={room} is too short: prompt {samples[place][0].id!r} has {len(asks[place].ids)} tokens "
                f"and its answer may have {self.sampling.max_new_tokens}. Use max_model_len={longest}, or leave it out."
            )
        served = Served(
            folder=self.model.folder,
            dtype=self.dtype,
            settings=self.engine,
            longest=longest,
            on_cpu=best_device().type == "cpu",
            lora_rank=self.lora_rank,
            trust_remote_code=self.trust_remote_code,
        )
        return served.rounded(self.model.longest)


def _failed(sample: Sample, why: str) -> Completion:
    prompt, attempt = sample
    return Completion(prompt_id=prompt.id, attempt=attempt, text="", stop="error", tokens=0, seconds=0.0, error=why)
