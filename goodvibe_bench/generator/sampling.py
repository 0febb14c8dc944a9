"""How completions are drawn. No torch in here."""

import hashlib

from pydantic import Field

from goodvibe_bench.types import Noun


class Sampling(Noun):
    """Decoding settings; all of them decide the output, so all of them are in a run's digest."""

    max_new_tokens: int = Field(default=512, ge=1)
    temperature: float = Field(default=0.0, ge=0)
    """0 is greedy, the default: the paper does not state its decoding."""
    top_p: float = Field(default=1.0, gt=0, le=1)
    attempts: int = Field(default=1, ge=1)
    """Samples a prompt (--n_samples)."""
    batch_size: int = Field(default=16, ge=1)
    seed: int = 0
    thinking: bool = False
    """Whether a template that can think may."""
    system: str | None = None


def hash_seed(seed: int, prompt_id: str, attempt: int) -> int:
    """Return a seed of 56 bits that depends on the run's seed and on this one sample alone."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{prompt_id}/{attempt}".encode()).digest()[:7], "big")
