"""Finished work at a URL that fsspec knows (s3://, gs://, file://), so that machines without a common disk share it.

Results lie at the URL itself, what stages finished below `runs`, named as in the scratch folder by the digest of all
that decides it. What comes over half or damaged is made anew by its stage, as after a crash. What is not finished,
such as a training's checkpoints, is not copied. Without a URL (None) nothing is done.
"""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path, PurePosixPath
from typing import Any

from filelock import FileLock

from goodvibe_bench import disk
from goodvibe_bench.errors import UsageError
from goodvibe_bench.result import store

NOTE = "goodvibe.json"
"""What a trained model's folder is read by; it is sent last, so a folder that has it has the rest."""


def check(url: str | None) -> None:
    """Raise UsageError where nothing can be put at the URL."""
    if url is None:
        return
    files, root = _opened(url)
    try:
        files.makedirs(f"{root}/records", exist_ok=True)
        files.pipe_file(f"{root}/.goodvibe-bench", b"")
    except Exception as error:  # each of fsspec's file systems has its own errors
        raise UsageError(f"--share {url}: nothing can be written there: {error}") from error


def send_result(url: str | None, path: Path) -> None:
    """Copy a result's file and its records to `url`; older copies are written over."""
    if url is None:
        return
    files, root = _opened(url)
    records = path.parent / "records" / f"{path.stem}.jsonl"
    if records.is_file():
        _put(files, records, f"{root}/records/{records.name}")
    _put(files, path, f"{root}/{path.name}")  # last: a result that is there has its records


def fetch_results(url: str | None, output: Path) -> list[Path]:
    """Copy the results at `url` that `output` does not have, with their records; return their paths.

    Raises UsageError where the URL cannot be read.
    """
    if url is None:
        return []
    files, root = _opened(url)
    store.writable(output / "records")
    found = []
    for there in files.glob(f"{root}/*.json"):
        here = output / Path(there).name
        if not here.exists():
            records = f"{root}/records/{here.stem}.jsonl"
            if files.exists(records):
                _get(files, records, output / "records" / f"{here.stem}.jsonl")
            _get(files, there, here)
            found.append(here)
    return found


def send_folder(url: str | None, folder: Path, *, anew: bool) -> None:
    """Copy a finished folder of the scratch, such as a trained model; one that is there is written over if `anew`."""
    if url is None:
        return
    files, root = _opened(url)
    there = f"{root}/{_name(folder)}"
    if not anew and files.exists(f"{there}/{NOTE}"):
        return
    for path in sorted((path for path in folder.rglob("*") if path.is_file()), key=lambda path: path.name == NOTE):
        _put(files, path, f"{there}/{path.relative_to(folder).as_posix()}")


def fetch_folder(url: str | None, folder: Path) -> None:
    """Copy what is at the URL to `folder`, unless that is there, or nothing whole is at the URL."""
    if url is None or folder.exists():
        return
    files, root = _opened(url)
    there = f"{root}/{_name(folder)}"
    if not files.exists(f"{there}/{NOTE}"):
        return
    partial = Path(tempfile.mkdtemp(prefix=disk.PARTIAL, dir=store.writable(folder.parent)))
    try:
        for path, name in _inside(files, there):
            (partial / name).parent.mkdir(parents=True, exist_ok=True)
            files.get_file(path, str(partial / name))
        disk.publish(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def fetch_rows(url: str | None, path: Path) -> None:
    """Append to a file of rows those at the URL that it does not have."""
    if url is None:
        return
    files, root = _opened(url)
    there = f"{root}/{_name(path)}"
    if files.exists(there):
        store.writable(path.parent)
        with FileLock(path.with_suffix(".lock")):
            store.add_lines(path, files.cat_file(there).split(b"\n")[:-1])


def send_rows(url: str | None, path: Path) -> None:
    """Copy a file of rows, with those at the URL that it did not have; of two that send at once one is lost."""
    if url is None or not path.is_file():
        return
    fetch_rows(url, path)
    files, root = _opened(url)
    _put(files, path, f"{root}/{_name(path)}")


def fetch_all_rows(url: str | None, folder: Path) -> None:
    """Append to every file of rows in a folder of the scratch what the URL has of it."""
    if url is None:
        return
    files, root = _opened(url)
    for there in files.glob(f"{root}/runs/{folder.name}/*.jsonl"):
        fetch_rows(url, folder / Path(there).name)


def send_all_rows(url: str | None, folder: Path) -> None:
    """Copy every file of rows in a folder of the scratch."""
    for path in sorted(folder.glob("*.jsonl")) if url is not None else ():
        send_rows(url, path)


def kept_json(url: str | None, path: Path, make: Callable[[], Any]) -> Any:
    """Return the JSON data in `path`, or of the URL; where neither has it `make` must write it. Both have it then."""
    if url is None:
        return store.kept_json(path, make)
    files, root = _opened(url)
    there = f"{root}/{_name(path)}"
    sent = files.exists(there)
    if sent and not path.exists():
        _get(files, there, path)

    def made() -> None:
        nonlocal sent
        make()
        sent = False

    found = store.kept_json(path, made)
    if not sent:
        _put(files, path, there)
    return found


def _opened(url: str) -> tuple[Any, str]:
    """Return the file system of a URL, and the path in it."""
    try:
        files, root = import_module("fsspec.core").url_to_fs(url)
    except (ImportError, ValueError, OSError) as error:
        raise UsageError(f"--share {url}: {error}") from error
    files.invalidate_cache()  # others write there too
    return files, str(root).rstrip("/")


def _name(path: Path) -> str:
    """Return where a file or folder of the scratch lies below the URL."""
    return f"runs/{path.parent.name}/{path.name}"


def _inside(files: Any, there: str) -> Iterator[tuple[str, str]]:
    """Give the files of a folder at the URL with their names in it; one whose name would lead out of it is left."""
    for path in files.find(there):
        name = path.removeprefix(there).lstrip("/")
        if name and ".." not in PurePosixPath(name).parts:
            yield path, name


def _put(files: Any, here: Path, there: str) -> None:
    files.makedirs(there.rpartition("/")[0], exist_ok=True)
    files.put_file(str(here), there)


def _get(files: Any, there: str, here: Path) -> None:
    """Copy a file so that it is there whole or not at all."""
    handle, name = tempfile.mkstemp(dir=here.parent, prefix=disk.PARTIAL)
    os.close(handle)
    try:
        files.get_file(there, name)
        Path(name).chmod(0o644)
        Path(name).replace(here)
    finally:
        Path(name).unlink(missing_ok=True)
