"""Generators without a model: `scripted` answers from a function, `recorded` replays completions.

They are for tests, for judging samples made elsewhere, and for benchmarking judges on labelled code.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from goodvibe_bench.types import Completion, Prompt


@dataclass(frozen=True)
class ScriptedGenerator:
    """Answers every prompt with `script(prompt)`."""

    script: Callable[[Prompt], str]

    def generate(self, prompts: Sequence[Prompt]) -> Iterator[Completion]:
        """Yield one completion a prompt, in order."""
        for prompt in prompts:
            text = self.script(prompt)
            yield Completion(prompt_id=prompt.id, text=text, stop="end", tokens=len(text.split()), seconds=0.0)


@dataclass(frozen=True)
class RecordedGenerator:
    """Replays completions by prompt id."""

    completions: Sequence[Completion]

    def generate(self, prompts: Sequence[Prompt]) -> Iterator[Completion]:
        """Yield what was recorded for each prompt; a prompt without a record yields one that failed."""
        recorded: dict[str, list[Completion]] = {}
        for completion in self.completions:
            recorded.setdefault(completion.prompt_id, []).append(completion)
        for prompt in prompts:
            missing = Completion(prompt_id=prompt.id, text="", stop="error", tokens=0, seconds=0.0)
            yield from recorded.get(prompt.id, [missing])
