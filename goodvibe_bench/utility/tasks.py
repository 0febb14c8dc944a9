"""The utility tasks of our own, for machines without a hub: lm-eval task configurations with data from local files.

Every other name is one of lm-eval's own tasks. Nothing is evaluated here.
"""

import hashlib
import os
import tomllib
from pathlib import Path
from typing import Any

from goodvibe_bench.errors import UsageError
from goodvibe_bench.task.rows import DATA_VARIABLE

FOLDER = Path(__file__).parent / "data"
LOCAL = {"gsm8k_local": "gsm8k/test.jsonl", "small_choice": None}
"""Our tasks, with where below the data folder their file is; None = it comes with the project."""


def local_config(task: str, data: Path | None) -> dict[str, Any] | None:
    """Return the lm-eval configuration of one of our tasks, its data file by absolute path; None for lm-eval's own.

    Raises UsageError where the data file is not there.
    """
    if task not in LOCAL:
        return None
    config = tomllib.loads((FOLDER / f"{task}.toml").read_text(encoding="utf-8"))
    return config | {"dataset_kwargs": {"data_files": {"test": str(_file(task, data))}}}


def content_digest(config: dict[str, Any]) -> str:
    """Return a digest of what a configuration of ours asks: its words and its data, wherever the file lies."""
    path = Path(config["dataset_kwargs"]["data_files"]["test"])
    words = {key: value for key, value in config.items() if key != "dataset_kwargs"}
    return hashlib.sha256(repr(sorted(words.items())).encode() + path.read_bytes()).hexdigest()[:16]


def _file(task: str, data: Path | None) -> Path:
    below = LOCAL[task]
    if below is None:
        return FOLDER / f"{task}.jsonl"
    folder = data or Path(os.environ.get(DATA_VARIABLE, "."))
    path = (folder / below).resolve()
    if not path.is_file():
        raise UsageError(f"Utility task {task!r} reads {below} below --data or ${DATA_VARIABLE}; {path} is no file.")
    return path
