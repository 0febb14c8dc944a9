"""The pipeline, read top to bottom: prepare, train, generate, extract, judge, score, write.

It holds no method of its own; every step is one call into a package. A stage's output lies in the scratch folder
under the digest of all that decides it, so the same command goes on where it was stopped.
"""

import platform
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from goodvibe_bench import anchor, catalog, generating, publishing, types, utility
from goodvibe_bench.catalog import code_digest
from goodvibe_bench.completion import extract
from goodvibe_bench.completion.asked import does_what_was_asked
from goodvibe_bench.engine import Engine, process
from goodvibe_bench.errors import UsageError
from goodvibe_bench.judge import JudgeDefinition, cards
from goodvibe_bench.judge import load as judges
from goodvibe_bench.model.source import check as check_model
from goodvibe_bench.request import BESIDE, PLACES, Request, Show
from goodvibe_bench.result import instrument, share, store
from goodvibe_bench.result.assemble import assemble
from goodvibe_bench.task import load as load_task
from goodvibe_bench.task.load import crossing_twins
from goodvibe_bench.trainer import reporting
from goodvibe_bench.trainer.definition import ADAPTER, TrainerDefinition
from goodvibe_bench.training import Trained, check_dtype, train
from goodvibe_bench.types import Completion, Language, Prompt, Record, Result, Task

JUDGED_AT_ONCE = 64
"""Samples handed to a judge in one call, between two signs of progress; verdicts do not depend on it."""


def run(
    request: Request, show: Show, trainers: Sequence[catalog.Definition[TrainerDefinition]] | None = None
) -> list[tuple[Result, Path]]:
    """Return a result for every method, each with the file it was written to.

    `trainers` are taken in place of the definitions that the request's methods name. Raises UsageError for whatever is
    wrong with the request, before anything is trained.
    """
    trainers = read_trainers(request.methods, request.overrides) if trainers is None else trainers
    request = generating.settle(request, show)
    generating.check(request, trainers)
    check_dtype(request.dtype, trainers)
    utility.check(request, show)
    reporting.check(request.report_to)
    for folder in (request.output, request.scratch):
        store.writable(folder)
    share.check(request.share, request.output, request.scratch)
    definitions = [catalog.read("judges", name, JudgeDefinition) for name in request.judges]
    instrument.check_names([definition.name for definition in definitions])
    tasks = prepare(request, show)
    check_judges(request, definitions, tasks, show)
    tuned = [trainer for trainer in trainers if trainer.content.tuner.kind != "none"]
    publishing.check(request, sum(len(_groups(trainer, tasks)) for trainer in tuned))
    base = generating.base_model(request)
    share.fetch_all_rows(request.share, request.scratch / judges.KEPT)
    fitted = [judges.load(name, loading(request)) for name in request.judges]
    blocks = anchor.blocks(fitted, [task.language for task in tasks], show)
    process.stop()
    if generating.serves_adapters(request):  # the engine that is to serve them all stays, and leaves training no room
        for trainer in trainers:
            for group in _groups(trainer, tasks):
                train(request, base, trainer, group, show)
    try:
        return [_run_method(request, base, trainer, tasks, fitted, blocks, show) for trainer in trainers]
    finally:
        process.stop()


def loading(request: Request) -> judges.Loading:
    """Return how the request wants its judges loaded."""
    return judges.Loading(
        dtype=request.dtype,
        scratch=request.scratch,
        backend=request.judge_backend,
        engine=request.engine or Engine(),
    )


def check_judges(
    request: Request, definitions: Sequence[catalog.Definition[JudgeDefinition]], tasks: Sequence[Task], show: Show
) -> None:
    """Show every judge's card. Raises UsageError for a language without calibration, unless the request allows it."""
    languages = list(dict.fromkeys(task.language for task in tasks))
    found = {one.name: cards.standing(one) for one in definitions}
    known = {
        name: {one.language: one for one in each.card.calibration.values()} if each.card else {}
        for name, each in found.items()
    }
    stale = [name for name, each in found.items() if each.stale]
    if not request.uncalibrated:
        instrument.check_calibrated(known, languages, stale)
    for name, card in ((name, each.card) for name, each in found.items()):
        sources = instrument.calibrated_on(card.data, card.recipe) if card else []
        apart = instrument.calibrated_apart(card.recipe) if card else {}
        for line in instrument.card_lines(name, known[name], sources, languages, apart):
            show.line(line)
        if name in stale:
            show.line(f"warning: judge {name}: {instrument.STALE}")


