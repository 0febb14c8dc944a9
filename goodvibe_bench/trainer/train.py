"""Train one model by one trainer definition: attribution, tuner, loop, fold back, report.

It reads no definition files and generates nothing; run.py hands it pairs and writes what it returns.
"""

import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from peft.utils import SAFETENSORS_WEIGHTS_NAME

from goodvibe_bench.errors import UsageError
from goodvibe_bench.model.cpu import quicken
from goodvibe_bench.model.linears import parameter_count
from goodvibe_bench.model.load import Loaded
from goodvibe_bench.objective.sft import SftObjective
from goodvibe_bench.objective.training import Training
from goodvibe_bench.trainer import cost, meta_step, processes, shards
from goodvibe_bench.trainer.definition import ADAPTER, TrainerDefinition
from goodvibe_bench.trainer.loop import Account, fit, micro_batch
from goodvibe_bench.trainer.memory import device_name, needs_checkpointing, peak_memory
from goodvibe_bench.trainer.neurons import FoundNeurons, find_neurons
from goodvibe_bench.trainer.top import decoder_of, hidden_below, top_only
from goodvibe_bench.tuner.attach import Attached, attach, fold
from goodvibe_bench.tuner.export import export
from goodvibe_bench.tuner.spec import FullSpec, GoodVibeSpec, LoraSpec, NoneSpec
from goodvibe_bench.types import Flops, Labelled, Pair, TrainReport

Progress = Callable[[str, int, int, str], None]
"""Called with stage, done, total and a short text."""


def labelled(pairs: Sequence[Pair]) -> list[Labelled]:
    """Return both sides of every pair with their labels (1 = insecure)."""
    found = []
    for pair in pairs:
        shared: dict[str, Any] = {"language": pair.language, "cwe": pair.cwe, "family": pair.family or pair.id}
        found.append(Labelled(id=f"{pair.id}/secure", code=pair.secure, label=0, why=pair.why_secure, **shared))
        found.append(Labelled(id=f"{pair.id}/insecure", code=pair.insecure, label=1, why=pair.why_insecure, **shared))
    return found


def train(
    loaded: Loaded,
    definition: TrainerDefinition,
    pairs: Sequence[Pair],
    *,
    seed: int,
    scratch: Path,
    progress: Progress = lambda stage, done, total, text: None,
    report_to: str | None = None,
    readings: Path | None = None,
) -> TrainReport:
    """Train `loaded.model` on the secure sides of `pairs`, fold back, put the plain model in its place; report.

    Attribution's readings are kept in the folder `readings`, and taken from there.

    Raises UsageError when there is nothing to train on, FloatingPointError when the loss leaves the finite numbers.
    """
    spec = definition.tuner
    if isinstance(spec, NoneSpec):
        raise ValueError("the none tuner trains nothing")
    shards.check()
    training = definition.training_for(loaded.noun.id)
    objective = SftObjective(loaded.tokenizer, training.max_length)
    examples = _examples(objective, pairs)
    quicken(loaded.model, max(len(row["input_ids"]) for row in examples))
    training = _settled(training, loaded, spec, examples)
    details = _details(loaded, len(pairs) - len(examples), training)
    scratch.mkdir(parents=True, exist_ok=True)
    found, total = None, parameter_count(loaded.model)
    with peak_memory(loaded.device) as peak:  # of attribution, of what the tuner adds, and of the loop
        if isinstance(spec, GoodVibeSpec):
            snippets, path = labelled(pairs), scratch / "neurons.safetensors"
            found = find_neurons(loaded, spec, snippets, path, seed=seed, kept=readings, progress=progress)
            details |= found.figures
        attached = attach(loaded.model, spec, found.selection if found else None, seed)
        trainable, where = attached.trainable(), scratch / "trainer"
        account, below = _fit(attached, objective, examples, training, seed, where, progress, report_to, peak)
    loaded.model, fold_error = _take_off(attached, scratch / ADAPTER)
    shutil.rmtree(where, ignore_errors=True)
    return _report(
        account,
        found,
        trainable_parameters=trainable,
        total_parameters=total,
        examples=len(examples),
        flops=_flops(loaded.model.config, spec, training, account, below, found),
        adapter_bytes=_file_bytes(loaded.model, scratch / ADAPTER),
        fold_error=fold_error,
        details=details | {"loop": account.settings},
    )


def _details(loaded: Loaded, left_out: int, training: Training) -> dict[str, Any]:
    """Return what a report tells beside its figures."""
    where = {"device": device_name(loaded.device), "processes": processes.count()}
    where["micro_batch"] = micro_batch(training)
    return {"left_out_too_long": left_out, "training": training.model_dump(), **where}


def _settled(
    training: Training, loaded: Loaded, spec: FullSpec | LoraSpec | GoodVibeSpec, examples: list[dict[str, Any]]
) -> Training:
    """Return the settings with checkpointing on or off in place of "auto".

    Raises UsageError, before anything costly, where the processes cannot share a step, and for top layers of a model
    that cannot be cut below them.
    """
    if not isinstance(spec, FullSpec) and spec.top_layers is not None:
        _check_cut(loaded, spec.top_layers)
    micro = micro_batch(training)
    if training.checkpointing != "auto":
        return training
    return training.model_copy(update={"checkpointing": _too_big(loaded, spec, examples, micro)})


def _check_cut(loaded: Loaded, top_layers: int) -> None:
    try:
        decoder_of(loaded.model)
    except ValueError as error:
        raise UsageError(
            f"tuner.top_layers = {top_layers}: {error}, so the layers below cannot be computed once. "
            "Train all layers: --set tuner.top_layers=none."
        ) from error


