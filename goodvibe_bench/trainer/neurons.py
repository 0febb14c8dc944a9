"""Find the security neurons that a GoodVibe tuner trains, or take them from a file that was made of the same things.

It trains nothing. Scores and choices are made in neuron/; here is only what to read, when to stop, and the file.
"""

import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from accelerate.utils import gather_object, reduce

from goodvibe_bench import catalog
from goodvibe_bench.errors import UsageError
from goodvibe_bench.model import linears
from goodvibe_bench.model.load import Loaded
from goodvibe_bench.neuron import attribution, selection, store
from goodvibe_bench.neuron.attribution import Kind, Layers, Profiles
from goodvibe_bench.objective import verdict
from goodvibe_bench.trainer import processes, readings
from goodvibe_bench.tuner.spec import GoodVibeSpec
from goodvibe_bench.types import Labelled

FIRST_SNIPPETS = 32
"""Read before the first look at whether halves agree."""
MORE_SNIPPETS = 32
"""Read between two looks."""


@dataclass(frozen=True)
class FoundNeurons:
    """The neurons, figures about them, and what reading cost, or had cost when the file was made."""

    selection: selection.Selection
    figures: dict[str, Any]
    tokens: int
    """Real tokens that attribution read; 0 where it is random."""
    shapes: tuple[tuple[int, int], ...]
    """(batch, padded length) of each of its forward passes."""
    seconds: float
    """What finding them took, when it was done."""
    reused: bool
    """Whether a file was at hand; it decides nothing, so it is no figure."""


@dataclass
class _Reading:
    """What was scored so far; profiles are [samples, d_out] a module, in the order of `snippets`."""

    profiles: Profiles
    snippets: list[Labelled] = field(default_factory=list)
    tokens: int = 0
    shapes: list[tuple[int, int]] = field(default_factory=list)
    seconds: float = 0.0
    half_overlap: float = float("nan")
    cut: int = 0
    """Snippets that were read without their middle, being longer than the objective takes."""


def find_neurons(
    loaded: Loaded,
    spec: GoodVibeSpec,
    snippets: list[Labelled],
    path: Path,
    *,
    seed: int,
    kept: Path | None = None,
    progress: Callable[[str, int, int, str], None] = lambda stage, done, total, text: None,
) -> FoundNeurons:
    """Return the selected and clustered rows of the spec's layers, and write them to the neuron file `path`.

    A file there with the same key (model, dtype, snippets, template, spec, seed, code) is used instead of reading.
    Readings in the folder `kept` are taken where they are of the same snippets, whatever is chosen from them.
    Processes that train together share the reading, and all take what the first one selects: another processor may
    round otherwise and select other rows or clusters. Every one of them must call it.
    """
    sample = [] if spec.attribution == "random" else subsample(snippets, spec.samples, seed)
    key = _key(loaded, spec, sample, seed)
    file = _reusable(path, key)
    reused = processes.agree(file is not None)
    if file is None or not reused:
        reading = _read(loaded, spec, sample, seed, kept, progress)
        started = time.monotonic()
        chosen = processes.from_first(lambda: _select(spec, reading.profiles, seed, progress))
        seconds = reading.seconds + time.monotonic() - started
        store.write(path, chosen, reading.profiles, _note(loaded, spec, reading, seed, key, seconds))
        file = store.read(path)
    shapes = tuple((int(rows), int(length)) for rows, length in json.loads(file.note["shapes"]))
    return FoundNeurons(
        file.selection, _figures(file), int(file.note["tokens"]), shapes, float(file.note["seconds"]), reused
    )


def subsample(snippets: list[Labelled], count: int, seed: int) -> list[Labelled]:
    """Return `count` snippets, seeded, whole families (both sides of a pair) at a time, in their given order.

    Those of a smaller count are among those of a larger one.
    """
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


