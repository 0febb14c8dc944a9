"""The pipeline, read top to bottom: prepare, train, generate, extract, judge, score, write.

It holds no method of its own; every step is one call into a package. A stage's output lies in the scratch folder
under the digest of all that decides it, so the same command goes on where it was stopped.
"""

import json
import platform
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

from pydantic import ValidationError

from goodvibe_bench import anchor, catalog, disk, generating, publishing, types, utility
from goodvibe_bench.catalog import code_digest
from goodvibe_bench.completion import extract
from goodvibe_bench.completion.asked import does_what_was_asked
from goodvibe_bench.engine import Engine, process
from goodvibe_bench.errors import UsageError
from goodvibe_bench.judge import JudgeDefinition
from goodvibe_bench.judge import load as judges
from goodvibe_bench.model import locate
from goodvibe_bench.request import BESIDE, Request, Show
from goodvibe_bench.result import instrument, store
from goodvibe_bench.result.assemble import assemble
from goodvibe_bench.task import load as load_task
from goodvibe_bench.task.load import crossing_twins
from goodvibe_bench.trainer import processes, reporting
from goodvibe_bench.trainer.definition import ADAPTER, TrainerDefinition
from goodvibe_bench.types import Completion, Language, Pair, Prompt, Record, Result, Task, TrainReport

JUDGED_AT_ONCE = 64
"""Samples handed to a judge in one call, between two signs of progress; verdicts do not depend on it."""


@dataclass(frozen=True)
class Trained:
    """A model to generate with: its folder or name, its noun, and its report (None for the base)."""

    name: str
    noun: types.Model
    report: TrainReport | None

    def row(self) -> dict[str, Any]:
        """Return what `train` prints of it."""
        seconds = self.report and round(self.report.attribution_seconds + self.report.training_seconds)
        return {
            "method": self.noun.trained_by or "none",
            "trained": self.report.trainable_parameters if self.report else 0,
            "seconds": seconds or 0,
            "last_loss": self.report and self.report.last_loss,
            "folder": self.name,
        }


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
    utility.check(request, show)
    reporting.check(request.report_to)
    for folder in (request.output, request.scratch):
        store.writable(folder)
    definitions = [catalog.read("judges", name, JudgeDefinition) for name in request.judges]
    instrument.check_names([definition.name for definition in definitions])
    tasks = prepare(request, show)
    check_judges(request, definitions, tasks, show)
    tuned = [trainer for trainer in trainers if trainer.content.tuner.kind != "none"]
    publishing.check(request, sum(len(_groups(trainer, tasks)) for trainer in tuned))
    base = generating.base_model(request)
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
    cards = {found.name: judges.read_card(judges.weights_folder(found)) for found in definitions}
    known = {
        name: {one.language: one for one in card.calibration.values()} if card else {} for name, card in cards.items()
    }
    if not request.uncalibrated:
        instrument.check_calibrated(known, languages)
    for name, card in cards.items():
        sources = instrument.calibrated_on(card.data, card.recipe) if card else []
        for line in instrument.card_lines(name, known[name], sources, languages):
            show.line(line)


def train_only(request: Request, show: Show) -> list[Trained]:
    """Return the trained model of every method (and language, where each has its own), judging and scoring nothing.

    Several processes that `accelerate launch` started train together; the first one writes.
    """
    trainers = read_trainers(request.methods, request.overrides)
    request = generating.settle_dtype(request, show)
    reporting.check(request.report_to)
    store.writable(request.scratch)
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
    """Return the trainers with overrides applied to those that have the keys; their names then say so.

    Raises UsageError for an unknown trainer, a key that none of them has, and a value that does not fit.
    """
    trainers = [catalog.read("trainers", name, TrainerDefinition) for name in names]
    for key in overrides:
        if not any(trainer.content.known(key) for trainer in trainers):
            raise UsageError(
                f"--set {key}: none of {', '.join(names)} has this key. Keys are those of the trainers' files."
            )
    return [_overridden(trainer, overrides) for trainer in trainers]


def _overridden(
    trainer: catalog.Definition[TrainerDefinition], overrides: dict[str, str]
) -> catalog.Definition[TrainerDefinition]:
    taken = {key: value for key, value in overrides.items() if trainer.content.known(key)}
    if not taken:
        return trainer
    try:
        content = trainer.content.with_overrides(taken)
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
        raise UsageError(f"--set does not fit trainer {trainer.name!r}: {faults}") from error
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


