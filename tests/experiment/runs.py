"""Words of an experiment that takes seconds: a tiny model, few pairs and prompts, a scripted judge."""

from pathlib import Path

from tests.short import JUDGE
from tests.tiny import tiny_folder

TWO_METHODS = """
description = "Two methods"
section = "0"
models = ["qwen3-8b"]
notes = ["A note of the definition."]

[[column]]
group = "C++"
heading = "Baseline"
task = "cpp"
method = "none"
paper = [39.4]
average = 39.4

[[column]]
group = "C++"
heading = "LoRA"
task = "cpp"
method = "lora"
overrides = { "KEY" = 'VALUE' }
paper = [94.0]
average = 93.0
"""


def reduced(folder: Path, *words: str) -> tuple[str, ...]:
    """Return words of the command line for a model that is made in `folder`, whose outputs lie there too."""
    (folder / "double.toml").write_text(JUDGE)
    model = folder / "model"
    if not model.exists():
        tiny_folder(model)
    judge = ("--judge", str(folder / "double.toml"), "--uncalibrated")
    few = ("--limit", "2", "--train-limit", "4", "--max-new-tokens", "8")
    places = ("--output", str(folder / "results"), "--scratch", str(folder / "scratch"))
    return ("--model", str(model), *judge, *few, *places, *words)


def two_methods(folder: Path, key: str = "training.epochs", value: str = "1") -> str:
    """Return the path of a definition with a bare model and LoRA, one of whose trainer's keys has another value."""
    path = folder / "two.toml"
    path.write_text(TWO_METHODS.replace("KEY", key).replace("VALUE", value))
    return str(path)


def bare(folder: Path) -> str:
    """Return the path of a definition with the bare model alone."""
    path = folder / "bare.toml"
    path.write_text("\n[[".join(TWO_METHODS.split("\n[[")[:2]))
    return str(path)
