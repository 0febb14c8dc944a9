"""Every definition file and every bundled row of data that comes with the project."""

import os
from pathlib import Path

import pytest

from goodvibe_bench import catalog
from goodvibe_bench.judge import JudgeDefinition
from goodvibe_bench.task import TaskDefinition
from goodvibe_bench.trainer import TrainerDefinition
from goodvibe_bench.types import LANGUAGES

ROOT = Path(__file__).parents[1]
KINDS = {"tasks": TaskDefinition, "judges": JudgeDefinition, "trainers": TrainerDefinition}


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