def _too_big(
    loaded: Loaded, spec: FullSpec | LoraSpec | GoodVibeSpec, examples: list[dict[str, Any]], micro: int
) -> bool:
    """Return whether the longest micro-batch needs checkpointing; False where the model's cost is not known."""
    longest = max(examples, key=lambda row: len(row["input_ids"]))
    batch = cost.Batch(micro, len(longest["input_ids"]), longest["answer_length"])
    try:
        return needs_checkpointing(loaded.model.config, spec, batch, loaded.model.dtype, loaded.device)
    except UsageError:
        return False


def _fit(
    attached: Attached,
    objective: SftObjective,
    examples: list[dict[str, Any]],
    training: Training,
    seed: int,
    scratch: Path,
    progress: Progress,
    report_to: str | None,
    peak: Callable[[], int],
) -> tuple[Account, list[tuple[int, int]]]:
    """Run the loop, on the top layers alone where the spec says so; return also the shapes of the passes below them.

    Every process runs those on all examples, since any of them may be its own in some epoch.
    """
    started, below = time.monotonic(), []
    with ExitStack() as stack:
        if not isinstance(attached.spec, FullSpec) and attached.spec.top_layers is not None:
            below = _run_below(attached.model, examples, attached.spec.top_layers, progress) * processes.count()
            stack.enter_context(top_only(attached.model, attached.spec.top_layers))
        below_seconds = time.monotonic() - started
        account = fit(
            attached.model,
            objective,
            examples,
            training,
            seed=seed,
            scratch=scratch,
            progress=lambda step, steps, loss: progress("train", step, steps, f"loss {loss:.3f}"),
            report_to=report_to,
            peak=peak,
        )
    account.seconds += below_seconds
    return account, below


def _take_off(attached: Attached, adapter: Path) -> tuple[Any, float]:
    """Return the plain model and what folding lost; the first process writes the tuner's own weights to `adapter`.

    Where each process holds a part of the weights, the first one puts them together, and the others keep parts, which
    say nothing and are saved by nobody.
    """
    first, spread = processes.is_first(), shards.is_sharded(attached.model)
    if spread:
        shards.gather(attached.model, keep=first)
    if first and not isinstance(attached.spec, FullSpec):
        export(attached.model, adapter)
    return fold(attached) if first or not spread else (attached.model, 0.0)


def _file_bytes(model: Any, adapter: Path) -> int:
    """Return the bytes of the adapter's file; where there is none, those of the model's weights as they are saved."""
    try:
        return (adapter / SAFETENSORS_WEIGHTS_NAME).stat().st_size
    except FileNotFoundError:
        return sum(weight.numel() * weight.itemsize for weight in model.parameters())


def _run_below(
    model: Any, examples: list[dict[str, Any]], top_layers: int, progress: Progress
) -> list[tuple[int, int]]:
    """Give every example the hidden states that enter the top layers; return the shapes of the passes it took."""
    done = 0

    def count(more: int) -> None:
        nonlocal done
        done += more
        progress("layers below", done, len(examples), "")

    states, shapes = hidden_below(model, [row["input_ids"] for row in examples], top_layers, progress=count)
    for row, state in zip(examples, states, strict=True):
        row["hidden"] = state
    return shapes


def _flops(
    config: Any,
    spec: FullSpec | LoraSpec | GoodVibeSpec,
    training: Training,
    account: Account,
    below: Sequence[tuple[int, int]],
    found: FoundNeurons | None,
) -> Flops | None:
    """Return the analytic account of all passes, and what a count of one of them on the meta device makes of it.

    None for a model whose cost is not known from its shapes.
    """
    try:
        shape = cost.Shape.from_config(config, spec)
    except UsageError:
        return None
    clusters = {path: neurons.cluster_count for path, neurons in found.selection.items()} if found else None
    batches = [cost.Batch(*batch) for batch in account.batches]
    distinct = [cost.Batch(rows, length, 0) for rows, length in below]
    spent = cost.training(
        shape, spec, batches, distinct=distinct, clusters=clusters, checkpointing=training.checkpointing is True
    )
    scored = [cost.Batch(rows, length, 1) for rows, length in found.shapes] if found else []
    one = batches[len(batches) // 2]
    same = [one] if below else []
    counted = meta_step.counted(config, spec, one, clusters=clusters)
    return Flops(
        training=spent.total,
        attribution=cost.attribution(shape, spec, scored).total,
        counted_ratio=round(counted / cost.training(shape, spec, [one], distinct=same, clusters=clusters).total, 5),
        headline=cost.headline(
            shape,
            spec,
            account.padded_tokens,
            sum(rows * length for rows, length in below),
            checkpointing=training.checkpointing is True,
        ),
    )


def _examples(objective: SftObjective, pairs: Sequence[Pair]) -> list[dict[str, Any]]:
    examples = objective.examples(pairs)
    if not examples:
        raise UsageError(
            f"No training pairs ({len(pairs)} given, none within max_length = {objective.max_length} tokens). "
            "Use other tasks, --quality raw, or a larger max_length."
        )
    return examples


def _report(account: Account, found: FoundNeurons | None, **known: Any) -> TrainReport:
    return TrainReport(
        attribution_seconds=found.seconds if found else 0.0,
        attribution_tokens=found.tokens if found else 0,
        steps=account.steps,
        training_seconds=round(account.seconds, 3),
        tokens=account.tokens,
        padded_tokens=account.padded_tokens,
        tokens_per_second=round(account.tokens / account.seconds, 2),
        peak_memory_bytes=account.peak_memory_bytes,
        first_loss=round(float(np.mean(account.losses[:3])), 4),
        last_loss=round(float(np.mean(account.losses[-3:])), 4),
        **known,
    )
