"""From a judge's name to a judge: definition, fitted weights, card with thresholds. It fits nothing."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from goodvibe_bench import catalog
from goodvibe_bench.errors import UsageError
from goodvibe_bench.judge.definition import Card, JudgeDefinition, LinearJudge, ScriptedJudge
from goodvibe_bench.types import Judge, Language


@dataclass(frozen=True)
class Fitted:
    """A judge ready to label, and what a result records about it."""

    judge: Judge
    definition: catalog.Definition[JudgeDefinition]
    card: Card | None
    digest: str
    """Covers definition, weights and thresholds: two verdicts compare only under one digest."""


def read_card(folder: Path) -> Card | None:
    """Return the card in a judge's folder, or None where the judge was never fitted."""
    path = folder / "card.json"
    if not path.is_file():
        return None
    return catalog.parse(_json(path), Card, str(path))


def weights_folder(definition: catalog.Definition[JudgeDefinition]) -> Path:
    """Return the folder of a judge's weights and card: the one beside its definition with its name."""
    return definition.path.parent / definition.name


def load(name: str, *, dtype: str = "bfloat16", progress: Callable[[int], None] = lambda done: None) -> Fitted:
    """Return the judge `name` (or the definition at that path).

    A model judge without fitted weights runs untuned at threshold 0.5. Raises UsageError for an unknown judge, and
    for a linear one that was never fitted.
    """
    definition = catalog.read("judges", name, JudgeDefinition)
    folder = weights_folder(definition)
    card = read_card(folder)
    thresholds: dict[Language, float] = {}
    if card is not None:
        thresholds = {found.language: found.threshold for found in card.calibration.values()}
    spec = definition.content.judge
    if isinstance(spec, ScriptedJudge):
        from goodvibe_bench.judge import scripted

        judge: Judge = scripted.ScriptedJudge(definition.name, spec.unsafe_words)
        weights: Any = None
    elif isinstance(spec, LinearJudge):
        from goodvibe_bench.judge import linear

        judge = linear.LinearJudge(definition.name, linear.load(folder), thresholds)
        weights = card.weights_digest if card else None
    else:
        from goodvibe_bench.judge.model import ModelJudge
        from goodvibe_bench.model.load import load as load_model
        from goodvibe_bench.model.load import with_adapter

        loaded = load_model(spec.base, dtype=dtype)
        if (folder / "adapter_config.json").is_file():
            loaded = with_adapter(loaded, folder)
        judge = ModelJudge(definition.name, loaded, thresholds, spec.max_code_tokens, progress=progress)
        weights = [loaded.noun.digest, loaded.noun.adapter, dtype]
    digest = catalog.digest([definition.digest, weights, thresholds])
    return Fitted(judge, definition, card, digest)


def _json(path: Path) -> Any:
    import json

    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UsageError(f"{path} is not valid JSON: {error}") from error
