"""From a prompt to token ids and from token ids to a completion, the same for every backend that runs weights."""

from collections.abc import Collection, Sequence

from transformers import PreTrainedTokenizerBase

from goodvibe_bench.generator.sampling import Sampling
from goodvibe_bench.model import chat
from goodvibe_bench.types import Completion, Prompt

Sample = tuple[Prompt, int]
"""A prompt and the number of an attempt at it."""


def render(tokenizer: PreTrainedTokenizerBase, prompt: Prompt, sampling: Sampling) -> list[int]:
    """Return the token ids that a model sees for `prompt`."""
    return chat.render(tokenizer, prompt.text, system=sampling.system, thinking=sampling.thinking)


def completion(
    tokenizer: PreTrainedTokenizerBase, sample: Sample, answer: Sequence[int], stops: Collection[int], seconds: float
) -> Completion:
    """Return what the tokens of an answer say, up to the first of `stops`, which is no part of it."""
    end = next((place for place, token in enumerate(answer) if token in stops), None)
    kept = list(answer if end is None else answer[:end])
    return Completion(
        prompt_id=sample[0].id,
        attempt=sample[1],
        text=str(tokenizer.decode(kept, skip_special_tokens=True)),
        stop="length" if end is None else "end",
        tokens=len(kept),
        seconds=round(seconds, 4),
    )
