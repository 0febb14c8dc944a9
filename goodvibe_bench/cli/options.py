"""Options that several commands share, and words of the command line turned into a request. It prints nothing."""

import math
import os
from collections.abc import Collection
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from goodvibe_bench.errors import UsageError, nearest


def confidence_of(text: str | float) -> float:
    """Return a confidence as a share: 0.95 of 0.95, and of 95, for a value above 1 is per cent."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    share = round(value / 100, 9) if value > 1 else value
    if not 0.5 <= share <= 0.999:
        raise typer.BadParameter(
            f"{text!r} is none. Give a share of 0.5 to 0.999, or per cent: 0.95 and 95 are the same."
        )
    return share


class Quality(StrEnum):
    CLEAN = "clean"
    RAW = "raw"


class Listed(StrEnum):
    TASKS = "tasks"
    JUDGES = "judges"
    TRAINERS = "trainers"
    MODELS = "models"
    EXPERIMENTS = "experiments"


AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Data = Annotated[
    Path | None, typer.Option(help="Local data: a file or a folder (else $GOODVIBE_BENCH_DATA, else the hub).")
]
Model = Annotated[str, typer.Option(help="Hub id, folder with safetensors weights, or carried model's name.")]
Method = Annotated[str, typer.Option(help="Trainers, separated by commas; `none` is the base model.")]
Judges = Annotated[
    str, typer.Option(help="Judges that label every sample, separated by commas; the first one's rates lead.")
]
Uncalibrated = Annotated[
    bool, typer.Option("--uncalibrated", help="Take judges without a calibration for a task's language.")
]
Tasks = Annotated[str, typer.Option(help="Tasks, separated by commas.")]
MaxNewTokens = Annotated[int, typer.Option("--max-new-tokens", "--max_new_tokens", help="Longest answer, in tokens.")]
Seed = Annotated[int, typer.Option(help="Seed of training and sampling; splits have their own.")]
Scratch = Annotated[Path, typer.Option(help="Folder for trained models and unfinished work.")]
Share = Annotated[
    str | None, typer.Option(help="URL where finished work is shared with other machines, such as s3://bucket/x.")
]
Dtype = Annotated[str, typer.Option(help="bfloat16, float32, float16, or auto: what the device is quick in.")]
Revision = Annotated[str | None, typer.Option(help="Hub revision of the model.")]
WithQuality = Annotated[Quality, typer.Option(help="Leave damaged training rows out, or keep them as the paper did.")]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", help="A trainer's key and value, such as tuner.top_k=100; may be repeated.")
]
TrainLimit = Annotated[
    int | None, typer.Option("--train-limit", "--train_limit", help="Training pairs a task, the first ones.")
]
TrustRemoteCode = Annotated[
    bool, typer.Option("--trust-remote-code", "--trust_remote_code", help="Let a model run its own code.")
]
BaseUrl = Annotated[
    str | None,
    typer.Option("--base-url", "--base_url", help="Where --backend openai asks, such as http://localhost:8000/v1."),
]
ModelArgs = Annotated[
    str | None,
    typer.Option(
        "--model-args",
        "--model_args",
        help="KEY=VALUE,...: settings of --backend vllm by its own names, such as tensor_parallel_size=2.",
    ),
]
JudgeBackend = Annotated[
    str,
    typer.Option("--judge-backend", "--judge_backend", help="What judges' models run on: transformers or vllm."),
]
Concurrency = Annotated[int, typer.Option(help="With --backend openai: requests under way at once.")]
Timeout = Annotated[
    float, typer.Option("--timeout", help="With --backend openai: seconds that one try of a request has.")
]
Utility = Annotated[
    str | None,
    typer.Option(help="Tasks of lm-eval, such as arc_challenge,gsm8k,mmlu; gsm8k_local, small_choice need no hub."),
]
UtilityLimit = Annotated[
    int | None, typer.Option("--utility-limit", "--utility_limit", help="Questions a utility task, the first ones.")
]
UtilityMargin = Annotated[
    float, typer.Option("--utility-margin", "--utility_margin", help="Points of utility that one is ready to lose.")
]
Push = Annotated[str | None, typer.Option(help="Hub repository for the one trained model; token in $HF_TOKEN.")]
ReportTo = Annotated[
    str | None, typer.Option("--report-to", "--report_to", help="Follow training in trackio, wandb or mlflow.")
]
Confidence = Annotated[
    float,
    typer.Option(parser=confidence_of, metavar="SHARE", help="Of the intervals: 0.95, or 95, which is the same."),
]
Quiet = Annotated[bool, typer.Option("--quiet", help="Show no progress.")]


NAMED_OTHERWISE = {
    "attempts": "n_samples",
    "judges": "judge",
    "methods": "method",
    "models": "model",
    "overrides": "set",
    "seeds": "seed",
    "timeout_seconds": "timeout",
}
"""Fields, and the options of other names that give them."""
OF_MODEL = ("dtype", "revision", "trust_remote_code", "seed")
"""What --model_args may also say, as in lm-eval; each has an option of its own too."""


def split(words: str) -> tuple[str, ...]:
    found = tuple(dict.fromkeys(word.strip() for word in words.split(",") if word.strip()))
    if not found:
        raise UsageError(f"{words!r} names nothing. Give one or more names, separated by commas.")
    return found


def request_from(words: dict[str, Any]) -> Any:
    """Return the words of a command as a Request. Raises UsageError for all that does not fit."""
    from goodvibe_bench.generator.sampling import Sampling
    from goodvibe_bench.generator.server import Server
    from goodvibe_bench.run import Request

    named: dict[str, Any] = {"methods": split(words["method"]), "tasks": split(words["tasks"])}
    named |= {"judges": split(words["judge"])} if "judge" in words else {}
    named |= {"overrides": pairs_of(words["overrides"]), "quality": words["quality"].value}
    named |= {"utility": split(words["utility"]) if words["utility"] else ()} if "utility" in words else {}
    of_model = model_args(words["model_args"]) if words.get("model_args") else {}
    named |= of_model
    if words.get("base_url") is not None:
        named["server"] = {key: value for key, value in words.items() if key in Server.model_fields}
    sampling = {"attempts": words.get("n_samples", 1)}
    sampling |= {key: value for key, value in words.items() if key in Sampling.model_fields}
    same = {key: value for key, value in words.items() if key in Request.model_fields}
    sampling |= {"seed": named["seed"]} if "seed" in named else {}
    return parse(same | named | {"sampling": sampling}, Request, "run", of_model)


def parse(words: dict[str, Any], content: Any, command: str, of_model: Collection[str] = ()) -> Any:
    """Return the words of a command as a `content`; the fields `of_model` are of --model_args.

    Raises UsageError for all that does not fit, under the options that said it.
    """
    from goodvibe_bench import catalog

    def spelled(key: str) -> str:
        *place, name = [part for part in key.split(".") if not part.isdigit()]
        return f"--model_args {name}" if {name, *place} & set(of_model) else option_of(name)

    return catalog.parse(words, content, command, spelled)


def option_of(field: str) -> str:
    """Return the option that gives a field, such as --n-samples for attempts."""
    return f"--{NAMED_OTHERWISE.get(field, field).replace('_', '-')}"


def model_args(text: str) -> dict[str, Any]:
    """Return lm-eval's "key=value,..." as fields of a request. Raises UsageError for an unknown key."""
    from goodvibe_bench.engine import Engine

    found, of_engine = {}, list(Engine.model_fields)
    for word in split(text):
        key, equals, value = (part.strip() for part in word.partition("="))
        valid = [*of_engine, *OF_MODEL]
        if not equals or key not in valid:
            raise UsageError(f"--model_args {word!r} is no KEY=VALUE with a known key. {nearest(key, valid)}")
        found[key] = value
    engine = {key: value for key, value in found.items() if key in of_engine}
    return {key: value for key, value in found.items() if key in OF_MODEL} | ({"engine": engine} if engine else {})


def pairs_of(words: list[str] | None) -> dict[str, str]:
    """Return "key=value" words as a dictionary. Raises UsageError for a word without a key or a "="."""
    for word in words or []:
        if not word.partition("=")[0].strip() or "=" not in word:
            raise UsageError(f"{word!r} is no KEY=VALUE, such as --set tuner.top_k=100.")
    return {word.partition("=")[0].strip(): word.partition("=")[2].strip() for word in words or []}


def calm_libraries() -> None:
    """Keep libraries' own bars and advice out of our output; their warnings on errors stay."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    from huggingface_hub.utils import logging as hub_logging
    from transformers.utils import logging

    hub_logging.set_verbosity_error()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
