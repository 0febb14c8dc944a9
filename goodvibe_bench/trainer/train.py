"""Train one model by one trainer definition: attribution, tuner, loop, fold back, report.

It reads no definition files and generates nothing; run.py hands it pairs and writes what it returns.
"""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from goodvibe_bench.errors import UsageError
from goodvibe_bench.model.linears import parameter_count, target_linears
from goodvibe_bench.model.load import Loaded
from goodvibe_bench.neuron import attribution, selection
from goodvibe_bench.objective.sft import SftObjective
from goodvibe_bench.objective.verdict import VerdictObjective
from goodvibe_bench.trainer.definition import TrainerDefinition
from goodvibe_bench.trainer.loop import Account, fit
from goodvibe_bench.tuner.attach import attach, fold
from goodvibe_bench.tuner.spec import GoodVibeSpec, NoneSpec
from goodvibe_bench.types import Labelled, Pair, TrainReport

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
) -> TrainReport:
    """Train `loaded.model` on the secure sides of `pairs`, fold back, put the plain model in its place; report.

    Raises UsageError when there is nothing to train on, FloatingPointError when the loss leaves the finite numbers.
    """
    spec = definition.tuner
    if isinstance(spec, NoneSpec):
        raise ValueError("the none tuner trains nothing")
    training = definition.training_for(loaded.noun.id)
    objective = SftObjective(loaded.tokenizer, training.max_length)
    examples = _examples(objective, pairs)
    started = time.monotonic()
    details: dict[str, Any] = {"left_out_too_long": len(pairs) - len(examples)}
    chosen = None
    if isinstance(spec, GoodVibeSpec):
        chosen, found = find_neurons(loaded, spec, labelled(pairs), seed=seed, progress=progress)
        selection.save(chosen, scratch / "neurons.safetensors", {"model": loaded.noun.digest, "seed": str(seed)})
        details |= found
    attribution_seconds = time.monotonic() - started
    total = parameter_count(loaded.model)
    attached = attach(loaded.model, spec, chosen)
    trainable = attached.trainable()
    account = fit(
        attached.model,
        objective,
        examples,
        training,
        seed=seed,
        scratch=scratch / "trainer",
        progress=lambda step, steps, loss: progress("train", step, steps, f"loss {loss:.3f}"),
    )
    loaded.model, fold_error = fold(attached)
    return _report(
        account,
        trainable_parameters=trainable,
        total_parameters=total,
        examples=len(examples),
        attribution_seconds=round(attribution_seconds, 3),
        fold_error=fold_error,
        details=details | {"training": training.model_dump()},
    )


def _examples(objective: SftObjective, pairs: Sequence[Pair]) -> list[dict[str, Any]]:
    examples = objective.examples(pairs)
    if not examples:
        raise UsageError(
            f"No training pairs ({len(pairs)} given, none within max_length = {objective.max_length} tokens). "
            "Use other tasks, --quality raw, or a larger max_length."
        )
    return examples


def _report(account: Account, *, trainable_parameters: int, **known: Any) -> TrainReport:
    return TrainReport(
        trainable_parameters=trainable_parameters,
        steps=account.steps,
        training_seconds=round(account.seconds, 3),
        tokens=account.tokens,
        padded_tokens=account.padded_tokens,
        peak_memory_bytes=account.peak_memory_bytes,
        adapter_bytes=4 * trainable_parameters,
        first_loss=round(float(np.mean(account.losses[:3])), 4),
        last_loss=round(float(np.mean(account.losses[-3:])), 4),
        **known,
    )


def find_neurons(
    loaded: Loaded, spec: GoodVibeSpec, snippets: list[Labelled], *, seed: int, progress: Progress
) -> tuple[selection.Selection, dict[str, Any]]:
    """Return the selected and clustered rows of every target layer, and figures about them."""
    layers = target_linears(loaded.model, spec.projections)
    if spec.attribution == "random":
        profiles = selection.random_profiles({name: layer.out_features for name, layer in layers.items()}, seed)
        read = 0
    else:
        score = attribution.gradient_profiles if spec.attribution == "gradient" else attribution.activation_profiles
        sample = subsample(snippets, spec.samples, seed)
        read, done = len(sample), 0

        def count(more: int) -> None:
            nonlocal done
            done += more
            progress("attribute", done, read, "")

        profiles = score(loaded.model, VerdictObjective(loaded.tokenizer), sample, progress=count)
        profiles = {name: profile for name, profile in profiles.items() if name in layers}
    clustered = 0

    def count_layers(more: int) -> None:
        nonlocal clustered
        clustered += more
        progress("cluster", clustered, len(layers), "")

    chosen = selection.select(
        profiles,
        top_k=spec.top_k,
        features=spec.features,
        clusters=spec.clusters,
        min_silhouette=spec.min_silhouette,
        on_low_silhouette=spec.on_low_silhouette,
        random_clusters=spec.random_clusters,
        seed=seed,
        progress=count_layers,
    )
    silhouettes = [neurons.silhouette for neurons in chosen.values() if np.isfinite(neurons.silhouette)]
    return chosen, {
        "attribution_samples": read,
        "half_overlap": round(selection.overlap_of_halves(profiles, spec.top_k), 4) if read else None,
        "rows": sum(len(neurons.rows) for neurons in chosen.values()),
        "clusters": sum(neurons.cluster_count for neurons in chosen.values()),
        "median_silhouette": round(float(np.median(silhouettes)), 4) if silhouettes else None,
    }


def subsample(snippets: list[Labelled], count: int, seed: int) -> list[Labelled]:
    """Return `count` snippets, seeded, whole families (both sides of a pair) at a time, in their given order."""
    families = list(dict.fromkeys(item.family for item in snippets))
    order = np.random.default_rng(seed).permutation(len(families))
    kept: set[str] = set()
    size = 0
    for place in order:
        members = sum(item.family == families[place] for item in snippets)
        if size and size + members > count:
            break
        kept.add(families[place])
        size += members
    return [item for item in snippets if item.family in kept]