def config(request: Request) -> dict[str, Any]:
    """Return what a result keeps of the request that it answers."""
    return request.model_dump(mode="json", exclude={"methods", "output", "scratch", "data"} | BESIDE)


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
    named = [(one.name, one.noun, [task.language for task in group]) for one, group in zip(models, groups, strict=True)]
    side_effects = utility.block(request, base, named, show)
    result = assemble(
        config(request),
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


def train(
    request: Request,
    base: types.Model,
    trainer: catalog.Definition[TrainerDefinition],
    tasks: Sequence[Task],
    show: Show,
) -> Trained:
    """Return the model that `trainer` makes of the tasks' tuner-train pairs, trained now or found in the scratch."""
    if trainer.content.tuner.kind == "none":
        return Trained(request.model, base, None)
    pairs = [pair for task in tasks for pair in task.pairs["tuner-train"]]
    key = _train_key(request, trainer, base, pairs)
    folder = store.writable(request.scratch / "models") / key
    with _alone(request.scratch / "locks" / f"{key}.lock", show):
        found = _trained(folder)
        if found is None:
            show.line(f"{trainer.name}: training {request.model} on {len(pairs)} pairs")
            _train_into(folder, request, trainer, base, pairs, show)
        else:
            show.line(f"{trainer.name}: trained before, {folder}")
    noun, report = found or cast(tuple[types.Model, TrainReport], _trained(folder))
    return Trained(str(folder), noun.model_copy(update={"id": base.id, "trained_by": trainer.name}), report)


def _trained(folder: Path) -> tuple[types.Model, TrainReport] | None:
    """Return the trained model in `folder` and its report, or None unless they are there as they were written."""
    from goodvibe_bench.model.load import describe

    try:
        note = json.loads((folder / "goodvibe.json").read_bytes())
        noun, report = describe(locate(str(folder))), TrainReport.model_validate(note["report"])
        return (noun, report) if note["digest"] == noun.digest else None
    except (OSError, UsageError, ValueError, TypeError, KeyError):
        return None


@contextmanager
def _alone(lock: Path, show: Show) -> Iterator[None]:
    """Have the first process hold `lock`, and the others begin when it does."""
    if processes.is_first():
        with store.alone(lock, lambda: show.line("waiting: another run trains the same")):
            processes.meet()
            yield
    else:
        processes.meet()
        yield


def _train_into(
    folder: Path,
    request: Request,
    trainer: catalog.Definition[TrainerDefinition],
    base: types.Model,
    pairs: Sequence[Pair],
    show: Show,
) -> None:
    """Train and save to `folder`; unfinished work lies in a folder beside it, from which the next try goes on."""
    from goodvibe_bench.model.load import load, save
    from goodvibe_bench.trainer.train import train as train_model

    loaded = load(
        request.model, revision=request.revision, dtype=request.dtype, trust_remote_code=request.trust_remote_code
    )
    partial = folder.with_name(f".partial-{folder.name}")
    report = train_model(
        loaded,
        trainer.content,
        pairs,
        seed=request.seed,
        scratch=partial,
        progress=show,
        report_to=request.report_to,
    )
    if processes.is_first():
        if folder.exists():
            show.line(f"{trainer.name}: {folder} was damaged and is made anew")
            shutil.rmtree(folder)
        save(loaded, partial, {"base": base.model_dump(), "method": trainer.name, "report": report.model_dump()})
        publishing.write_card(partial, base, trainer.name, report)
        disk.publish(partial, folder)
    processes.meet()


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
    show.line(f"{result.method}: wrote {path}")
    return path


def _train_key(
    request: Request, trainer: catalog.Definition[TrainerDefinition], base: types.Model, pairs: Sequence[Pair]
) -> str:
    trained_with = trainer.content.training_for(request.model).model_dump()
    spec = trainer.content.model_dump(mode="json", exclude={"description", "training", "presets"})
    code = code_digest("model", "neuron", "objective", "tuner", "trainer")
    words = [base.digest, request.dtype, request.seed, spec, trained_with, catalog.plain(pairs), code]
    return f"{store.file_name(base.id, trainer.name)}--{catalog.digest(words)}"


def versions() -> dict[str, str]:
    """Return the versions of everything that decides a result."""
    models = ("goodvibe-bench", "torch", "transformers", "accelerate", "peft", "tokenizers", "safetensors")
    numbers = ("numpy", "scipy", "scikit-learn", "statsmodels", "google-re2")
    parsers = ("tree-sitter", *(f"tree-sitter-{language}" for language in types.LANGUAGES))
    packages = (*models, *numbers, *parsers)
    return {"python": platform.python_version()} | {package: version(package) for package in packages}
