"""Write and read results, records, and rows that a run keeps to go on from.

A file is whole or absent; a torn last line is dropped, and a kept row that is damaged is as if it were not there.
"""

import json
import os
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from filelock import FileLock, Timeout
from pydantic import BaseModel, ValidationError

from goodvibe_bench import catalog
from goodvibe_bench.disk import write_text
from goodvibe_bench.errors import UsageError, close
from goodvibe_bench.result import instrument
from goodvibe_bench.result.score import SCHEMA_VERSION
from goodvibe_bench.types import Result

T = TypeVar("T", bound=BaseModel)
GIVE = "Give a file that `goodvibe-bench run` or `goodvibe-bench score` wrote, by default results/NAME.json."
LONGEST_NAME = 180
"""Letters; file systems take 255 bytes, and endings, digests and marks of unfinished files come on top."""


def writable(folder: Path) -> Path:
    """Return `folder`, made where needed. Raises UsageError unless files can be written there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UsageError(
            f"Cannot write to {str(folder)!r}: {error.strerror}. Give another folder: --output."
        ) from error
    return folder


def file_name(*words: str) -> str:
    """Return a file name of these words, nothing in it that a path could be made of; of a long one the beginning."""
    name = "--".join(re.sub(r"[^A-Za-z0-9._-]+", "-", word).strip(".-") or "x" for word in words)
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 10]}--{catalog.digest(words)[:8]}"


def write_result(result: Result, path: Path) -> None:
    """Write a result as indented JSON, one line a sample, so that a diff shows what changed."""
    body = result.model_dump(mode="json")
    rows = body.pop("outcomes")
    text = json.dumps(body | {"outcomes": "@"}, indent=1, sort_keys=True, allow_nan=False)
    lines = ",\n  ".join(json.dumps(row, sort_keys=True, allow_nan=False) for row in rows)
    write_text(path, text.replace('\n "outcomes": "@"', f'\n "outcomes": [\n  {lines}\n ]') + "\n")


def read_result(path: Path) -> Result:
    """Return the result in `path`. Raises UsageError when it is none."""
    return parse_result(read_bytes(path), path)


def read_bytes(path: Path) -> bytes:
    """Return what a result file holds. Raises UsageError when it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        near = close(str(path), [str(one) for one in sorted(path.parent.glob("*.json"))])
        raise UsageError(
            " ".join(filter(None, [f"Result {str(path)!r} cannot be read: {error.strerror}.", near, GIVE]))
        ) from error


def parse_result(content: bytes, path: Path) -> Result:
    """Return the result that `content` is; `path` is where it was read. Raises UsageError when it is none."""
    try:
        result = Result.model_validate_json(content)
    except ValidationError as error:
        version = _schema_version(content)
        if isinstance(version, int) and version != SCHEMA_VERSION:
            raise UsageError(_of_another_release(path, version)) from error
        fault = error.errors(include_url=False)[0]
        place = ".".join(map(str, fault["loc"])) or "file"
        raise UsageError(
            f"{path} is no goodvibe-bench result ({place}: {fault['msg']}). {GIVE} In a folder of results, move this "
            "file elsewhere."
        ) from error
    if result.schema_version != SCHEMA_VERSION:
        raise UsageError(_of_another_release(path, result.schema_version))
    if not _whole(result):
        raise UsageError(
            f"{path} is no whole goodvibe-bench result: samples, their outcomes, its judge or its calibration are "
            "missing or damaged. Make it anew with `goodvibe-bench run`."
        )
    return result


def _of_another_release(path: Path, schema: int) -> str:
    return (
        f"{path} has schema version {schema}; this release reads {SCHEMA_VERSION}. Make it anew with `goodvibe-bench "
        "run`, or read it with the release that wrote it."
    )


def _whole(result: Result) -> bool:
    """Return whether every rate can be computed again from the samples, for every judge."""
    if not result.outcomes:
        return False
    try:
        for judge in instrument.judges(result):
            instrument.calibrations(judge)
    except ValidationError:
        return False
    others = {judge["name"] for judge in result.other_judges}
    return not others or all(row.get("others", {}).keys() >= others for row in result.outcomes)