def _read(
    loaded: Loaded,
    spec: GoodVibeSpec,
    sample: list[Labelled],
    seed: int,
    kept: Path | None,
    progress: Callable[[str, int, int, str], None],
) -> _Reading:
    """Score the spec's layers on a growing part of `sample` until its halves agree on the rows, or all is read."""
    layers = linears.target_linears(loaded.model, spec.projections, spec.top_layers)
    linears.check_numbered(layers)
    if spec.attribution == "random":
        widths = {name: layer.out_features for name, layer in layers.items()}
        return _Reading(selection.random_profiles(widths, seed))
    reading, kind = _Reading({}), spec.attribution
    for count in (*range(FIRST_SNIPPETS, spec.samples, MORE_SNIPPETS), spec.samples):
        read = {item.family for item in reading.snippets}
        fresh = [item for item in subsample(sample, count, seed) if item.family not in read]
        if not fresh:
            continue
        _add(reading, fresh, _scored(loaded, kind, layers, fresh, kept, _from(progress, reading, len(sample))))
        families = [item.family for item in reading.snippets]
        reading.half_overlap = selection.overlap_of_halves(reading.profiles, spec.top_k, families)
        if processes.agree(len(families) >= FIRST_SNIPPETS and reading.half_overlap >= spec.enough_overlap):
            break
    reading.cut = verdict.VerdictObjective(loaded.tokenizer).count_cut(reading.snippets)
    progress("attribute", len(reading.snippets), len(reading.snippets), _outcome(reading))
    return reading


def _outcome(reading: _Reading) -> str:
    text = f"halves agree on {reading.half_overlap:.0%}"
    most = verdict.VerdictObjective.max_code_tokens
    return (
        f"{text}; {reading.cut} snippets longer than {most} tokens, read without their middle" if reading.cut else text
    )


def _from(progress: Callable[[str, int, int, str], None], reading: _Reading, total: int) -> Callable[[int], None]:
    """Return what tells how many snippets were read, of those that come after `reading`'s."""
    before = len(reading.snippets)
    return lambda done: progress("attribute", before + done, total, "")


def _scored(
    loaded: Loaded,
    kind: Kind,
    layers: Layers,
    fresh: list[Labelled],
    kept: Path | None,
    progress: Callable[[int], None],
) -> readings.Reading:
    """Return what the snippets score, from `kept` where every process has it there."""
    path = kept / readings.name(loaded, kind, list(layers), fresh) if kept else None
    known = readings.load(path) if path else None
    if processes.agree(known is not None) and known is not None:
        return known
    started, shapes, tokens = time.monotonic(), [], 0

    def count(mask: torch.Tensor) -> None:
        nonlocal tokens
        tokens += int(mask.sum())
        shapes.append((mask.shape[0], mask.shape[1]))
        progress(min(len(fresh), processes.count() * sum(rows for rows, _ in shapes)))

    objective, turn = verdict.VerdictObjective(loaded.tokenizer), (processes.rank(), processes.count())
    found = attribution.score_profiles(loaded.model, objective, fresh, kind, layers=layers, turn=turn, on_batch=count)
    if processes.count() > 1:
        found = {name: _summed(profile.to(loaded.device)).cpu() for name, profile in found.items()}
        seen = gather_object([(tokens, shapes)])
        tokens, shapes = sum(each for each, _ in seen), [shape for _, each in seen for shape in each]
    scored = readings.Reading(found, tokens, shapes, time.monotonic() - started)
    if path:
        readings.save(path, scored)
    return scored


def _summed(part: torch.Tensor) -> torch.Tensor:
    return cast(torch.Tensor, reduce(part, "sum"))  # over processes


def _add(reading: _Reading, fresh: list[Labelled], scored: readings.Reading) -> None:
    """Add the scores of the `fresh` snippets, and the cost of reading them, to `reading`."""
    before = reading.profiles
    reading.profiles = {
        name: torch.cat([before[name], profile]) if before else profile for name, profile in scored.profiles.items()
    }
    reading.snippets += fresh
    reading.tokens += scored.tokens
    reading.shapes += scored.shapes
    reading.seconds += scored.seconds


