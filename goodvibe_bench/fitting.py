"""Fit a judge: gather labelled code, train it, choose thresholds on calibration data, write weights and card.

It is to judges what run.py is to results: it hands the trainer's loop to the judge, which may not import it.
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
from goodvibe_bench.judge.definition import Card, Fit, JudgeDefinition, LinearJudge, ModelJudge
from goodvibe_bench.metric.calibration import calibrate
from goodvibe_bench.result import store
from goodvibe_bench.run import Show
from goodvibe_bench.task import load as load_task
from goodvibe_bench.task.rows import data_folder, read_json_lines
from goodvibe_bench.trainer.train import labelled
from goodvibe_bench.types import LANGUAGES, Calibration, Labelled, Pair


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


def gather(recipe: Fit, data: Path | None, show: Show) -> tuple[list[Labelled], list[Labelled], dict[str, Any]]:
    """Return snippets to learn from, snippets to calibrate on, and where they came from with counts and digests."""
    learn: list[Labelled] = []
    calibration: list[Labelled] = []
    sources: dict[str, Any] = {}
    for done, name in enumerate(recipe.tasks):
        show("gather", done, len(recipe.tasks) + len(recipe.files), name)
        task = load_task(name, data=data)
        parts = labelled(task.pairs["judge-train"]), [*labelled(task.pairs["calibration"]), *task.cases]
        learn += parts[0]
        calibration += parts[1]
        sources[name] = {"learn": len(parts[0]), "calibration": len(parts[1]), "digest": task.digest}
    for name in recipe.files:
        pairs = file_pairs(data_folder(data) / name, recipe.file_share)
        learn += labelled(pairs)
        sources[name] = {"learn": 2 * len(pairs), "calibration": 0, "digest": catalog.digest([p.id for p in pairs])}
    return learn, calibration, sources


def file_pairs(path: Path, share: float) -> list[Pair]:
    """Return the pairs of a JSON Lines file whose commit falls into the learning share, by a hash of the commit.

    The rest is for transfer tests; no commit is in both. Rows that another file repeats (`also_in`) are left out.
    """
    pairs = []
    for row in read_json_lines(path):
        commit = str(row.get("commit") or row["id"])
        learns = int(sha256(commit.encode()).hexdigest()[:8], 16) / 2**32 < share
        if learns and not row.get("also_in") and row["language"] in LANGUAGES:
            fields = {key: row[key] for key in ("id", "language", "secure", "insecure", "source")}
            pairs.append(catalog.parse(fields | {"prompt": row.get("prompt") or ""}, Pair, str(path)))
    return pairs


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


def card_text(card: Card) -> str:
    """Return the judge card as Markdown: data, recipe, and figures per language beside those it is compared with."""
    lines = [f"# Judge card: {card.judge}", "", "## Data", "", "| source | learned from | calibrated on | digest |"]
    lines += ["| --- | --- | --- | --- |"]
    lines += [
        f"| {name} | {row['learn']} | {row['calibration']} | {row['digest']} |" for name, row in card.data.items()
    ]
    lines += ["", "Snippets, half of them secure and half insecure."]
    lines.append("Within a task no near twin is in two parts; between tasks and files twins were not looked for.")
    if "trained_on" in card.recipe:
        lines.append(
            f"{card.recipe['trained_on']} of those learned from are short enough to be read whole; only they count."
        )
    lines += ["", "## Figures on the calibration part", ""]
    lines += ["| language | judge | n | threshold | TPR [95%] | FPR [95%] | AUC | ECE |", "|" + " --- |" * 8]
    for language in card.calibration:
        for judge, figures in {card.judge: card.calibration, **card.compared}.items():
            row = figures[language]
            rates = " | ".join(f"{r.value:.3f} [{r.low:.3f}, {r.high:.3f}]" for r in (row.tpr, row.fpr))
            name = f"| {language} | {judge} | {row.n} | {row.threshold:.3f} | "
            lines.append(f"{name}{rates} | {row.auc:.3f} | {row.ece:.3f} |")
    lines += [
        "",
        "Positive = unsafe. Each row's threshold maximises TPR - FPR on this same part, so these rates flatter.",
    ]
    lines += ["", "## Recipe", "", "```json", json.dumps(card.recipe, indent=1, sort_keys=True), "```", ""]
    return "\n".join(lines)
