"""The model judge asked through vLLM: the same token ids, and the engine's log probabilities of "0" and "1".

They are those of the whole vocabulary, but the softmax of the two needs their difference alone. Arithmetic is the
engine's: in 16 bits its logits come in steps (1/16 between 8 and 16), and a score can move in the third digit with the
questions beside it. So a digest names the engine, and scores of one never stand for those of the other.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from goodvibe_bench.engine import Engine
from goodvibe_bench.engine.process import Answer, Ask, Served, running
from goodvibe_bench.errors import RunError
from goodvibe_bench.judge.decide import decide_all
from goodvibe_bench.model.load import OnDisk, best_device
from goodvibe_bench.objective.verdict import choice_ids, encode_all
from goodvibe_bench.types import Code, Verdict

_ROUND_THE_CODE = 200
"""Tokens that instruction and template take, with room to spare; more only means that an engine starts again."""


@dataclass
class ServedJudge:
    """A judge whose weights an engine loads from a folder; its own threshold is 0.5."""

    name: str
    model: OnDisk
    max_code_tokens: int = 512
    bare: bool = True
    """Whether it reads code without comments and in one layout."""
    dtype: str = "bfloat16"
    engine: Engine = field(default_factory=Engine)
    trust_remote_code: bool = False
    progress: Callable[[int], None] = lambda done: None
    kept: Callable[[Sequence[str]], list[float]] | None = None
    """Where scores come from instead of `ask`, such as a cache before it (cache.py)."""

    def judge(self, codes: Sequence[Code]) -> list[Verdict]:
        """Return one verdict for each code, in order."""
        return decide_all(self.name, codes, self.kept or self.ask, plain=self.bare)

    def ask(self, texts: Sequence[str]) -> list[float]:
        """Return p_unsafe in [0, 1] for each text, in order; equal texts are asked about once.

        Raises RunError when the engine ends, or does not take a question.
        """
        distinct = list(dict.fromkeys(texts))
        asks = [
            Ask(ids=ids, max_tokens=1, scored=self.choices)
            for ids in encode_all(self.model.tokenizer, distinct, self.max_code_tokens)
        ]
        if not asks:
            return []
        longest = max(self.max_code_tokens + _ROUND_THE_CODE, *(len(ask.ids) + 1 for ask in asks))
        served = Served(
            folder=self.model.folder,
            dtype=self.dtype,
            settings=self.engine,
            longest=longest,
            on_cpu=best_device().type == "cpu",
            trust_remote_code=self.trust_remote_code,
        ).rounded(self.model.longest)
        found: dict[str, float] = {}
        for answer in running(served).answers(asks):
            found[distinct[answer.place]] = self._p_unsafe(answer)
            self.progress(1)
        return [found[text] for text in texts]

    @cached_property
    def choices(self) -> tuple[int, int]:
        """The token ids of "0" and "1"."""
        return choice_ids(self.model.tokenizer)

    def _p_unsafe(self, answer: Answer) -> float:
        if answer.error is not None:
            raise RunError(f"Judge {self.name}: vLLM does not take a question: {answer.error}")
        safe, unsafe = (answer.logprobs[token] for token in self.choices)
        return 1 / (1 + math.exp(min(safe - unsafe, 700.0)))
