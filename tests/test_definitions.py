"""Every definition file and every bundled row of data that comes with the project."""

import os
from pathlib import Path

import pytest

from goodvibe_bench import catalog
from goodvibe_bench.experiment.definition import ExperimentDefinition
from goodvibe_bench.judge import JudgeDefinition, signals
from goodvibe_bench.judge.tools import TOOLS
from goodvibe_bench.task import TaskDefinition
from goodvibe_bench.trainer import TrainerDefinition
from goodvibe_bench.types import LANGUAGES

ROOT = Path(__file__).parents[1]
KINDS = {
    "tasks": TaskDefinition,
    "judges": JudgeDefinition,
    "trainers": TrainerDefinition,
    "experiments": ExperimentDefinition,
}


def _on_disk(kind: str) -> int:
    """Definition files by a walk of the folder: not the glob that catalog uses."""
    folders = [(folder, names) for folder, _, names in os.walk(ROOT / kind) if not folder.endswith(".d")]
    return sum(name.endswith(".toml") for _, names in folders for name in names)


@pytest.mark.parametrize("kind", list(KINDS))
def test_every_definition_on_disk_is_found_and_parses(kind: catalog.Kind) -> None:
    read = [catalog.read(kind, name, KINDS[kind]) for name in catalog.names(kind)]
    assert len(read) == _on_disk(kind) > 0
    assert all(definition.content.description.strip() for definition in read)


def test_every_language_has_signals_with_a_note_each_and_the_shipped_weights_are_theirs() -> None:
    known = signals.read(ROOT / "judges" / "signals.d")
    assert {file.language for file in known.files} == set(LANGUAGES)
    assert all(100 <= len(file.signal) <= 1000 for file in known.files)
    assert all(signal.note.strip() and signal.cwe.startswith("CWE-") for file in known.files for signal in file.signal)
    weights = signals.load(ROOT / "judges" / "signals", known)
    assert (weights[: len(known.priors)] * known.priors >= 0).all(), "a weight has another sign than its writer gave"


def test_no_two_trainers_say_the_same() -> None:
    found = [catalog.read("trainers", name, TrainerDefinition).content for name in catalog.names("trainers")]
    specs = [content.model_dump_json(exclude={"description"}) for content in found]
    assert len(set(specs)) == len(specs)


def _judges() -> dict[str, JudgeDefinition]:
    return {name: catalog.read("judges", name, JudgeDefinition).content for name in catalog.names("judges")}


def test_every_judge_that_learns_names_tasks_that_exist() -> None:
    known = set(catalog.names("tasks"))
    learning = ("model", "linear", "signals", "pairwise")
    fits = [content.fit for content in _judges().values() if content.judge.kind in learning]
    assert len(fits) == 5
    for fit in fits:
        assert fit is not None
        assert set(fit.tasks) <= known


def test_the_analysers_together_cover_every_language() -> None:
    judge = _judges()["analysers"].judge
    assert judge.kind == "analyser"
    assert set(judge.tools) == set(TOOLS)
    assert {language for name in judge.tools for language in TOOLS[name].canaries} == set(LANGUAGES)


def test_every_vote_names_judges_that_exist() -> None:
    votes = [content.judge for content in _judges().values() if content.judge.kind == "vote"]
    assert len(votes) == 2
    assert all(set(vote.judges) <= set(_judges()) for vote in votes)


def test_every_language_has_a_bundled_task() -> None:
    found = {name: catalog.read("tasks", name, TaskDefinition).content for name in catalog.names("tasks")}
    assert {c.language for c in found.values() if c.source.kind == "bundled"} == set(LANGUAGES)
    assert {c.language for c in found.values() if c.source.kind == "hub"} == set(LANGUAGES)
