"""What `plan` prints before a run: parameters, FLOPs and memory of every method, from a model's config alone.

It loads no weights and trains nothing; a model of models/*.json needs neither files nor hub.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from goodvibe_bench import catalog
from goodvibe_bench.errors import UsageError, nearest
from goodvibe_bench.model import known_as
from goodvibe_bench.trainer.definition import TrainerDefinition
from goodvibe_bench.tuner.spec import FullSpec, GoodVibeSpec, LoraSpec, TunerSpec
from goodvibe_bench.types import PROJECTIONS, Noun

Column = Literal["full", "lora", "goodvibe"]
_OPTIONS = {
    "training.epochs": "--epochs",
    "training.micro_batch_size": "--micro-batch",
    "training.max_length": "--tokens-per-pair",
}
"""Keys of trainers that a plan has options for."""
_COUNTED_LAYERS, _COUNTED_TOKENS = 4, 32
"""Layers and tokens of the step whose FLOPs are counted: few are enough for the ratio."""
_UNCLUSTERED = {
    "independent": "every row is trained alone",
    "single": "all rows share one update",
    "freeze": "no row is trained",
}
"""What becomes of rows that do not cluster, by tuner.on_low_silhouette."""


class Facts(Noun):
    """One file of models/: the config fields that decide a model's shapes, and what the paper prints of it."""

    hub: str
    same_shape: tuple[str, ...] = ()
    """Other hub ids of the same shape."""
    config: dict[str, Any]
    paper: dict[Column, float] | None = None
    """Table 2: trained parameters in millions, as printed."""
    paper_pflops: dict[Column, float] | None = None
    """Table 3, as printed."""
    why: dict[Column, str] = {}
    """Why our count differs from Table 2's."""


class Workload(Noun):
    """What is trained on. All examples have one length, padding included; the answer is all of it unless given."""

    pairs: int = Field(default=424, ge=1)
    """The paper's C++ and Java sets."""
    tokens_per_pair: int = Field(default=512, ge=2)
    answer_tokens: int | None = Field(default=None, ge=1)
    epochs: int = Field(default=2, ge=1)
    micro_batch: int = Field(default=1, ge=1)
    dtype: Literal["bfloat16", "float16", "float32"] = "bfloat16"


@dataclass(frozen=True)
class Plan:
    """One method's figures. FLOPs are analytic; None where a ratio has nothing to compare."""

    method: str
    trainable_parameters: int
    total_parameters: int
    training_flops: int
    attribution_flops: int
    headline_flops: int
    """6N or 4N a token, 2N more with checkpointing (cost.headline)."""
    counted_over_analytic: float | None
    adapter_bytes: int
    """Of the weights in the file that a training leaves: the adapter as LoRA, the whole model for full."""
    peak_memory_bytes: int
    paper_millions: float | None


def known() -> dict[str, Facts]:
    """Return the models of models/*.json by name."""
    paths = sorted((catalog.root() / "models").glob("*.json"))
    return {path.stem: catalog.parse(catalog.json_words(path), Facts, str(path)) for path in paths}


def find(name: str) -> Facts | None:
    """Return the facts of a model by its name in models/ or its hub id, whatever the case."""
    wanted = name.lower()
    for stem, facts in known().items():
        if wanted in {stem, *(word.lower() for word in (facts.hub, *facts.same_shape))}:
            return facts
    return None


def read_config(name: str) -> Any:
    """Return a model's transformers config: of models/, else of a local folder, else of the hub.

    Raises UsageError for a model that is none of them, and for a config that transformers does not know.
    """
    from transformers import AutoConfig

    facts = find(name)
    if facts:
        words = dict(facts.config)
        return AutoConfig.for_model(words.pop("model_type"), **words)
    path = _config_file(name)
    try:
        return AutoConfig.from_pretrained(path.parent, local_files_only=True)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UsageError(f"{path} is no config that transformers can read: {error}") from error


def _config_file(name: str) -> Path:
    folder = Path(name).expanduser()
    if folder.exists():
        if not (folder / "config.json").is_file():
            raise UsageError(f"Model folder {name!r} has no config.json. Save the model with save_pretrained().")
        return folder / "config.json"
    if name.startswith((".", "/", "~")) or name.count("/") != 1:
        raise UsageError(
            f"Model {name!r} is no folder here, not in models/ and no hub id (owner/name). "
            + nearest(name, list(known()))
        )
    from huggingface_hub import hf_hub_download

    try:
        return Path(hf_hub_download(name, "config.json"))
    except Exception as error:
        raise UsageError(
            f"The config of model {name!r} could not be fetched: no answer from the model hub, no such model, or a "
            f"gated one. Use a local folder or a model whose shape is known ({', '.join(known())}). "
            f"({type(error).__name__})"
        ) from error


