"""Every definition file and every bundled row of data that comes with the project."""

import os
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from goodvibe_bench import catalog
from goodvibe_bench.completion import parses
from goodvibe_bench.judge import JudgeDefinition
from goodvibe_bench.task import TaskDefinition, load
from goodvibe_bench.task.load import crossing_twins
from goodvibe_bench.trainer import TrainerDefinition
from goodvibe_bench.types import LANGUAGES, Pair, Task

ROOT = Path(__file__).parents[1]
KINDS = {"tasks": TaskDefinition, "judges": JudgeDefinition, "trainers": TrainerDefinition}
BANNED = (
    *("secur", "safe", "vulnerab", "validat", "sanitiz", "sanitis", "attack", "exploit", "malicious", "untrusted"),
    *("hacker", "injection", "overflow", "protect", "harden", "escape"),
)


@cache
def _task(name: str) -> Task:
    return load(name, quality="raw")


def _pairs(name: str) -> list[Pair]:
    return [pair for part in _task(name).pairs.values() for pair in part]


def _on_disk(kind: str) -> int:
    """Definition files by a walk of the folder: not the glob that catalog uses."""
    return sum(name.endswith(".toml") for _, _, names in os.walk(ROOT / kind) for name in names)


@pytest.mark.parametrize("kind", ["tasks", "judges", "trainers"])
def test_every_definition_on_disk_is_found_and_parses(kind: catalog.Kind) -> None:
    read = [catalog.read(kind, name, KINDS[kind]) for name in catalog.names(kind)]
    assert len(read) == _on_disk(kind) > 0
    assert all(definition.content.description.strip() for definition in read)


def test_no_two_trainers_say_the_same() -> None:
    found = [catalog.read("trainers", name, TrainerDefinition).content for name in catalog.names("trainers")]
    specs = [content.model_dump_json(exclude={"description"}) for content in found]
    assert len(set(specs)) == len(specs)


def test_every_judge_names_tasks_that_exist() -> None:
    known = set(catalog.names("tasks"))
    for name in catalog.names("judges"):
        fit = catalog.read("judges", name, JudgeDefinition).content.fit
        assert fit is not None
        assert set(fit.tasks) <= known


def test_every_language_has_a_bundled_task() -> None:
    found = {name: catalog.read("tasks", name, TaskDefinition).content for name in catalog.names("tasks")}
    assert {c.language for c in found.values() if c.source.kind == "bundled"} == set(LANGUAGES)
    assert {c.language for c in found.values() if c.source.kind == "hub"} == set(LANGUAGES)


@pytest.mark.parametrize("name", LANGUAGES)
def test_a_bundled_task_has_enough_prompts_and_pairs(name: str) -> None:
    assert len(_task(name).prompts) >= 12
    assert len(_pairs(name)) >= 16


@pytest.mark.parametrize("name", LANGUAGES)
def test_loading_a_bundled_task_loses_no_row(name: str) -> None:
    for file, kept in (("pairs", len(_pairs(name))), ("prompts", len(_task(name).prompts))):
        lines = (ROOT / "tasks" / name / f"{file}.jsonl").read_text(encoding="utf-8").split("\n")
        assert kept == sum(bool(line.strip()) for line in lines)


def test_ids_are_unique_over_all_bundled_tasks() -> None:
    ids = Counter(row.id for name in LANGUAGES for row in [*_pairs(name), *_task(name).prompts])
    assert [found for found, times in ids.items() if times > 1] == []


@pytest.mark.parametrize("name", LANGUAGES)
def test_no_prompt_speaks_of_security(name: str) -> None:
    texts = {row.id: row.text for row in _task(name).prompts} | {pair.id: pair.prompt for pair in _pairs(name)}
    assert [(row, word) for row, text in texts.items() for word in BANNED if word in text.lower()] == []


@pytest.mark.parametrize("name", LANGUAGES)
def test_both_sides_of_every_pair_parse_and_have_no_flags(name: str) -> None:
    pairs = _pairs(name)
    assert [pair.id for pair in pairs if not parses(pair.secure, pair.language)] == []
    assert [pair.id for pair in pairs if not parses(pair.insecure, pair.language)] == []
    assert [(pair.id, pair.flags) for pair in pairs if pair.flags] == []


@pytest.mark.parametrize("name", LANGUAGES)
def test_prompts_and_pairs_share_no_family(name: str) -> None:
    pairs, prompts = {pair.family for pair in _pairs(name)}, {prompt.family for prompt in _task(name).prompts}
    assert None not in pairs | prompts
    assert pairs & prompts == set()


@pytest.mark.parametrize("name", LANGUAGES)
def test_no_family_crosses_parts(name: str) -> None:
    places: dict[str | None, set[str]] = {}
    for part, pairs in _task(name).pairs.items():
        for pair in pairs:
            places.setdefault(pair.family, set()).add(part)
    assert [family for family, parts in places.items() if len(parts) > 1] == []


@pytest.mark.parametrize("name", LANGUAGES)
def test_a_bundled_task_has_no_crossing_twins(name: str) -> None:
    clean = load(name)
    assert crossing_twins(clean) == 0
    assert len(clean.audit) == 1 + 6, "the cosine and every two of four parts"
