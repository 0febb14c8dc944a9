"""Load a task: rows to pairs, flags, parts, held-out prompts, audit. It trains and generates nothing."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel

from goodvibe_bench import catalog
from goodvibe_bench.errors import UsageError
from goodvibe_bench.task import flags, split
from goodvibe_bench.task.definition import HubSource, TaskDefinition
from goodvibe_bench.task.rows import hub_rows, local_file, read_json_lines
from goodvibe_bench.types import PARTS, Labelled, Language, Pair, Part, Prompt, Task

T = TypeVar("T", bound=BaseModel)
Quality = Literal["clean", "raw"]
CASES = "calibration.jsonl"


def load(name: str, *, data: Path | None = None, quality: Quality = "clean") -> Task:
    """Return the task `name` (or the definition at that path), split and audited.

    "clean" leaves flagged rows out of the three training parts; "raw" keeps them, as the paper did. The split itself
    is made over all rows, so both qualities hold out the same prompts. Raises UsageError for bad data.
    """
    definition = catalog.read("tasks", name, TaskDefinition)
    rows = _divided(definition, data)
    by_part: dict[Part, tuple[Pair, ...]] = {
        part: tuple(pair for pair in rows.of(part) if part != "held-out" and (quality == "raw" or not pair.flags))
        for part in PARTS
    }
    held_out = [
        _held_out(pair, f"{definition.name}-group-{group}")
        for pair, place, group in zip(rows.pairs, rows.parts, rows.groups, strict=True)
        if place == "held-out"
    ]
    prompts = tuple(_distinct(rows.written + held_out))
    found = split.audit(rows.pairs, rows.parts, rows.written, rows.cases, definition.content.split.twin_cosine)
    words = [definition.digest, quality, _plain(rows.pairs), _plain(prompts), _plain(rows.cases)]
    return Task(
        name=definition.name,
        language=definition.content.language,
        digest=catalog.digest(words),
        quality=quality,
        pairs=by_part,
        prompts=prompts,
        cases=tuple(rows.cases),
        audit=found,
    )


@dataclass(frozen=True)
class Rows:
    """All rows of a task, damaged ones as well: its pairs with group and part, written prompts, single cases."""

    pairs: list[Pair]
    groups: list[int]
    parts: list[Part]
    written: list[Prompt]
    cases: list[Labelled]

    def of(self, part: Part) -> list[Pair]:
        """Return the pairs of a part.

        In calibration, near twins that name no family are one: folds and intervals count families, and what says the
        same thing twice is no second witness. (Where judges learn, sides of a family are ranked against one another:
        there a family is one pair.)
        """
        rows = zip(self.pairs, self.parts, self.groups, strict=True)
        own = [(pair, group) for pair, place, group in rows if place == part]
        if part != "calibration":
            return [pair for pair, _ in own]
        first: dict[int, str] = {}
        for pair, group in own:
            first.setdefault(group, pair.family or pair.id)
        return [pair.model_copy(update={"family": pair.family or first[group]}) for pair, group in own]


def load_rows(name: str, *, data: Path | None = None) -> tuple[Language, Rows]:
    """Return the language and all rows of the task `name`: what an audit looks at. Raises UsageError for bad data."""
    definition = catalog.read("tasks", name, TaskDefinition)
    return definition.content.language, _divided(definition, data)


def at_hand(name: str, data: Path | None) -> bool:
    """Return whether the task's rows lie on this machine, so that reading them asks no hub."""
    source = catalog.read("tasks", name, TaskDefinition).content.source
    if not isinstance(source, HubSource):
        return True
    path = local_file(source, data)
    return path is not None and path.is_file()


def _divided(definition: catalog.Definition[TaskDefinition], data: Path | None) -> Rows:
    content = definition.content
    written: list[Prompt] = []
    cases: list[Labelled] = []
    if isinstance(content.source, HubSource):
        pairs = _hub_pairs(definition.name, content.source, content.language, data)
    else:
        pairs, written, cases = _bundled(definition.path.parent, content.language)
    groups = split.group_pairs(pairs, content.split.twin_cosine)
    return Rows(pairs, groups.tolist(), split.assign(groups, content.split), written, cases)


def crossing_twins(task: Task) -> int:
    """Return how many near twins cross two parts; above zero a task's figures must not be published."""
    return int(sum(count for key, count in task.audit.items() if key != "cosine"))


def _plain(rows: Iterable[BaseModel]) -> list[Any]:
    return [row.model_dump(mode="json") for row in rows]


def _bundled(folder: Path, language: Language) -> tuple[list[Pair], list[Prompt], list[Labelled]]:
    pairs = _parsed(folder / "pairs.jsonl", Pair)
    prompts = _parsed(folder / "prompts.jsonl", Prompt)
    cases = _parsed(folder / CASES, Labelled) if (folder / CASES).exists() else []
    for row in [*pairs, *prompts, *cases]:
        if row.language != language:
            raise UsageError(f"{folder}: {row.id} is {row.language}, but the task is {language}.")
    found = [
        pair.model_copy(update={"flags": flags.pair_flags(pair.secure, pair.insecure, language)}) for pair in pairs
    ]
    return found, prompts, cases


def _parsed(path: Path, content: type[T]) -> list[T]:
    rows = read_json_lines(path)
    return [catalog.parse(row, content, f"{path}, line {number}") for number, row in enumerate(rows, 1)]


def _hub_pairs(name: str, source: HubSource, language: Language, data: Path | None) -> list[Pair]:
    rows, where = hub_rows(source, data)
    columns = [*source.where, source.prompt, source.secure, source.insecure]
    pairs = []
    for number, row in enumerate(rows, 1):
        missing = [column for column in columns if not isinstance(row.get(column), str)]
        if missing:
            raise UsageError(f"{where}, row {number}: no text in field(s) {', '.join(missing)}.")
        if all(row[column].lower() == value for column, value in source.where.items()):
            secure, insecure = flags.unfenced(row[source.secure]), flags.unfenced(row[source.insecure])
            pairs.append(
                Pair(
                    id=f"{name}-{number - 1:04d}",
                    language=language,
                    prompt=row[source.prompt],
                    secure=secure,
                    insecure=insecure,
                    source=source.dataset,
                    flags=flags.pair_flags(secure, insecure, language),
                )
            )
    if not pairs:
        raise UsageError(f"{where}: no row has {source.where}.")
    return pairs


def _held_out(pair: Pair, group: str) -> Prompt:
    stratum = "orders-flaw" if flags.orders_flaw(pair.prompt) else "plain"
    return Prompt(id=pair.id, language=pair.language, text=pair.prompt, family=group, stratum=stratum)


def _distinct(prompts: list[Prompt]) -> Iterable[Prompt]:
    """Yield prompts, each text once: a repeat would count one answer twice."""
    seen = set()
    for prompt in prompts:
        if prompt.text not in seen:
            seen.add(prompt.text)
            yield prompt
