"""A judge without a model: code that contains a listed word is unsafe. A double for tests, never for results."""

from collections.abc import Sequence
from dataclasses import dataclass

from goodvibe_bench.judge.decide import decide
from goodvibe_bench.types import Code, Verdict


@dataclass(frozen=True)
class ScriptedJudge:
    """Calls code unsafe (probability 1) that contains one of `unsafe_words`."""

    name: str
    unsafe_words: tuple[str, ...]

    def judge(self, codes: Sequence[Code]) -> list[Verdict]:
        """Return one verdict for each code, in order."""
        unsafe = [any(word in code.text for word in self.unsafe_words) for code in codes]
        return [decide(self.name, code, float(found), 0.5) for code, found in zip(codes, unsafe, strict=True)]
