"""The train stage: a model made by a trainer from the tasks' pairs once, and found again by all that decides it.

What trains is trainer/; this knows where trained models lie. It generates and judges nothing.
"""

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from goodvibe_bench import catalog, disk, publishing, types
from goodvibe_bench.errors import UsageError
from goodvibe_bench.model import known_as, locate
from goodvibe_bench.request import Request, Show
from goodvibe_bench.result import share, store
from goodvibe_bench.trainer import processes
from goodvibe_bench.trainer.definition import TrainerDefinition
from goodvibe_bench.types import Pair, Task, TrainReport

MUCH_LOST = 0.1
"""Share of an update's norm from which it is told that rounding lost it."""


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


def check_dtype(dtype: str, trainers: Sequence[catalog.Definition[TrainerDefinition]]) -> None:
    """Raise UsageError where gradients would pass through a model in float16, whose loss nothing scales.

    Full fine-tuning has float32 weights whatever the dtype.
    """
    through = [trainer.name for trainer in trainers if trainer.content.tuner.kind not in {"none", "full"}]
    if dtype == "float16" and through:
        raise UsageError(
            f"--dtype float16 cannot train {', '.join(through)}: gradients pass through the model in float16, where "
            "small ones become zero. Use --dtype bfloat16 or float32."
        )


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
        if processes.is_first():
            share.fetch_folder(request.share, folder)
        processes.meet()
        found = _trained(folder)
        if found is None:
            show.line(f"{trainer.name}: training {request.model} on {len(pairs)} pairs")
            _train_into(folder, request, trainer, base, pairs, show)
        else:
            show.line(f"{trainer.name}: trained before, {folder}")
        if processes.is_first():
            share.send_folder(request.share, folder, anew=found is None)
    noun, report = found or cast(tuple[types.Model, TrainReport], _trained(folder))
    if report.fold_error >= MUCH_LOST:
        show.line(
            f"warning: {trainer.name}: rounding weights to 16 bits lost {100 * report.fold_error:.0f}% of the update "
            "(fold_error in the result). --dtype float32 keeps it, and a higher learning rate loses less."
        )
    return Trained(str(folder), noun.model_copy(update={"id": base.id, "trained_by": trainer.name}), report)


def _trained(folder: Path) -> tuple[types.Model, TrainReport] | None:
    """Return the trained model in `folder` and its report, or None unless they are there as they were written."""
    from goodvibe_bench.model.load import describe

    try:
        note = json.loads((folder / "goodvibe.json").read_bytes())
        noun, report = describe(locate(str(folder))), TrainReport.model_validate(note["report"])
        whole = (note["digest"], note["report_digest"]) == (noun.digest, catalog.digest(note["report"]))
        return (noun, report) if whole else None
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
    from goodvibe_bench.trainer import readings
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
        readings=request.scratch / readings.FOLDER,
    )
    if processes.is_first():
        if folder.exists():
            show.line(f"{trainer.name}: {folder} was damaged and is made anew")
            shutil.rmtree(folder)
        note: dict[str, Any] = {"base": base.model_dump(), "method": trainer.name, "report": report.model_dump()}
        save(loaded, partial, note | {"report_digest": catalog.digest(note["report"])})
        publishing.write_card(partial, base, trainer.name, report)
        disk.publish(partial, folder)
    processes.meet()


def _train_key(
    request: Request, trainer: catalog.Definition[TrainerDefinition], base: types.Model, pairs: Sequence[Pair]
) -> str:
    trained_with = trainer.content.training_for(known_as(request.model)).model_dump()
    spec = trainer.content.model_dump(mode="json", exclude={"description", "training", "presets"})
    code = catalog.code_digest("model", "neuron", "objective", "tuner", "trainer")
    libraries = catalog.versions(*catalog.MODEL_LIBRARIES, "peft", "accelerate", "scikit-learn")
    words = [base.digest, request.dtype, request.seed, spec, trained_with, catalog.plain(pairs), code, libraries]
    return f"{store.file_name(base.id, trainer.name)}--{catalog.digest(words)}"
