"""Finished work at a URL that fsspec knows (s3://, gs://, file://), so that machines without a common disk share it.

Results lie at the URL itself, what stages finished below `runs`, named as in the scratch folder by the digest of all
that decides it. What comes over half or damaged is made anew by its stage, as after a crash. What is not finished,
such as a training's checkpoints, is not copied. Without a URL (None) nothing is done. Whatever fails at the URL is a
RunError, but a UsageError in `check`.
"""

import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path, PurePosixPath
from typing import Any
from uuid import uuid4

from filelock import FileLock

from goodvibe_bench import disk
from goodvibe_bench.errors import RunError, UsageError
from goodvibe_bench.result import store
from goodvibe_bench.types import Result
from goodvibe_bench.untrusted import without_secrets

NOTE = "goodvibe.json"
"""What a trained model's folder is read by; it is sent last, so a folder that has it has the rest."""
RENAMED = {"file", "local", "sftp", "ssh", "smb"}
"""File systems on which a file that is being written can be seen; elsewhere an object is there whole or not at all."""


def check(url: str | None, *here: Path) -> None:
    """Raise UsageError where nothing can be put at the URL, or where it is one of these folders or lies in one."""
    if url is None:
        return
    files, root = _opened(url)
    if "file" in _protocols(files) and any(Path(root).resolve().is_relative_to(one.resolve()) for one in here):
        raise UsageError(f"--share {without_secrets(url)}: this lies in the run's own folders. Give another place.")
    try:
        files.makedirs(f"{root}/records", exist_ok=True)
        files.pipe_file(f"{root}/.goodvibe-bench", b"")
    except Exception as error:  # each of fsspec's file systems has its own errors
        raise UsageError(
            f"--share {without_secrets(url)}: nothing can be written there: {without_secrets(str(error))}"
        ) from error


def send_result(url: str | None, path: Path) -> None:
    """Copy a result's file and its records to `url`; older copies are written over."""
    if url is None:
        return
    records = path.parent / "records" / f"{path.stem}.jsonl"
    with _at(url) as (files, root):
        if records.is_file():
            _put(files, records, f"{root}/records/{records.name}")
        _put(files, path, f"{root}/{path.name}")  # last: a result that is there has its records


def send_results(url: str | None, output: Path, results: Sequence[Result]) -> None:
    """Copy those of the results in `output` that the URL does not have."""
    if url is None:
        return
    with _at(url) as (files, root):
        there = {PurePosixPath(name).name for name in _listed(files, root)}
    for path in sorted(output.glob("*.json")):
        if path.name not in there and any(_is(path, result) for result in results):
            send_result(url, path)


def fetch_results(url: str | None, output: Path) -> list[Path]:
    """Copy the results at `url` that `output` does not have, with their records; return their paths."""
    if url is None:
        return []
    store.writable(output / "records")
    found = []
    with _at(url) as (files, root):
        for there in _listed(files, root):
            here = output / PurePosixPath(there).name
            if here.suffix != ".json" or here.exists() or not _is_result(files.cat_file(there), here):
                continue
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
    with _at(url) as (files, root):
        there = f"{root}/{_name(folder)}"
        if not anew and files.exists(f"{there}/{NOTE}"):
            return
        for path in sorted((path for path in folder.rglob("*") if path.is_file()), key=lambda path: path.name == NOTE):
            _put(files, path, f"{there}/{path.relative_to(folder).as_posix()}")


def fetch_folder(url: str | None, folder: Path) -> None:
    """Copy what is at the URL to `folder`, unless that is there, or nothing whole is at the URL."""
    if url is None or folder.exists():
        return
    with _at(url) as (files, root):
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
    """Append to a file of rows those at the URL that it does not have; its own stay first."""
    if url is None:
        return
    with _at(url) as (files, root):
        there = f"{root}/{_name(path)}"
        if files.exists(there):
            _join(path, files.cat_file(there))


def send_rows(url: str | None, path: Path) -> None:
    """Copy a file of rows, with those at the URL that it did not have; of two that send at once one is lost."""
    if url is None or not path.is_file():
        return
    with _at(url) as (files, root):
        there = f"{root}/{_name(path)}"
        known = files.cat_file(there) if files.exists(there) else b""
        _join(path, known)
        if not set(path.read_bytes().splitlines()) <= set(known.splitlines()):
            _put(files, path, there)


