# ruff: noqa: ARG001 - all makers are called alike
"""From a judge's name to a judge: definition, fitted weights, card with thresholds. It fits nothing."""

import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from goodvibe_bench import catalog, disk
from goodvibe_bench.engine import Engine
from goodvibe_bench.engine import settings as engines
from goodvibe_bench.judge.cards import digest_weights, standing, weights_folder
from goodvibe_bench.judge.definition import (
    AnalyserJudge,
    Card,
    JudgeDefinition,
    LinearJudge,
    ModelJudge,
    PairwiseJudge,
    ScriptedJudge,
    SignalsJudge,
    VoteJudge,
)
from goodvibe_bench.types import LANGUAGES, Calibration, Judge, Language

KEPT = "verdicts"
"""The folder of the scratch that models' scores are kept in."""


@dataclass(frozen=True)
class Fitted:
    """A judge ready to label, and what a result records about it."""

    judge: Judge
    definition: catalog.Definition[JudgeDefinition]
    card: Card | None
    """Without calibrations where those of the file are of another judge (`cards.standing`)."""
    digest: str
    """Covers definition, weights, tool versions and thresholds: two verdicts compare only under one digest."""
    thresholds: dict[Language, float]
    """The lowest p_unsafe that is called unsafe; 0.5 for a language that is not here."""


@dataclass(frozen=True)
class Loading:
    """How judges are loaded."""

    dtype: str = "auto"
    """Of model judges: one of torch's, or "auto", what the device is quick in."""
    progress: Callable[[int], None] = lambda done: None
    """Called with how many more snippets a model has scored."""
    scratch: Path | None = None
    """Where scores are kept, so that no code is asked about twice; nowhere when None."""
    backend: Literal["transformers", "vllm"] = "transformers"
    """What model judges run on."""
    engine: Engine = field(default_factory=Engine)
    """How vLLM's engine is set up."""


def load(name: str, how: Loading = Loading()) -> Fitted:
    """Return the judge `name` (or the definition at that path).

    A model judge without fitted weights runs untuned. In a language without calibration, or with one that was made of
    another definition, other weights, tools or members, a judge's own threshold holds.
    Raises UsageError for an unknown judge, for a linear, signals or pairwise judge that was never fitted, for analysers
    none of which is installed, and for a vote that is its own member.
    """
    definition = catalog.read("judges", name, JudgeDefinition)
    card = standing(definition).card
    judge, weights = _MAKERS[definition.content.judge.kind](definition, definition.content.judge, how)
    own = definition.content.judge.threshold if isinstance(definition.content.judge, AnalyserJudge) else 0.5
    thresholds: dict[Language, float] = dict.fromkeys(LANGUAGES, own)
    if card is not None and card.calibration:
        from goodvibe_bench.judge.calibrated import Calibrated

        found: dict[Language, Calibration] = {one.language: one for one in card.calibration.values()}
        judge = Calibrated(definition.name, judge, found)
        thresholds |= {language: one.threshold for language, one in found.items()}
        weights = [weights, {language: one.scaling and one.scaling.model_dump() for language, one in found.items()}]
    return Fitted(judge, definition, card, catalog.digest([definition.digest, weights, thresholds]), thresholds)


Definition = catalog.Definition[JudgeDefinition]
Made = tuple[Judge, Any]
"""A judge whose p_unsafe is neither scaled nor compared with calibrated thresholds, and what its digest covers."""


def _scripted(definition: Definition, spec: ScriptedJudge, how: Loading) -> Made:
    from goodvibe_bench.judge import scripted

    return scripted.ScriptedJudge(definition.name, spec.unsafe_words), None


def _linear(definition: Definition, spec: LinearJudge, how: Loading) -> Made:
    from goodvibe_bench.judge import linear

    folder = weights_folder(definition)
    return linear.LinearJudge(definition.name, linear.load(folder)), digest_weights(folder)


def _signals(definition: Definition, spec: SignalsJudge, how: Loading) -> Made:
    from goodvibe_bench.judge import signals

    folder = weights_folder(definition)
    known = signals.read(definition.path.parent / spec.folder)
    judge = signals.SignalsJudge(definition.name, known, signals.load(folder, known))
    return judge, [digest_weights(folder), known.digest]


