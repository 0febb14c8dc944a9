"""Load a task: rows to pairs, flags, parts, held-out prompts, audit. It trains and generates nothing."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel

from goodvibe_bench import catalog
from goodvibe_bench.errors import UsageError
from goodvibe_bench.task import flags, split
from goodvibe_bench.task.definition import BundledSource, HubSource, TaskDefinition
from goodvibe_bench.task.rows import hub_rows, read_json_lines
from goodvibe_bench.types import PARTS, Language, Pair, Part, Prompt, Task

T = TypeVar("T", bound=BaseModel)
Quality = Literal["clean", "raw"]


def load(name: str, *, data: Path | None = None, quality: Quality = "clean") -> Task:
    """Return the task `name` (or the definition at that path), split and audited.

    "clean" leaves flagged rows out of the three training parts; "raw" keeps them, as the paper did. The split itself
    is made over all rows, so both qualities hold out the same prompts. Raises UsageError for bad data.
    """
    definition = catalog.read("tasks", name, TaskDefinition)
    content = definition.content
    if isinstance(content.source, HubSource):
        pairs = _hub_pairs(definition.name, content.source, content.language, data)
        written: list[Prompt] = []
    else:
        pairs, written = _bundled(definition.path.parent, content.source, content.language)
    groups = split.group_pairs(pairs, content.split.twin_cosine)
    parts = split.assign(groups, content.split)
    by_part: dict[Part, tuple[Pair, ...]] = {
        part: tuple(
            pair
            for pair, place in zip(pairs, parts, strict=True)
            if place == part and part != "held-out" and (quality == "raw" or not pair.flags)
        )
        for part in PARTS
    }
    held_out = [
        _held_out(pair, f"{definition.name}-group-{group}")
        for pair, place, group in zip(pairs, parts, groups, strict=True)
        if place == "held-out"
    ]
    prompts = tuple(_distinct(written + held_out))
    found = split.audit(pairs, parts, written, content.split.twin_cosine)
    digest = catalog.digest([definition.digest, quality, _plain(pairs), _plain(prompts)])
    return Task(
        name=definition.name,
        language=content.language,
        digest=digest,
        quality=quality,
        pairs=by_part,
        prompts=prompts,
        audit=found,
    )


def crossing_twins(task: Task) -> int:
    """Return how many near twins cross two parts; above zero a task's figures must not be published."""
    return int(sum(count for key, count in task.audit.items() if key != "cosine"))


def _plain(rows: Iterable[BaseModel]) -> list[Any]:
    return [row.model_dump(mode="json") for row in rows]


def _bundled(folder: Path, _source: BundledSource, language: Language) -> tuple[list[Pair], list[Prompt]]:
    pairs = _parsed(folder / "pairs.jsonl", Pair)
    prompts = _parsed(folder / "prompts.jsonl", Prompt)
    for row in [*pairs, *prompts]:
        if row.language != language:
            raise UsageError(f"{folder}: {row.id} is {row.language}, but the task is {language}.")
    found = [
        pair.model_copy(update={"flags": flags.pair_flags(pair.secure, pair.insecure, language)}) for pair in pairs
    ]
    return found, prompts


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