def _select(
    spec: GoodVibeSpec, profiles: Profiles, seed: int, progress: Callable[[str, int, int, str], None]
) -> selection.Selection:
    clustered = 0

    def count(more: int) -> None:
        nonlocal clustered
        clustered += more
        progress("cluster", clustered, len(profiles), "")

    chosen = selection.select(
        profiles,
        top_k=spec.top_k,
        features=spec.features,
        clusters=spec.clusters,
        min_silhouette=spec.min_silhouette,
        on_low_silhouette=spec.on_low_silhouette,
        random_clusters=spec.random_clusters,
        seed=seed,
        progress=count,
    )
    if not any(len(neurons.rows) for neurons in chosen.values()):
        known = [neurons.silhouette for neurons in chosen.values() if math.isfinite(neurons.silhouette)]
        best = f"the best silhouette of any layer is {max(known):.2f}" if known else "no layer can be clustered"
        raise UsageError(
            f"No row is left to train: {best}, and tuner.min_silhouette is {spec.min_silhouette}. Lower it, or set "
            "tuner.on_low_silhouette to independent or single."
        )
    return chosen


def _key(loaded: Loaded, spec: GoodVibeSpec, sample: list[Labelled], seed: int) -> str:
    """Return the digest of all that decides a neuron file: what may be read, by what, how, by which code of ours."""
    unread = {"samples", "enough_overlap"} if spec.attribution == "random" else set()
    return catalog.digest(
        {
            "model": [loaded.noun.digest, loaded.noun.adapter],
            "dtype": str(loaded.model.dtype),
            "attention": loaded.model.config._attn_implementation,
            "template": readings.template(loaded),
            "data": readings.data(sample),
            "spec": spec.model_dump(mode="json", exclude=unread),
            "seed": seed,
            "code": catalog.code_digest("model", "neuron", "objective", "trainer"),
            "libraries": catalog.versions(*catalog.MODEL_LIBRARIES, "scikit-learn"),
        }
    )


def _note(loaded: Loaded, spec: GoodVibeSpec, reading: _Reading, seed: int, key: str, seconds: float) -> dict[str, str]:
    overlap = reading.half_overlap
    return {
        "model": loaded.noun.digest,
        "data": readings.data(reading.snippets),
        "template": readings.template(loaded),
        "dtype": str(loaded.model.dtype).removeprefix("torch."),
        "attribution": spec.attribution,
        "samples": str(len(reading.snippets)),
        "cut": str(reading.cut),
        "max_code_tokens": str(verdict.VerdictObjective.max_code_tokens),
        "tokens": str(reading.tokens),
        "seconds": f"{seconds:.3f}",
        "shapes": json.dumps(reading.shapes),
        "seed": str(seed),
        "half_overlap": f"{overlap:.4f}" if math.isfinite(overlap) else "",
        "key": key,
    }


def _reusable(path: Path, key: str) -> store.NeuronFile | None:
    """Return the neuron file at `path` if it is whole and made of the same things, else None."""
    try:
        file = store.read(path)
    except UsageError:
        return None
    return file if file.note["key"] == key else None


def _figures(file: store.NeuronFile) -> dict[str, Any]:
    silhouettes = [found.silhouette for found in file.selection.values() if math.isfinite(found.silhouette)]
    return {
        "attribution_samples": int(file.note["samples"]),
        "attribution_cut": int(file.note["cut"]),
        "attribution_tokens": int(file.note["tokens"]),
        "half_overlap": float(file.note["half_overlap"]) if file.note["half_overlap"] else None,
        "rows": sum(len(found.rows) for found in file.selection.values()),
        "clusters": sum(found.cluster_count for found in file.selection.values()),
        "median_silhouette": round(float(np.median(silhouettes)), 4) if silhouettes else None,
    }
