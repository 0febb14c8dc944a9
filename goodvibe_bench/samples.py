"""Samples made elsewhere, put to prompts: those of tasks that are known, else prompts of the file's own. No judge.

A sample is a known prompt's where its id or its exact text says so. The prompts of a file's own make one task a
language, named after what they are and not after the file: so results over the same prompts can be compared.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from goodvibe_bench import catalog, foreign
from goodvibe_bench.foreign import Fault, Format, RowError, Sample
from goodvibe_bench.types import LANGUAGES, Completion, Language, Prompt, Task


@dataclass(frozen=True)
class Samples:
    """What a file holds: the tasks that it answers, and the answers by the task's name, in the file's order."""

    format: Format
    tasks: tuple[Task, ...]
    completions: dict[str, list[Completion]]

    def answered(self) -> dict[str, list[int]]:
        """Return of every task how many of its prompts are answered, and how many it has."""
        asked = {name: {one.prompt_id for one in found} for name, found in self.completions.items()}
        return {task.name: [len(asked[task.name]), len(task.prompts)] for task in self.tasks}


def read(path: Path, tasks: Sequence[Task], form: Format | None = None, language: Language | None = None) -> Samples:
    """Return the samples in a file; `language` is that of rows that name none.

    Raises one UsageError for all faulty lines of the file; see `foreign.read` for the others.
    """
    found, samples, faults = foreign.read(path, form)
    prompts = _Prompts(tasks, language)
    taken: dict[tuple[str, str], set[int]] = defaultdict(set)
    completions: dict[str, list[Completion]] = defaultdict(list)
    for sample in samples:
        try:
            place, prompt = prompts.asked(sample)
            completions[place].append(_completion(sample, prompt.id, taken[place, prompt.id]))
        except RowError as fault:
            faults.append(Fault(sample.line, *fault.args))
    foreign.refuse(path, faults, "sample" if found == "inspect" else "line")
    own = prompts.own_tasks()
    named = {own[place].name if place in own else place: rows for place, rows in completions.items()}
    return Samples(found, (*(task for task in tasks if task.name in named), *own.values()), named)


def _completion(sample: Sample, prompt_id: str, taken: set[int]) -> Completion:
    """Return the sample as the prompt's completion: as the attempt that it says, else as a free one."""
    free = next(attempt for attempt in count(len(taken)) if attempt not in taken)
    attempt = free if sample.attempt is None else sample.attempt
    if attempt in taken:
        raise RowError(f"attempt {attempt} of {prompt_id!r} is there already")
    taken.add(attempt)
    return Completion(
        prompt_id=prompt_id,
        attempt=attempt,
        text=sample.text,
        stop=sample.stop,
        tokens=sample.tokens,
        seconds=sample.seconds,
    )


class _Prompts:
    """The prompts of known tasks, and those of the file's own as they turn up."""

    def __init__(self, tasks: Sequence[Task], language: Language | None) -> None:
        known = [(task.name, prompt) for task in reversed(tasks) for prompt in task.prompts]
        self.by_id = {prompt.id: (name, prompt) for name, prompt in known}
        self.by_text = {prompt.text.strip(): (name, prompt) for name, prompt in known}
        self.names = ", ".join(task.name for task in tasks)
        self.language: Language | None = language
        self.own: dict[Language, dict[str, Prompt]] = defaultdict(dict)

    def asked(self, sample: Sample) -> tuple[str, Prompt]:
        """Return where the sample's prompt belongs, and the prompt. Raises RowError where that cannot be told."""
        by_id = self.by_id.get(sample.id) if sample.id is not None else None
        if by_id and sample.prompts and not any(by_id[1].text.strip() in text for text in sample.prompts):
            raise RowError(f"id {sample.id!r} is a prompt of task {by_id[0]}, but the row's prompt is another")
        texts = [self.by_text[text.strip()] for text in sample.prompts if text.strip() in self.by_text]
        return by_id or (texts[0] if texts else self._of_the_file(sample))

    def _of_the_file(self, sample: Sample) -> tuple[str, Prompt]:
        language: Language | None = sample.language or self.language
        if language is None:
            said = f"no prompt of {self.names}, and no language"
            raise RowError(said, foreign.NAME_LANGUAGE)
        known = self.own[language]
        prompt = _own_prompt(sample, language)
        first = known.setdefault(prompt.id, prompt)
        if sample.prompts and first.text != prompt.text:
            raise RowError(f"id {prompt.id!r} stands for another prompt further up")
        return _place(language), first

    def own_tasks(self) -> dict[str, Task]:
        """Return a task for every language of the file's own prompts, by its place."""
        return {_place(one): _own_task(one, list(self.own[one].values())) for one in LANGUAGES if self.own[one]}


def _place(language: Language) -> str:
    """Return what stands for a task whose name is not known yet; no task has such a name."""
    return f"/{language}"


def _own_prompt(sample: Sample, language: Language) -> Prompt:
    text = sample.prompts[0] if sample.prompts else ""
    if sample.recorded:
        return sample.recorded.model_copy(update={"id": sample.id, "text": text, "cwe": sample.cwe})
    # Prompts of one text are one family: their answers are not independent, whatever their ids are.
    digest = f"prompt-{catalog.digest(text)}" if text else None
    return Prompt(id=sample.id or digest or "", language=language, text=text, cwe=sample.cwe, family=digest)


def _own_task(language: Language, prompts: list[Prompt]) -> Task:
    rows = sorted((prompt.model_dump(mode="json") for prompt in prompts), key=lambda row: row["id"])
    digest = catalog.digest(rows)
    name = f"file-{language}-{digest[:8]}"
    return Task(name=name, language=language, digest=digest, quality="raw", pairs={}, prompts=tuple(prompts), audit={})
