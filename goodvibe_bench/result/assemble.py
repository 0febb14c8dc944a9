"""Put a result together from what the stages left. It runs no stage and writes nothing."""

import platform
from collections.abc import Mapping, Sequence
from typing import Any

from goodvibe_bench import catalog
from goodvibe_bench.result import account, score
from goodvibe_bench.types import Model, Record, Result, Task, TrainReport


def assemble(
    config: Mapping[str, Any],
    trainer: catalog.Definition[Any],
    tasks: Sequence[Task],
    judges: Sequence[dict[str, Any]],
    models: Sequence[Model],
    reports: Sequence[TrainReport],
    records: Sequence[Record],
    versions: dict[str, str],
    code: str,
) -> Result:
    """Return the result of one method, every aggregate computed from `records`.

    `judges` are blocks of `instrument.block`, the headline judge first, whose verdict is each record's. `models` are
    one or one a language; `code` is the digest of our source.
    """
    rows = [score.outcome_row(record) for record in records]
    hashes, date = {task.name: task.digest for task in tasks}, score.now()
    words = trainer.content.model_dump(mode="json")
    model = models[0] if len(models) == 1 else _together(models)
    return Result(
        **account.blocks(trainer.name, words, model, reports, hashes, versions, date),
        schema_version=score.SCHEMA_VERSION,
        results=score.metrics(rows, judges),
        config={**config, "trainer": words},
        versions=versions,
        task_hashes=hashes,
        date=date,
        model=model,
        method=trainer.name,
        seed=config["seed"],
        judge=judges[0],
        other_judges=tuple(judges[1:]),
        outcomes=rows,
        training=tuple(reports),
        provenance={
            "code": code,
            "trainer_digest": trainer.digest,
            "audit": {task.name: task.audit for task in tasks},
            "platform": f"{platform.system()} {platform.machine()}",
        },
    )


def _together(models: Sequence[Model]) -> Model:
    return models[0].model_copy(update={"digest": catalog.digest([model.digest for model in models])})
