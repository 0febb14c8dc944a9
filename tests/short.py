"""A run that takes seconds: a tiny model, a short LoRA training and a scripted judge. Tests of stages start from it."""

from pathlib import Path
from typing import Any

from goodvibe_bench.generator.sampling import Sampling
from goodvibe_bench.request import Request
from tests.tiny import tiny_folder

TRAINER = 'description = "x"\n[tuner]\nkind = "lora"\nrank = 2\n[training]\nepochs = 2\nlearning_rate = 0.05\n'
JUDGE = 'description = "x"\n[judge]\nkind = "scripted"\nunsafe_words = ["strcpy"]\n'


def short_request(folder: Path, changes: dict[str, Any], base: bool = False) -> Request:
    """Return a request whose model, definitions and outputs lie in `folder`; with `base` the bare model runs first."""
    (folder / "short.toml").write_text(TRAINER)
    (folder / "double.toml").write_text(JUDGE)
    words: dict[str, Any] = {
        "model": str(tiny_folder(folder / "model")),
        "methods": (*(("none",) if base else ()), str(folder / "short.toml")),
        "tasks": ("cpp",),
        "judges": (str(folder / "double.toml"),),
        "uncalibrated": True,
        "limit": 3,
        "train_limit": 4,
        "dtype": "float32",
        "sampling": Sampling(max_new_tokens=8),
        "output": folder / "results",
        "scratch": folder / "scratch",
    }
    return Request(**words | changes)
