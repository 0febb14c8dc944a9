"""Fit a judge: gather labelled code, train it, choose thresholds on calibration data, write weights and card.

It hands the trainer's loop to the judge, which may not import it.
"""

import shutil
import time
from collections import Counter
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from goodvibe_bench import catalog, disk
from goodvibe_bench.completion.bare import bare
from goodvibe_bench.errors import UsageError
from goodvibe_bench.judge import cards, linear
from goodvibe_bench.judge.definition import (
    Card,
    Fit,
    JudgeDefinition,
    LinearJudge,
    ModelJudge,
    PairwiseJudge,
    SignalsJudge,
)
from goodvibe_bench.judging.card import check_own, write
from goodvibe_bench.judging.data import gather
from goodvibe_bench.metric.calibration import crossfitted
from goodvibe_bench.result import store
from goodvibe_bench.run import Show, code_digest
from goodvibe_bench.types import LANGUAGES, Calibration, Labelled, Language

OWN_FILES = ("card.json", "README.md", "adapter_config.json", "*.safetensors", f"{disk.PARTIAL}*")
"""What a judge's folder holds, as file name patterns; a new fit replaces these and nothing else."""

Fitting = tuple[list[float], dict[str, list[float]], dict[str, Any]]
"""p_unsafe of the calibration snippets; the same by judges to compare with; what fitting cost."""


def fit(
    name: str, show: Show, *, data: Path | None = None, output: Path | None = None, seed: int | None = None
) -> Path:
    """Fit the judge `name` by its definition and return the folder with its weights, card.json and README.md.

    `output` is the folder to write; the one beside the definition when None. A judge's folder there is replaced. A fit
    that was killed goes on where it was. Raises UsageError when the judge has nothing to fit, its data is not at hand,
    or the folder holds what is no judge's.
    """
    definition = catalog.read("judges", name, JudgeDefinition)
    recipe, spec = definition.content.fit, definition.content.judge
    if recipe is None or not isinstance(spec, ModelJudge | LinearJudge | SignalsJudge | PairwiseJudge):
        raise UsageError(f"Judge {name!r} has no [fit] table: there is nothing to fit.")
    folder = (output or cards.weights_folder(definition)).resolve()
    _check_replaceable(folder)
    store.writable(folder.parent)
    seed = recipe.seed if seed is None else seed
    learn, calibration, sources = gather(recipe, definition.path.parent, data, show)
    show.line(f"{name}: {len(learn)} labelled snippets to learn from, {len(calibration)} to calibrate on")
    code = code_digest("completion", "judging", "model", "objective", "trainer", "tuner")
    partial = folder.parent / f".partial-{folder.name}-{catalog.digest([definition.digest, sources, seed, code])}"
    partial.mkdir(exist_ok=True)
    started = time.monotonic()
    if isinstance(spec, ModelJudge):
        found, compared, account = _fit_model(spec, recipe, learn, calibration, partial, seed, show)
    elif isinstance(spec, SignalsJudge):
        found, compared, account = _fit_signals(spec, recipe, definition.path.parent, learn, calibration, partial)
    elif isinstance(spec, PairwiseJudge):
        found, compared, account = _fit_pairwise(spec, recipe, learn, calibration, partial)
    else:
        found, compared, account = _fit_linear(spec, learn, calibration, partial)
    account["seconds"] = round(time.monotonic() - started, 1)
    card = Card(
        judge=definition.name,
        definition_digest=definition.digest,
        weights_digest=cards.digest_weights(partial),
        identity=cards.identity(definition, partial),
        data=sources,
        recipe={"seed": seed, "definition": definition.content.model_dump(mode="json"), **account},
        calibration=_calibrations(calibration, found, show.line),
        compared={other: _calibrations(calibration, p_unsafe) for other, p_unsafe in compared.items()},
    )
    write(card, partial)
    _check_replaceable(folder)
    shutil.rmtree(partial / "trainer", ignore_errors=True)  # kept so far: a kill while measuring trains nothing again
    shutil.rmtree(folder, ignore_errors=True)
    disk.publish(partial, folder)
    return folder