def _schema_version(content: bytes) -> Any:
    try:
        words = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return words.get("schema_version") if isinstance(words, dict) else None


def read_results(places: Iterable[Path]) -> list[Result]:
    """Return the results in these files and folders, in the order of their names. Raises UsageError for none."""
    return [read_result(path) for path in result_paths(places)]


def result_paths(places: Iterable[Path]) -> list[Path]:
    """Return the result files among these files and in these folders. Raises UsageError where there is none."""
    listed = list(places)
    paths: list[Path] = []
    for place in listed:
        if not place.exists():
            raise UsageError(f"There are no results at {str(place)!r}. Make some with `goodvibe-bench run`.")
        paths += sorted(place.glob("*.json")) if place.is_dir() else [place]
    if not paths:
        raise UsageError(f"No results in {', '.join(map(str, listed))}. Make some with `goodvibe-bench run`.")
    return paths


@contextmanager
def alone(lock: Path, wait: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold `lock`, so that of two runs of one command one works and the other waits for what comes of it.

    `wait` is called when another holds it. A process that is killed lets go.
    """
    held = FileLock(writable(lock.parent) / lock.name)
    try:
        held.acquire(blocking=False)
    except Timeout:
        wait()
        held.acquire()
    try:
        yield
    finally:
        held.release()


def kept_json(path: Path, make: Callable[[], Any]) -> Any:
    """Return the JSON data that `make` returned when first asked; it is asked again where the file is damaged."""
    with suppress(OSError, ValueError, RecursionError, KeyError, TypeError):
        words = json.loads(path.read_bytes())
        if words["digest"] == catalog.digest(words["data"]):
            return words["data"]
    data = make()
    write_text(path, json.dumps({"digest": catalog.digest(data), "data": data}, allow_nan=False))
    return data


def keep(path: Path, rows: Iterable[BaseModel]) -> None:
    """Append rows, each with a digest of what it says, and force them to the disk; a torn last line is cut off first.

    One writer at a time: see `alone`.
    """
    said = [row.model_dump_json() for row in rows]
    _append(path, [f'{{"digest":"{catalog.digest(text)}","row":{text}}}\n'.encode() for text in said])


def add_lines(path: Path, lines: Iterable[bytes]) -> None:
    """Append those lines that the file does not have; what they say, their readers look at."""
    there = set(_lines(path))
    _append(path, [line + b"\n" for line in dict.fromkeys(lines) if line.strip() and line not in there])


def _append(path: Path, lines: Sequence[bytes]) -> None:
    if not lines:
        return
    _cut_torn_line(path)
    with path.open("ab") as file:
        file.writelines(lines)
        file.flush()
        os.fsync(file.fileno())


def kept(path: Path, content: type[T]) -> list[T]:
    """Return the rows that `keep` wrote, without those that no longer say what was written."""
    found = (_undamaged(line, content) for line in _lines(path))
    return [row for row in found if row is not None]


def _undamaged(line: bytes, content: type[T]) -> T | None:
    try:
        words = json.loads(line)
        row = content.model_validate(words["row"])
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    return row if words.get("digest") == catalog.digest(row.model_dump_json()) else None


def read_lines(path: Path, content: type[T]) -> list[T]:
    """Return the rows of a JSON Lines file, without a torn last line; none when there is no file.

    Raises UsageError for a line that is no `content`.
    """
    rows = []
    for number, line in enumerate(_lines(path), 1):
        try:
            rows.append(content.model_validate_json(line))
        except ValidationError as error:
            fault = error.errors(include_url=False)[0]["msg"]
            kind = content.__name__.lower()
            raise UsageError(f"{path} is no {kind}s file of `goodvibe-bench run`: line {number}: {fault}.") from error
    return rows


def _lines(path: Path) -> list[bytes]:
    """Return the whole lines of a file that are not empty; none when there is no file."""
    if not path.is_file():
        return []
    *lines, _torn = path.read_bytes().split(b"\n")
    return [line for line in lines if line.strip()]


def _cut_torn_line(path: Path) -> None:
    if path.is_file():
        whole = path.read_bytes().rfind(b"\n") + 1
        if whole != path.stat().st_size:
            os.truncate(path, whole)
