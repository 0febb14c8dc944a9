"""Read the raw rows of a data file or a hub data set, with one clear error for a bad one. It interprets no row."""

import json
import os
from pathlib import Path
from typing import Any

from goodvibe_bench.errors import UsageError
from goodvibe_bench.task.definition import HubSource

DATA_VARIABLE = "GOODVIBE_BENCH_DATA"


def read_json_lines(path: Path) -> list[dict[str, Any]]:
    """Return the objects of a JSON Lines file (or of one JSON array).

    Raises UsageError when it is missing, empty, not UTF-8, or not made of objects, naming the line.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")  # editors on Windows write a mark first
    except FileNotFoundError as error:
        raise UsageError(f"Data file {str(path)!r} does not exist.") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"Data file {str(path)!r} is not UTF-8 (byte {error.start}). Convert it first.") from error
    except OSError as error:
        raise UsageError(f"Data file {str(path)!r} cannot be read: {error.strerror}") from error
    if text.lstrip().startswith("["):
        rows = _json(text, path, 1)
    else:
        rows = [_json(line, path, number) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    for number, row in enumerate(rows, 1):
        if not isinstance(row, dict):
            raise UsageError(f"{path}: row {number} is no JSON object.")
    if not rows:
        raise UsageError(f"Data file {str(path)!r} is empty.")
    return rows


def numbered_rows(path: Path) -> list[tuple[int, dict[str, Any]]]:
    """Return what `read_json_lines` does, each with its line (of a JSON array its place), counted from 1."""
    rows = read_json_lines(path)
    lines = [number for number, line in enumerate(path.read_text(encoding="utf-8-sig").split("\n"), 1) if line.strip()]
    return list(zip(lines if len(lines) == len(rows) else range(1, len(rows) + 1), rows, strict=True))


def _json(text: str, path: Path, number: int) -> Any:
    try:
        return json.loads(text)
    except RecursionError as error:
        raise UsageError(f"{path}, line {number}: nested too deeply.") from error
    except ValueError as error:  # also for a number of thousands of digits
        raise UsageError(f"{path}, line {number}: not JSON ({error}).") from error


def data_folder(data: Path | None) -> Path:
    """Return the folder of local data: `data`, else $GOODVIBE_BENCH_DATA. Raises UsageError when neither is one."""
    variable = os.environ.get(DATA_VARIABLE)
    given = data or (Path(variable) if variable else None)
    if given is None or not given.is_dir():
        raise UsageError(f"This needs a folder of local data: give --data FOLDER, or set {DATA_VARIABLE}.")
    return given


def hub_rows(source: HubSource, data: Path | None) -> tuple[list[dict[str, Any]], str]:
    """Return the rows of a hub data set and where they were read: `data`, $GOODVIBE_BENCH_DATA, or the hub.

    `data` is the file itself or a folder that holds it as `source.local`. Raises UsageError when none has it.
    """
    path = local_file(source, data)
    if path is not None:
        return read_json_lines(path), path.name
    return _from_hub(source), f"{source.dataset}@{source.revision}"


def local_file(source: HubSource, data: Path | None) -> Path | None:
    """Return the data set's copy on this machine; what `data` names is taken even where no file is there."""
    variable = os.environ.get(DATA_VARIABLE)
    given = data or (Path(variable) if variable else None)
    if given is None:
        return None
    path = given / source.local if given.is_dir() else given
    return path if path.is_file() or data is not None else None


def _from_hub(source: HubSource) -> list[dict[str, Any]]:
    from datasets import load_dataset

    try:
        rows = load_dataset(source.dataset, revision=source.revision, split="train")
    except Exception as error:
        raise UsageError(
            f"Data set {source.dataset!r} could not be fetched: no answer from the hub, and it is not in the local "
            f"cache. Give a local copy: --data PATH, or {DATA_VARIABLE}=FOLDER with {source.local} in it. "
            f"({type(error).__name__})"
        ) from error
    return [dict(row) for row in rows]  # type: ignore[arg-type]