def fetch_all_rows(url: str | None, folder: Path) -> None:
    """Append to every file of rows in a folder of the scratch what the URL has of it."""
    if url is None:
        return
    with _at(url) as (files, root):
        names = [PurePosixPath(there).name for there in _listed(files, f"{root}/runs/{folder.name}")]
    for name in names:
        if name.endswith(".jsonl"):
            fetch_rows(url, folder / name)


def send_all_rows(url: str | None, folder: Path) -> None:
    """Copy every file of rows in a folder of the scratch."""
    for path in sorted(folder.glob("*.jsonl")) if url is not None else ():
        send_rows(url, path)


def kept_json(url: str | None, path: Path, make: Callable[[], Any]) -> Any:
    """Return what `store.kept_json` does, of a file that is fetched where only the URL has it, and sent there."""
    if url is None:
        return store.kept_json(path, make)
    with _at(url) as (files, root):
        there = f"{root}/{_name(path)}"
        known = files.exists(there)
        if known and not path.exists():
            _get(files, there, path)
    before = path.read_bytes() if path.exists() else None
    found = store.kept_json(path, make)
    if not known or path.read_bytes() != before:
        with _at(url) as (files, _):
            _put(files, path, there)
    return found


@contextmanager
def _at(url: str) -> Iterator[tuple[Any, str]]:
    """Give the file system of a URL, and the path in it; whatever fails there is a RunError."""
    try:
        yield _opened(url)
    except (RunError, UsageError):
        raise
    except Exception as error:  # each of fsspec's file systems has its own errors
        raise RunError(
            f"--share {without_secrets(url)}: {type(error).__name__}: {without_secrets(str(error))}"
        ) from error


def _opened(url: str) -> tuple[Any, str]:
    """Return the file system of a URL, and the path in it."""
    try:
        files, root = import_module("fsspec.core").url_to_fs(url)
    except (ImportError, ValueError, OSError) as error:
        raise UsageError(f"--share {without_secrets(url)}: {without_secrets(str(error))}") from error
    files.invalidate_cache()  # others write there too
    return files, str(root).rstrip("/")


def _protocols(files: Any) -> set[str]:
    return {files.protocol} if isinstance(files.protocol, str) else set(files.protocol)


def _listed(files: Any, folder: str) -> list[str]:
    """Return the files in a folder at the URL; none where there is no such folder."""
    try:
        return sorted(one["name"] for one in files.ls(folder, detail=True) if one["type"] == "file")
    except FileNotFoundError:
        return []


def _name(path: Path) -> str:
    """Return where a file or folder of the scratch lies below the URL."""
    return f"runs/{path.parent.name}/{path.name}"


def _inside(files: Any, there: str) -> Iterator[tuple[str, str]]:
    """Give the files of a folder at the URL with their names in it; one whose name would lead out of it is left."""
    for path in files.find(there):
        name = path.removeprefix(there).lstrip("/")
        if name and ".." not in PurePosixPath(name).parts:
            yield path, name


def _join(path: Path, content: bytes) -> None:
    """Append the whole lines of `content` that the file does not have."""
    store.writable(path.parent)
    with FileLock(path.with_suffix(".lock")):
        store.add_lines(path, content.split(b"\n")[:-1])


def _is_result(content: bytes, path: Path) -> bool:
    try:
        store.parse_result(content, path)
    except UsageError:
        return False
    return True


def _is(path: Path, result: Result) -> bool:
    try:
        return store.read_result(path) == result
    except UsageError:
        return False


def _put(files: Any, here: Path, there: str) -> None:
    """Copy a file so that it is there whole or not at all."""
    folder, _, name = there.rpartition("/")
    files.makedirs(folder, exist_ok=True)
    if not RENAMED & _protocols(files):
        files.put_file(str(here), there)
        return
    partial = f"{folder}/{disk.PARTIAL}{uuid4().hex}-{name}"
    try:
        files.put_file(str(here), partial)
        files.mv(partial, there)
    except BaseException:
        if files.exists(partial):
            files.rm_file(partial)
        raise


def _get(files: Any, there: str, here: Path) -> None:
    """Copy a file so that it is here whole or not at all."""
    with disk.whole(here) as partial:
        files.get_file(there, str(partial))
