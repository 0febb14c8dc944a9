"""A trained model for others: its card (README.md with model-index metadata), and its way to a model hub.

It measures nothing: figures on a card are a result's. The token is read from the environment and never written.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from goodvibe_bench.errors import UsageError
from goodvibe_bench.model import CARRIED
from goodvibe_bench.request import Request
from goodvibe_bench.result import store
from goodvibe_bench.result.utility import QUOTED, forgetting
from goodvibe_bench.trainer.definition import ADAPTER
from goodvibe_bench.types import Model, Result, TrainReport
from goodvibe_bench.untrusted import markdown

TOKEN = "HF_TOKEN"  # noqa: S105
_RATES = ("secure_rate", "valid_rate", "asked_rate")


def check(request: Request, trained: int) -> None:
    """Raise UsageError for a push that could not be done: no token, or not exactly one trained model."""
    if request.push is None:
        return
    if trained != 1:
        raise UsageError(f"--push takes one trained model, and this run makes {trained}. Give one trained --method.")
    if not os.environ.get(TOKEN):
        raise UsageError(f"--push needs a token with write access in ${TOKEN}.")


def write_card(
    folder: Path, base: Model, method: str, report: TrainReport, result: Result | None = None, tasks: Sequence[str] = ()
) -> None:
    """Write a trained model's README.md; with a result its metadata hold that result's figures on `tasks`."""
    from huggingface_hub import EvalResult, ModelCard, ModelCardData

    upstream = CARRIED[base.id].upstream if base.id in CARRIED else base.id
    found = [EvalResult(**words) for words in _figures(result, tasks)] if result else None
    data = ModelCardData(
        base_model=upstream if upstream.count("/") == 1 else None,
        library_name="transformers",
        pipeline_tag="text-generation",
        tags=["goodvibe-bench", "code", "security"],
        model_name=store.file_name(base.id, method),
        eval_results=found,
    )
    text = f"---\n{data.to_yaml()}\n---\n\n{_body(base, upstream, method, report, result, tasks)}"
    path, card = folder / "README.md", str(ModelCard(text))
    if not path.is_file() or path.read_text(encoding="utf-8") != card:
        store.write_text(path, card)


def _figures(result: Result, tasks: Sequence[str]) -> list[dict[str, Any]]:
    """Return the words of an EvalResult for every rate of every task, and for every quoted utility metric."""
    found = [
        (f"goodvibe-bench {task}", "goodvibe-bench", rate, result.results[task][f"{rate},none"])
        for task in tasks
        for rate in _RATES
        if f"{rate},none" in result.results[task]
    ]
    for model in result.utility.get("models", ()):
        found += [
            (task, task, metric, one["results"][task][metric])
            for task, one in model["tasks"].items()
            for metric in QUOTED.get(task, ())
            if metric in one["results"].get(task, {})
        ]
    return [
        {"task_type": "text-generation", "dataset_name": name, "dataset_type": kind, "metric_type": metric}
        | {"metric_value": round(100 * value, 2)}
        for name, kind, metric, value in found
    ]


def _body(
    base: Model, upstream: str, method: str, report: TrainReport, result: Result | None, tasks: Sequence[str]
) -> str:
    lines = [
        f"# {markdown(base.id)}, trained by {markdown(method)}",
        "",
        f"Made with goodvibe-bench from {markdown(upstream)} (weights digest {base.digest}): "
        f"{report.trainable_parameters:,} trained parameters, {report.examples} examples, {report.steps} steps, "
        f"{report.training_seconds + report.attribution_seconds:.0f} s. The base model's licence applies.",
        "",
        "It is no guarantee of secure code: read and test what it writes.",
        "",
    ]
    return "\n".join(lines + (_measured(result, tasks) if result else [])) + "\n"


def _measured(result: Result, tasks: Sequence[str]) -> list[str]:
    lines = [
        f"## Measured on {result.date[:10]} by judge {markdown(result.judge['name'])}",
        "",
        "Shares of all samples in %, with 95% intervals; secure is what the judge says of usable code.",
        "",
        "| task | samples | " + " | ".join(rate.removesuffix("_rate") for rate in _RATES) + " |",
        "|" + " --- |" * (2 + len(_RATES)),
    ]
    for task in tasks:
        found = result.results[task]
        cells = [_cell(found, rate) for rate in _RATES]
        lines.append(f"| {markdown(task)} | {found['samples']} | {' | '.join(cells)} |")
    losses = [
        f"Loss on fixed texts: {one.before:.3f} before, {one.after:.3f} after training "
        f"(nats a token, {one.tokens} tokens)."
        for one in forgetting(result)
        if set(one.languages) >= {row["language"] for row in result.outcomes if row["task"] in tasks}
    ]
    return [*lines, "", *losses]


def _cell(found: dict[str, Any], rate: str) -> str:
    if f"{rate},none" not in found:
        return ""
    low, high = found[f"{rate}_interval,none"]
    return f"{100 * found[f'{rate},none']:.1f} [{100 * low:.0f}, {100 * high:.0f}]"


def push(folder: Path, repo: str) -> str:
    """Upload a trained model's folder to the hub's repository `repo`, made where needed; return its address.

    The hub is $HF_ENDPOINT, else the public one. Raises UsageError where it refuses or does not answer: the folder
    stays, and the same command tries again.
    """
    from huggingface_hub import HfApi

    api = HfApi(endpoint=os.environ.get("HF_ENDPOINT") or None, token=os.environ.get(TOKEN))
    try:
        api.create_repo(repo, exist_ok=True)
        done = api.upload_folder(
            repo_id=repo,
            folder_path=folder,
            ignore_patterns=[".*", f"{ADAPTER}/*"],  # which names the base by its path on this machine
            commit_message="Model trained with goodvibe-bench",
        )
    except Exception as error:
        status = getattr(getattr(error, "response", None), "status_code", None)
        why = f"status {status}" if status else type(error).__name__
        raise UsageError(
            f"{repo!r} was not pushed: the hub refused or did not answer ({why}). The model lies in {str(folder)!r}, "
            "results are kept, and the same command tries again."
        ) from error
    return str(done)
