"""What `ls` prints: the definitions that come with the project, one row each. It loads no model."""

from itertools import chain
from pathlib import Path
from typing import Any

from goodvibe_bench import catalog
from goodvibe_bench.experiment.definition import ExperimentDefinition
from goodvibe_bench.judge import JudgeDefinition
from goodvibe_bench.model import CARRIED
from goodvibe_bench.task import load
from goodvibe_bench.task.load import at_hand
from goodvibe_bench.trainer import TrainerDefinition
from goodvibe_bench.types import PARTS

COUNTED = ("held_out", "families", "cwes", "tuner_train", "judge_train", "calibration", "cases")
"""Prompts and their families, CWEs of all rows, pairs of the three training parts, single cases for calibration."""


def rows(what: str, data: Path | None = None) -> list[dict[str, Any]]:
    """Return one row for each task, judge, trainer, carried model or experiment."""
    makers = {"judges": _judges, "trainers": _trainers, "models": _models, "experiments": _experiments}
    return _tasks(data) if what == "tasks" else makers[what]()


def _tasks(data: Path | None) -> list[dict[str, Any]]:
    found = []
    for name in catalog.names("tasks"):
        row: dict[str, Any] = {"name": name}
        if not at_hand(name, data):
            found.append(row | dict.fromkeys(COUNTED, "?") | {"digest": "not at hand"})
            continue
        task = load(name, data=data)
        cwes = {row.cwe for row in [*task.prompts, *task.cases, *chain(*task.pairs.values())]} - {None}
        counts = [
            len(task.prompts),
            len({prompt.family for prompt in task.prompts}),
            len(cwes) or None,
            *(len(task.pairs[part]) for part in PARTS if part != "held-out"),
            len(task.cases),
        ]
        found.append(row | dict(zip(COUNTED, counts, strict=True)) | {"digest": task.digest})
    return found


def _judges() -> list[dict[str, Any]]:
    from goodvibe_bench.judge.cards import read_card, weights_folder

    found = []
    for name in catalog.names("judges"):
        definition = catalog.read("judges", name, JudgeDefinition)
        card = read_card(weights_folder(definition))
        found.append(
            {
                "name": name,
                "kind": definition.content.judge.kind,
                "calibrated": ",".join(card.calibration) if card else "no",
                "description": definition.content.description,
            }
        )
    return found


def _trainers() -> list[dict[str, Any]]:
    found = []
    for name in catalog.names("trainers"):
        content = catalog.read("trainers", name, TrainerDefinition).content
        found.append({"name": name, "tuner": content.tuner.kind, "description": content.description})
    return found


def _models() -> list[dict[str, Any]]:
    return [{"name": name, "upstream": m.upstream, "package": m.requirement} for name, m in CARRIED.items()]


def _experiments() -> list[dict[str, Any]]:
    found = []
    for name in catalog.names("experiments"):
        content = catalog.read("experiments", name, ExperimentDefinition).content
        found.append(
            {
                "name": name,
                "section": content.section,
                "models": len(content.models),
                "columns": len(content.column),
                "description": content.description,
            }
        )
    return found