def _check_replaceable(folder: Path) -> None:
    """Raise UsageError where `folder` is a file, or holds anything that is no judge's own: a fit would delete it."""
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file, not a folder. Give --output another name.")
    found = sorted(folder.iterdir()) if folder.is_dir() else []
    foreign = [path.name for path in found if not _own(path)]
    if foreign:
        more = f" and {len(foreign) - 3} more" if len(foreign) > 3 else ""
        raise UsageError(
            f"{folder} holds what is no judge's: {', '.join(map(repr, foreign[:3]))}{more}. A fit replaces its folder "
            "whole: give --output a new folder, or that of a judge."
        )
    check_own(folder)


def _own(path: Path) -> bool:
    if path.is_dir() and not path.name.startswith(disk.PARTIAL):
        return False
    return any(fnmatchcase(path.name, pattern) for pattern in OWN_FILES)


def _fit_linear(spec: LinearJudge, learn: list[Labelled], calibration: list[Labelled], folder: Path) -> Fitting:
    weights = linear.fit(learn, spec.features, spec.inverse_regularisation)
    linear.save(weights, folder)
    return weights.probabilities([item.code for item in calibration]), {}, {"trained_on": len(learn)}


def _fit_signals(
    spec: SignalsJudge,
    recipe: Fit,
    beside: Path,
    learn: list[Labelled],
    calibration: list[Labelled],
    folder: Path,
) -> Fitting:
    from goodvibe_bench.judge import signals

    known = signals.read(beside / spec.folder)
    weights = signals.fit(known, learn, recipe.pull)
    signals.save(weights, folder)
    texts = [item.code for item in calibration]
    languages: list[Language] = [item.language for item in calibration]
    prior = signals.SignalsJudge("", known, known.unfitted).probabilities(texts, languages)
    found = signals.SignalsJudge("", known, weights).probabilities(texts, languages)
    floor = linear.floor(learn, texts)
    counts = Counter(language for language, _ in known.places)
    return found, {"unfitted": prior, "linear": floor}, {"trained_on": len(learn), "signals": dict(counts)}


def _fit_pairwise(
    spec: PairwiseJudge, recipe: Fit, learn: list[Labelled], calibration: list[Labelled], folder: Path
) -> Fitting:
    from goodvibe_bench.judge import pairwise

    weights = pairwise.fit(learn, spec.features, recipe.rank_weight, recipe.pull)
    pairwise.save(weights, folder)
    texts = [item.code for item in calibration]
    found = pairwise.PairwiseJudge("", weights).probabilities(texts, [item.language for item in calibration])
    floor = linear.floor(learn, texts)
    return found, {"linear": floor}, {"trained_on": len(learn), "weights": int((weights != 0).sum())}


def _fit_model(
    spec: ModelJudge,
    recipe: Fit,
    learn: list[Labelled],
    calibration: list[Labelled],
    folder: Path,
    seed: int,
    show: Show,
) -> Fitting:
    from goodvibe_bench.judge.model import probabilities
    from goodvibe_bench.judging.augment import varied
    from goodvibe_bench.model.load import load

    loaded = load(spec.base)
    learn = _read(learn, spec.bare)
    texts = [bare(item.code) if spec.bare else item.code for item in calibration]

    def measure(stage: str) -> list[float]:
        done = 0

        def count(more: int) -> None:
            nonlocal done
            done += more
            show(stage, done, len(texts))

        return probabilities(loaded, texts, spec.max_code_tokens, progress=count)

    longest = min(spec.max_code_tokens, recipe.max_code_tokens or spec.max_code_tokens)
    learn = _whole(learn, loaded.tokenizer, longest)
    show("vary", 0, len(learn), f"{recipe.copies} copies")
    learn = _whole(_read(varied(learn, recipe.copies, seed), spec.bare), loaded.tokenizer, longest)
    show.line(f"{len(learn)} snippets of at most {longest} tokens are trained on")
    compared = {"untuned": measure("measure untuned"), "linear": linear.floor(learn, texts)}
    report = _train_adapter(spec, recipe.rank_weight, loaded, learn, folder, seed, show)
    return measure("measure"), compared, report


