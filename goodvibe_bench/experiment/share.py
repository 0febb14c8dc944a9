"""Copy results and their records to a URL that fsspec knows, and back: s3://, gs://, file:// and the like.

Trained models and unfinished work are not copied: they lie in the scratch folder.
"""

import json
from importlib import import_module
from pathlib import Path
from typing import Any

from goodvibe_bench.errors import UsageError
from goodvibe_bench.result import store
from goodvibe_bench.types import Result


def send(result: Result, output: Path, url: str) -> None:
    """Copy the result's file in `output`, and its records, below `url`; an older copy is written over."""
    files, root = _opened(url)
    path = next((path for path in sorted(output.glob("*.json")) if _is(path, result)), None)
    if path is None:
        raise FileNotFoundError(f"the result of {result.method} is not in {output}")
    records = output / "records" / f"{path.stem}.jsonl"
    files.makedirs(f"{root}/records", exist_ok=True)
    if records.is_file():
        files.put_file(str(records), f"{root}/records/{records.name}")
    files.put_file(str(path), f"{root}/{path.name}")  # last: a result that is there has its records


def fetch(url: str, output: Path) -> list[Path]:
    """Copy the results below `url` that `output` does not have, with their records; return their paths.

    Raises UsageError where the URL cannot be read.
    """
    files, root = _opened(url)
    store.writable(output / "records")
    found = []
    for there in files.glob(f"{root}/*.json"):
        here = output / Path(there).name
        if here.exists():
            continue
        records = f"{root}/records/{here.stem}.jsonl"
        if files.exists(records):
            files.get_file(records, str(output / "records" / f"{here.stem}.jsonl"))
        partial = here.with_suffix(".partial")
        files.get_file(there, str(partial))
        partial.replace(here)
        found.append(here)
    return found


def _opened(url: str) -> tuple[Any, str]:
    """Return the file system of a URL, and the path in it."""
    try:
        files, root = import_module("fsspec.core").url_to_fs(url)
    except (ImportError, ValueError, OSError) as error:
        raise UsageError(f"--share {url}: {error}") from error
    return files, str(root).rstrip("/")


def _is(path: Path, result: Result) -> bool:
    try:
        words = json.loads(path.read_bytes())
    except ValueError:
        return False
    return all(words.get(key) == getattr(result, key) for key in ("date", "method", "seed", "config"))