def changes(overrides: dict[str, str]) -> dict[str, str]:
    """Return `--set` words for the trainers. Raises UsageError for those that a plan takes as options of its own."""
    for key in overrides:
        if key in _OPTIONS:
            raise UsageError(f"--set {key}: a plan takes {_OPTIONS[key]} in its place.")
    return overrides


def plan(
    model: str,
    methods: tuple[str, ...],
    work: Workload,
    trainers: Sequence[catalog.Definition[TrainerDefinition]] | None = None,
) -> tuple[list[Plan], list[str]]:
    """Return each method's plan, and notes: assumptions, and why a figure differs from the paper's.

    `trainers` are taken in place of the definitions that the methods name. Raises UsageError for unknown methods and
    models, and where an answer is longer than its example.
    """
    if (work.answer_tokens or 1) >= work.tokens_per_pair:
        raise UsageError(f"An answer of {work.answer_tokens} tokens leaves no prompt in {work.tokens_per_pair} tokens.")
    trainers = trainers or [catalog.read("trainers", name, TrainerDefinition) for name in methods]
    facts, config = find(model), read_config(model)
    plans, notes = [], []
    for trainer in trainers:
        column = _column(trainer.content.tuner) if facts and facts.paper else None
        found = _plan(config, model, trainer.name, trainer.content, work)
        if facts and facts.paper and column:
            found = replace(found, paper_millions=facts.paper[column])
            notes += _difference(config, found, trainer.content.tuner, facts)
        if facts and facts.paper:
            notes += _with_head(config, found, trainer.content.tuner)
        plans.append(found)
        notes += [f"{trainer.name}: {note}" for note in _assumptions(trainer.content, work)]
    if facts and facts.paper_pflops:
        notes.append(_table_3(facts.paper_pflops))
    return plans, notes


def _plan(config: Any, model: str, name: str, definition: TrainerDefinition, work: Workload) -> Plan:
    import torch

    from goodvibe_bench.trainer import cost, meta_step

    spec, shape, dtype = definition.tuner, cost.Shape.from_config(config, definition.tuner), getattr(torch, work.dtype)
    checkpointing = definition.training_for(known_as(model)).checkpointing is True
    length, distinct = work.tokens_per_pair, work.pairs * work.tokens_per_pair
    kept = work.answer_tokens or length
    full, rest = divmod(work.pairs, work.micro_batch)
    epoch = [cost.Batch(work.micro_batch, length, kept)] * full + [cost.Batch(rest, length, kept)] * (rest > 0)
    snippets = [cost.Batch(1, length, 1)] * (_snippets(spec, work))
    return Plan(
        method=name,
        trainable_parameters=cost.trainable_parameters(shape, spec),
        total_parameters=shape.parameters,
        training_flops=cost.training(
            shape, spec, epoch * work.epochs, distinct=epoch, checkpointing=checkpointing
        ).total,
        attribution_flops=cost.attribution(shape, spec, snippets).total,
        headline_flops=cost.headline(shape, spec, distinct * work.epochs, distinct, checkpointing=checkpointing),
        counted_over_analytic=_ratio(config, spec),
        adapter_bytes=cost.file_bytes(shape, spec, dtype.itemsize),
        peak_memory_bytes=meta_step.peak_memory(config, spec, epoch[0], dtype, checkpointing=checkpointing).total,
        paper_millions=None,
    )