def train_only(request: Request, show: Show) -> list[Trained]:
    """Return the trained model of every method (and language, where each has its own), judging and scoring nothing.

    Several processes that `accelerate launch` started train together; the first one writes.
    """
    trainers = read_trainers(request.methods, request.overrides)
    request = generating.settle_dtype(request, show)
    check_dtype(request.dtype, trainers)
    check_model(request.model)
    reporting.check(request.report_to)
    store.writable(request.scratch)
    share.check(request.share, request.scratch)
    tasks = prepare(request, show)
    base = generating.base_model(request)
    return [train(request, base, trainer, group, show) for trainer in trainers for group in _groups(trainer, tasks)]


def _groups(trainer: catalog.Definition[TrainerDefinition], tasks: Sequence[Task]) -> list[list[Task]]:
    """Return the tasks that share one model: all of them, or those of each language."""
    groups: dict[Language | None, list[Task]] = {}
    for task in tasks:
        groups.setdefault(task.language if trainer.content.scope == "language" else None, []).append(task)
    return list(groups.values())


def read_trainers(names: Sequence[str], overrides: dict[str, str]) -> list[catalog.Definition[TrainerDefinition]]:
    """Return the trainers with overrides applied to those that have the keys; their names then say so, spelled alike.

    Raises UsageError for an unknown trainer, a key that none of them has, and a value that does not fit.
    """
    trainers = [catalog.read("trainers", name, TrainerDefinition) for name in names]
    for key in overrides:
        if not any(trainer.content.known(key) for trainer in trainers):
            raise UsageError(
                f"--set {key}: no trainer of --method {','.join(names)} has this key. Keys are those of the trainers' "
                "files, such as training.epochs, tuner.top_k (goodvibe) or tuner.rank (lora)."
            )
    return [_overridden(trainer, overrides) for trainer in trainers]


def _overridden(
    trainer: catalog.Definition[TrainerDefinition], overrides: dict[str, str]
) -> catalog.Definition[TrainerDefinition]:
    tuners_first = sorted(overrides, key=lambda key: (not key.startswith("tuner."), key))
    taken = {key: overrides[key] for key in tuners_first if trainer.content.known(key)}
    if not taken:
        return trainer
    try:
        content = trainer.content.with_overrides(taken)
    except ValidationError as error:
        faults = catalog.faults(error, TrainerDefinition, lambda key: f"--set {key}" if key in taken else key)
        raise UsageError("\n  ".join([f"--set does not fit trainer {trainer.name!r}:", *faults])) from error
    taken = {key: content.spelled(key) for key in taken}
    words = ",".join(f"{key.removeprefix('tuner.').removeprefix('training.')}={value}" for key, value in taken.items())
    return replace(
        trainer, name=f"{trainer.name}[{words}]", content=content, digest=catalog.digest([trainer.digest, taken])
    )


def prepare(request: Request, show: Show) -> list[Task]:
    """Return the tasks, limited. Raises UsageError where near twins cross two parts."""
    tasks = []
    for done, name in enumerate(request.tasks):
        show("prepare", done, len(request.tasks), name)
        task = load_task(name, data=request.data, quality=request.quality)
        if crossing_twins(task):
            raise UsageError(
                f"Task {name!r} has near twins across its parts: {task.audit}. Mend its data or its split."
            )
        pairs = task.pairs | {"tuner-train": task.pairs["tuner-train"][: request.train_limit]}
        tasks.append(task.model_copy(update={"prompts": task.prompts[: request.limit], "pairs": pairs}))
    show("prepare", len(tasks), len(tasks), f"{sum(len(task.prompts) for task in tasks)} held-out prompts")
    return tasks


def config(request: Request, trainer: TrainerDefinition) -> dict[str, Any]:
    """Return what a result keeps of the request that it answers: of its overrides those that the trainer took."""
    taken = {key: trainer.spelled(key) for key in request.overrides if trainer.known(key)}
    return request.model_dump(mode="json", exclude={"methods", "data"} | PLACES | BESIDE) | {"overrides": taken}