def _train_adapter(
    spec: ModelJudge, rank_weight: float, loaded: Any, learn: list[Labelled], folder: Path, seed: int, show: Show
) -> dict[str, Any]:
    """Train, write the adapter to `folder`, and put the model with it merged in `loaded`; return what it cost."""
    from goodvibe_bench.model.cpu import PLAIN_TOKENS, quicken
    from goodvibe_bench.objective.ranking import RankingObjective
    from goodvibe_bench.objective.verdict import VerdictObjective
    from goodvibe_bench.trainer.loop import fit as run_loop
    from goodvibe_bench.tuner.attach import attach, fold

    attention = loaded.model.config._attn_implementation
    quicken(loaded.model, PLAIN_TOKENS)
    objective = RankingObjective(VerdictObjective(loaded.tokenizer, spec.max_code_tokens), rank_weight)
    attached = attach(loaded.model, spec.tuner, seed=seed)
    report = {"trained_on": len(learn), "trainable_parameters": attached.trainable()}
    account = run_loop(
        attached.model,
        objective,
        objective.examples(learn),
        spec.training,
        seed=seed,
        scratch=folder / "trainer",
        progress=lambda step, steps, loss: show("train", step, steps, f"loss {loss:.3f}"),
    )
    attached.model.peft_config["default"].base_model_name_or_path = spec.base  # not a path on this machine
    _round_adapter(attached.model, loaded.model.dtype)
    attached.model.save_pretrained(folder)
    loaded.model, _ = fold(attached)
    loaded.model.set_attn_implementation(attention)  # it is measured as it will be loaded
    return report | _cost(account)


def _round_adapter(model: Any, dtype: Any) -> None:
    """Round what was trained to the model's dtype: files of half the size, and what is measured is what is loaded."""
    for weight in model.parameters():
        if weight.requires_grad:
            weight.data = weight.data.to(dtype)


def _cost(account: Any) -> dict[str, Any]:
    first, last = (sum(losses) / len(losses) for losses in (account.losses[:10], account.losses[-10:]))
    report = {"training_seconds": round(account.seconds, 1), "steps": account.steps, "tokens": account.tokens}
    return report | {"first_loss": round(first, 4), "last_loss": round(last, 4)}


def _read(data: list[Labelled], without_comments: bool) -> list[Labelled]:
    """Return the snippets as the judge will read them."""
    return [item.model_copy(update={"code": bare(item.code)}) for item in data] if without_comments else data


def _whole(data: list[Labelled], tokenizer: Any, max_code_tokens: int) -> list[Labelled]:
    """Return the families whose every snippet is read whole: a cut may take the weakness and leave its label."""
    long = {
        item.family
        for item in data
        if len(tokenizer(item.code, add_special_tokens=False)["input_ids"]) > max_code_tokens
    }
    return [item for item in data if item.family not in long]


def _calibrations(
    data: Sequence[Labelled], p_unsafe: Sequence[float], say: Callable[[str], None] = lambda line: None
) -> dict[str, Calibration]:
    """Return the figures of every language that has labels enough; `say` tells why another has none."""
    found = {}
    for language in LANGUAGES:
        own = [(item, p) for item, p in zip(data, p_unsafe, strict=True) if item.language == language]
        if not own:
            continue
        labels, families = [item.label for item, _ in own], [item.family for item, _ in own]
        try:
            found[language] = crossfitted(language, labels, [p for _, p in own], families, scaling="temperature")
        except ValueError as error:
            say(f"{language}: not calibrated on {len(own)} snippets, {error}")
    return found