def _ratio(config: Any, spec: TunerSpec) -> float | None:
    """Return counted over analytic FLOPs of one small step on a few layers; None where nothing is trained."""
    from goodvibe_bench.model.meta import with_layers
    from goodvibe_bench.trainer import cost, meta_step

    if spec.kind == "none":
        return None
    few = with_layers(config, min(_COUNTED_LAYERS, config.get_text_config().num_hidden_layers))
    if isinstance(spec, LoraSpec | GoodVibeSpec) and spec.top_layers:
        spec = spec.model_copy(update={"top_layers": min(spec.top_layers, max(1, few.num_hidden_layers // 2))})
    batch = cost.Batch(1, _COUNTED_TOKENS, _COUNTED_TOKENS)
    analytic = cost.training(cost.Shape.from_config(few, spec), spec, [batch], distinct=[batch]).total
    return meta_step.counted(few, spec, batch) / analytic


def _snippets(spec: TunerSpec, work: Workload) -> int:
    """Return how many snippets attribution reads at most, both sides of every pair."""
    return min(spec.samples, 2 * work.pairs) if isinstance(spec, GoodVibeSpec) else 0


def _column(spec: TunerSpec) -> Column | None:
    """Return the column of Table 2 that the tuner stands in, None for a method that the paper does not have."""
    if isinstance(spec, FullSpec):
        return "full"
    if isinstance(spec, LoraSpec) and spec == LoraSpec(kind="lora", rank=2, alpha=spec.alpha):
        return "lora"
    if not isinstance(spec, GoodVibeSpec) or spec.attribution != "gradient":
        return None
    return "goodvibe" if spec.clusters and not spec.random_clusters and not spec.top_layers else None


def _difference(config: Any, found: Plan, spec: TunerSpec, facts: Facts) -> list[str]:
    """Return one line where the paper prints another number than ours has, rounded alike."""
    ours, printed, text = found.trainable_parameters / 1e6, found.paper_millions or 0.0, config.get_text_config()
    if round(ours, 1) == printed:
        return []
    column = _column(spec)
    why = facts.why.get(column, "reason not known") if column else ""
    if isinstance(spec, GoodVibeSpec):
        low, high = (1e6 * (printed + off) / (text.num_hidden_layers * text.hidden_size) for off in (-0.05, 0.05))
        why = f"rounded so, it is {low:.2f} to {high:.2f} x layers x hidden (12.75 to 12.94 fits all six models), "
        why += (
            "which two or more clusters on all seven projections exceed"
            if set(spec.projections) >= set(PROJECTIONS)
            else "and which modules and clusters it counts is a guess"
        )
    return [f"{found.method}: {ours:.3f} million trained, the paper prints {printed}: {why}."]


def _with_head(config: Any, found: Plan, spec: TunerSpec) -> list[str]:
    """Return a line with what the paper counts where nothing is clustered: the LM head's rows too."""
    if not isinstance(spec, GoodVibeSpec) or spec.clusters is not None or spec.top_layers is not None:
        return []
    rows = spec.top_k * config.get_text_config().hidden_size
    return [
        f"{found.method}: {found.trainable_parameters + rows:,} with {spec.top_k} rows of the LM head, which the paper "
        "counts and nothing here trains."
    ]


def _assumptions(definition: TrainerDefinition, work: Workload) -> list[str]:
    spec, found = definition.tuner, []
    if definition.scope == "language":
        found.append("it trains one model a language; the figures are of one that is trained on all these pairs.")
    if not isinstance(spec, GoodVibeSpec):
        return found
    if spec.clusters is not None and spec.random_clusters is None:
        found.append(_clusters(*spec.clusters, spec))
    if spec.attribution != "random":
        found.append(
            f"attribution reads {_snippets(spec, work)} snippets at most, each taken as {work.tokens_per_pair} tokens."
        )
    return found


def _clusters(low: int, high: int, spec: GoodVibeSpec) -> str:
    """Return how many clusters are assumed where k-means has the range [low, high], and what may become of them."""
    from goodvibe_bench.trainer.cost import ASSUMED_CLUSTERS

    assumed = max(low, ASSUMED_CLUSTERS)
    known = " (best k was 2 in 204 of 210 modules of SmolLM2-135M)" if low <= ASSUMED_CLUSTERS else ""
    decided = f"k-means decides from {low} to {high}{known}" if low < high else "k-means is given that number"
    return (
        f"{assumed} clusters a module assumed; {decided}. In a module whose silhouette is below "
        f"{spec.min_silhouette:g} {_UNCLUSTERED[spec.on_low_silhouette]}."
    )


def _table_3(printed: dict[Column, float]) -> str:
    lora, full, goodvibe = (printed[name] for name in ("lora", "full", "goodvibe"))
    return (
        f"Table 3 (LoRA {lora}, full {full}, GoodVibe {goodvibe} PFLOPs) cannot come from equal tokens: adapters cost "
        "about 4N a token and full 6N. 424 x 512 x 6N is 8.606 PFLOPs, its LoRA figure."
    )


def table(plans: list[Plan]) -> list[dict[str, str]]:
    """Return the plans as rows of text for a table: millions, 10^15 FLOPs (training, scoring rows), bytes.

    Trained millions are exact, so that rounding them to the paper's one digit is rounding once.
    """
    return [
        {
            "method": one.method,
            "trained_M": f"{one.trainable_parameters / 1e6:.6f}".rstrip("0").rstrip("."),
            "share_%": f"{100 * one.trainable_parameters / one.total_parameters:.3g}",
            "paper_M": "" if one.paper_millions is None else str(one.paper_millions),
            "train_PF": f"{one.training_flops / 1e15:.4g}",
            "score_PF": f"{one.attribution_flops / 1e15:.3g}",
            "count_ratio": "" if one.counted_over_analytic is None else f"{one.counted_over_analytic:.3f}",
            "adapter_MB": f"{one.adapter_bytes / 1e6:.1f}",
            "memory_GB": f"{one.peak_memory_bytes / 1e9:.3g}",
        }
        for one in plans
    ]


def title(model: str, work: Workload) -> str:
    """Return what the figures are for, in one line."""
    return (
        f"{model}: {work.pairs} pairs of {work.tokens_per_pair} tokens, {work.epochs} epochs, "
        f"micro-batch {work.micro_batch}, {work.dtype}"
    )
