"""Fit a judge: gather labelled code, train it, choose thresholds on calibration data, write weights and card.

It hands the trainer's loop to the judge, which may not import it.
"""

import json
import shutil
import tempfile
import time
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from goodvibe_bench import catalog
from goodvibe_bench.errors import UsageError
from goodvibe_bench.judge import linear
from goodvibe_bench.judge import load as judges
from goodvibe_bench.judge.definition import Card, JudgeDefinition, LinearJudge, ModelJudge
from goodvibe_bench.judging.card import card_text
from goodvibe_bench.judging.data import gather
from goodvibe_bench.metric.calibration import calibrate
from goodvibe_bench.result import store
from goodvibe_bench.run import Show
from goodvibe_bench.types import LANGUAGES, Calibration, Labelled


def fit(
    name: str, show: Show, *, data: Path | None = None, output: Path | None = None, seed: int | None = None
) -> Path:
    """Fit the judge `name` by its definition and return the folder with its weights, card.json and README.md.

    `output` is the folder to write; the one beside the definition when None. Raises UsageError when the judge has
    nothing to fit, or its data is not at hand.
    """
    definition = catalog.read("judges", name, JudgeDefinition)
    recipe, spec = definition.content.fit, definition.content.judge
    if recipe is None or not isinstance(spec, ModelJudge | LinearJudge):
        raise UsageError(f"Judge {name!r} has no [fit] table: there is nothing to fit.")
    folder = output or judges.weights_folder(definition)
    store.writable(folder.parent)
    seed = recipe.seed if seed is None else seed
    learn, calibration, sources = gather(recipe, data, show)
    show.line(f"{name}: {len(learn)} labelled snippets to learn from, {len(calibration)} to calibrate on")
    partial = Path(tempfile.mkdtemp(prefix=".partial-", dir=folder.parent))
    try:
        started = time.monotonic()
        if isinstance(spec, LinearJudge):
            weights = linear.fit(learn, spec.features, spec.inverse_regularisation)
            linear.save(weights, partial)
            found = _calibrations(calibration, weights.probabilities([item.code for item in calibration]))
            compared, account = {}, {}
        else:
            found, compared, account = _fit_model(spec, learn, calibration, partial, seed, show)
        account["seconds"] = round(time.monotonic() - started, 1)
        card = Card(
            judge=definition.name,
            definition_digest=definition.digest,
            weights_digest=_weights_digest(partial),
            data=sources,
            recipe={"seed": seed, "definition": definition.content.model_dump(mode="json"), **account},
            calibration=found,
            compared=compared,
        )
        store.write_text(
            partial / "card.json", json.dumps(card.model_dump(mode="json"), indent=1, sort_keys=True) + "\n"
        )
        store.write_text(partial / "README.md", card_text(card))
        shutil.rmtree(folder, ignore_errors=True)
        store.publish(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return folder


def _fit_model(
    spec: ModelJudge, learn: list[Labelled], calibration: list[Labelled], folder: Path, seed: int, show: Show
) -> tuple[dict[str, Calibration], dict[str, dict[str, Calibration]], dict[str, Any]]:
    from goodvibe_bench.judge.model import probabilities
    from goodvibe_bench.model.load import load
    from goodvibe_bench.objective.verdict import VerdictObjective
    from goodvibe_bench.trainer.loop import fit as run_loop
    from goodvibe_bench.tuner.attach import attach, fold

    loaded = load(spec.base)
    texts = [item.code for item in calibration]

    def measure(stage: str) -> dict[str, Calibration]:
        done = 0

        def count(more: int) -> None:
            nonlocal done
            done += more
            show(stage, done, len(texts))

        return _calibrations(calibration, probabilities(loaded, texts, spec.max_code_tokens, progress=count))

    learn = _whole(learn, loaded.tokenizer, spec.max_code_tokens)
    show.line(f"{len(learn)} snippets of at most {spec.max_code_tokens} tokens are trained on")
    floor = linear.fit(learn, 2**18, 10.0).probabilities(texts)
    compared = {"untuned": measure("measure untuned"), "linear": _calibrations(calibration, floor)}
    objective = VerdictObjective(loaded.tokenizer, spec.max_code_tokens)
    attached = attach(loaded.model, spec.tuner)
    trainable = attached.trainable()
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
    attached.model.save_pretrained(folder)
    shutil.rmtree(folder / "trainer", ignore_errors=True)
    loaded.model, _ = fold(attached)
    found = measure("measure")
    report = {
        "trained_on": len(learn),
        "training_seconds": round(account.seconds, 1),
        "steps": account.steps,
        "tokens": account.tokens,
    }
    return found, compared, report | {"trainable_parameters": trainable}


def _whole(data: list[Labelled], tokenizer: Any, max_code_tokens: int) -> list[Labelled]:
    """Return the families whose every snippet is read whole: a cut may take the weakness and leave its label."""
    long = {
        item.family
        for item in data
        if len(tokenizer(item.code, add_special_tokens=False)["input_ids"]) > max_code_tokens
    }
    return [item for item in data if item.family not in long]


def _calibrations(data: Sequence[Labelled], p_unsafe: Sequence[float]) -> dict[str, Calibration]:
    found = {}
    for language in LANGUAGES:
        places = [place for place, item in enumerate(data) if item.language == language]
        if places:
            labels = [data[place].label for place in places]
            found[language] = calibrate(language, labels, [p_unsafe[place] for place in places])
    return found


def _weights_digest(folder: Path) -> str:
    return catalog.digest({path.name: sha256(path.read_bytes()).hexdigest() for path in folder.glob("*.safetensors")})