def _run_method(
    request: Request,
    base: types.Model,
    trainer: catalog.Definition[TrainerDefinition],
    tasks: list[Task],
    fitted: Sequence[judges.Fitted],
    blocks: Sequence[dict[str, Any]],
    show: Show,
) -> tuple[Result, Path]:
    records: list[Record] = []
    models: list[Trained] = []
    groups = _groups(trainer, tasks)
    for group in groups:
        model = train(request, base, trainer, group, show)
        models.append(model)
        completions = generating.generate(request, model.name, model.noun, group, show, adapter_of(request, model))
        records += judged(completions, group, fitted[0], show, others=fitted[1:])
    share.send_all_rows(request.share, request.scratch / judges.KEPT)
    named = [(one.name, one.noun, [task.language for task in group]) for one, group in zip(models, groups, strict=True)]
    side_effects = utility.block(request, base, named, show)
    result = assemble(
        config(request, trainer.content),
        trainer,
        tasks,
        blocks,
        [model.noun for model in models],
        [model.report for model in models if model.report],
        records,
        versions() | generating.versions(request),
        code_digest(),
    ).model_copy(update={"utility": side_effects})
    path = write(request, result, records, show)
    for model, group in zip(models, groups, strict=True):
        _publish(request, base, model, result, [task.name for task in group], show)
    return result, path


def adapter_of(request: Request, model: Trained) -> Path | None:
    """Return the adapter that stands for a trained model where adapters are served; None for the model itself."""
    folder = Path(model.name) / ADAPTER
    return folder if generating.serves_adapters(request) and model.report is not None and folder.is_dir() else None


def _publish(
    request: Request, base: types.Model, model: Trained, result: Result, tasks: Sequence[str], show: Show
) -> None:
    """Put the result on a trained model's card, and the model on the hub where the request says so."""
    if model.report is None:
        return
    publishing.write_card(Path(model.name), base, result.method, model.report, result, tasks)
    if request.push is not None:
        show.line(f"{result.method}: pushed to {publishing.push(Path(model.name), request.push)}")


def judged(
    completions: Sequence[Completion],
    tasks: Sequence[Task],
    judge: judges.Fitted,
    show: Show,
    others: Sequence[judges.Fitted] = (),
) -> list[Record]:
    """Return a record for every completion: its code, whether that is usable, and the verdicts of all judges."""
    asked: dict[str, tuple[str, Prompt]] = {prompt.id: (task.name, prompt) for task in tasks for prompt in task.prompts}
    codes = [extract(completion, asked[completion.prompt_id][1].language) for completion in completions]
    first, *more = (_verdicts(one, codes, show) for one in (judge, *others))
    return [
        Record(
            task=asked[completion.prompt_id][0],
            prompt=asked[completion.prompt_id][1],
            completion=completion,
            code=codes[place],
            verdict=first[place],
            others=tuple(verdicts[place] for verdicts in more),
            asked=does_what_was_asked(asked[completion.prompt_id][1].text, codes[place]),
        )
        for place, completion in enumerate(completions)
    ]


def _verdicts(judge: judges.Fitted, codes: Sequence[types.Code], show: Show) -> list[types.Verdict]:
    found: list[types.Verdict] = []
    for start in range(0, len(codes), JUDGED_AT_ONCE):
        show("judge", start, len(codes), judge.definition.name)
        found += judge.judge.judge(codes[start : start + JUDGED_AT_ONCE])
    show("judge", len(codes), len(codes), judge.definition.name)
    return found


def write(request: Request, result: Result, records: Sequence[Record], show: Show) -> Path:
    """Write a result and, beside it, its records; return the result's path."""
    digests = [judge["digest"] for judge in instrument.judges(result)]
    key = catalog.digest([result.config, result.task_hashes, digests, result.model.digest])
    name = store.file_name(result.model.id, result.method, *result.task_hashes, f"seed{result.seed}", key[:8])
    folder = store.writable(request.output / "records")
    store.write_text(folder / f"{name}.jsonl", "".join(record.model_dump_json() + "\n" for record in records))
    path = request.output / f"{name}.json"
    store.write_result(result, path)
    share.send_result(request.share, path)
    show.line(f"{result.method}: wrote {path}")
    return path


def versions() -> dict[str, str]:
    """Return the versions of everything that decides a result."""
    models = ("goodvibe-bench", "torch", "transformers", "accelerate", "peft", "tokenizers", "safetensors")
    numbers = ("numpy", "scipy", "scikit-learn", "statsmodels", "google-re2")
    parsers = ("tree-sitter", *(f"tree-sitter-{language}" for language in types.LANGUAGES))
    packages = (*models, *numbers, *parsers)
    return {"python": platform.python_version()} | catalog.versions(*packages)
