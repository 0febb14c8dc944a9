"""What `ls` prints: the definitions that come with the project, one row each. It loads no model."""

from pathlib import Path
from typing import Any

from goodvibe_bench import catalog
from goodvibe_bench.errors import UsageError
from goodvibe_bench.judge import JudgeDefinition
from goodvibe_bench.model import CARRIED
from goodvibe_bench.task import TaskDefinition, load
from goodvibe_bench.trainer import TrainerDefinition


def rows(what: str, data: Path | None = None) -> list[dict[str, Any]]:
    """Return one row for each task, judge, trainer or carried model."""
    return {"tasks": lambda: _tasks(data), "judges": _judges, "trainers": _trainers, "models": _models}[what]()


def _tasks(data: Path | None) -> list[dict[str, Any]]:
    found = []
    for name in catalog.names("tasks"):
        definition = catalog.read("tasks", name, TaskDefinition).content
        row: dict[str, Any] = {"name": name, "language": definition.language, "source": definition.source.kind}
        try:
            if definition.source.kind == "hub" and not _at_hand(data):
                raise UsageError("not at hand")
            task = load(name, data=data)
        except UsageError:
            found.append(
                row | {"held-out": "?", "tuner": "?", "judge": "?", "calibration": "?", "digest": "not at hand"}
            )
            continue
        counts = [len(task.pairs[part]) for part in ("tuner-train", "judge-train", "calibration")]
        found.append(
            row
            | {"held-out": len(task.prompts), "tuner": counts[0], "judge": counts[1], "calibration": counts[2]}
            | {"digest": task.digest}
        )
    return found


def _at_hand(data: Path | None) -> bool:
    import os

    from goodvibe_bench.task.rows import DATA_VARIABLE

    return data is not None or bool(os.environ.get(DATA_VARIABLE))


def _judges() -> list[dict[str, Any]]:
    from goodvibe_bench.judge.load import read_card, weights_folder

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