def _pairwise(definition: Definition, spec: PairwiseJudge, how: Loading) -> Made:
    from goodvibe_bench.judge import pairwise

    folder = weights_folder(definition)
    return pairwise.PairwiseJudge(definition.name, pairwise.load(folder, spec.features)), digest_weights(folder)


def _analyser(definition: Definition, spec: AnalyserJudge, how: Loading) -> Made:
    from goodvibe_bench.judge import analyser

    installed = analyser.find(spec, str(definition.path))
    versions = {name: tool.version for name, tool in installed.items()}
    return analyser.AnalyserJudge(definition.name, spec, installed), versions


def _vote(definition: Definition, spec: VoteJudge, how: Loading) -> Made:
    from goodvibe_bench.judge import vote

    members = [load(name, how) for name in spec.judges]
    weights = spec.weights or [1.0] * len(members)
    voters = tuple(
        vote.Member(one.definition.name, one.judge, one.thresholds, weight, one.digest)
        for one, weight in zip(members, weights, strict=True)
    )
    return vote.VoteJudge(definition.name, voters, spec.rule), [m.digest for m in members]


def _model(definition: Definition, spec: ModelJudge, how: Loading) -> Made:
    from goodvibe_bench.judge import cache, model
    from goodvibe_bench.model.load import best_dtype, with_adapter
    from goodvibe_bench.model.load import load as load_model

    if how.dtype == "auto":
        how = replace(how, dtype=best_dtype()[0])
    if how.backend == "vllm":
        return _served(definition, spec, how)
    folder = weights_folder(definition)
    loaded = load_model(spec.base, dtype=how.dtype)
    if (folder / "adapter_config.json").is_file():
        loaded = with_adapter(loaded, folder)
    judge = model.ModelJudge(definition.name, loaded, spec.max_code_tokens, spec.bare, progress=how.progress)
    weights = [loaded.noun.digest, loaded.noun.adapter, how.dtype]
    if how.scratch:
        digest = cache.digest_scoring(definition.digest, weights, str(loaded.device))
        judge.kept = cache.cached(judge.ask, how.scratch / KEPT, digest)
    return judge, weights


def _served(definition: Definition, spec: ModelJudge, how: Loading) -> Made:
    from goodvibe_bench.judge import cache, served
    from goodvibe_bench.model.load import best_device, on_disk

    folder, adapter = _one_folder(definition, spec, how)
    model = on_disk(str(folder))
    judge = served.ServedJudge(
        definition.name, model, spec.max_code_tokens, spec.bare, how.dtype, how.engine, progress=how.progress
    )
    ours = [how.engine.deciding(), engines.installed(), catalog.code_digest("engine")]
    weights = [model.noun.digest, adapter, how.dtype, ours]
    if how.scratch:
        digest = cache.digest_scoring(definition.digest, weights, best_device().type)
        judge.kept = cache.cached(judge.ask, how.scratch / KEPT, digest)
    return judge, weights


def _one_folder(definition: Definition, spec: ModelJudge, how: Loading) -> tuple[Path, str | None]:
    """Return a folder with the judge's weights, and the digest of the adapter that was merged into them, if any."""
    from goodvibe_bench.model.load import load as load_model
    from goodvibe_bench.model.load import save, with_adapter
    from goodvibe_bench.model.source import cache_folder, digest_folder, locate

    weights, base = weights_folder(definition), locate(spec.base)
    if not (weights / "adapter_config.json").is_file():
        return base.folder, None
    adapter = digest_folder(weights)
    key = catalog.digest([digest_folder(base.folder), adapter, how.dtype, catalog.code_digest("model")])
    folder = cache_folder() / "judges" / f"{definition.name}-{key}"
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(dir=folder.parent, prefix=disk.PARTIAL))
        loaded = with_adapter(load_model(spec.base, dtype=how.dtype, device="cpu"), weights)
        save(loaded, partial, {"judge": definition.name})
        with suppress(OSError):  # another process was first
            disk.publish(partial, folder)
        shutil.rmtree(partial, ignore_errors=True)
    return folder, adapter


_MAKERS: dict[str, Callable[[Definition, Any, Loading], Made]] = {
    "scripted": _scripted,
    "linear": _linear,
    "signals": _signals,
    "pairwise": _pairwise,
    "analyser": _analyser,
    "vote": _vote,
    "model": _model,
}
