"""Leaderboard rows kept on disk, so that a thousand results are not read and compared anew each time.

Rows are found by a digest of every byte that they were made from: the result files, our own source, and what was asked.
So kept rows are never out of date. It computes no row, and keeps none of a few results.
"""

import contextlib
import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from goodvibe_bench import catalog
from goodvibe_bench.result import store
from goodvibe_bench.result.leaderboard import Row, Sort, rows
from goodvibe_bench.types import Result

FEW = 2_000_000
"""Bytes of results from which on rows are kept: reading fewer takes less than half a second."""
FILES = 8
"""Kept at most; the oldest goes first."""
_ROWS = TypeAdapter(list[Row])


def read_rows(
    paths: Sequence[Path],
    folder: Path,
    show: Callable[[str, int, int], None],
    *,
    by_language: bool = False,
    by_seed: bool = False,
    sort: Sort = "secure",
) -> list[Row]:
    """Return the leaderboard rows of these result files, from `folder` where they were kept there.

    A folder that cannot be written keeps nothing. Raises UsageError for a file that is no result.
    """
    contents = [store.read_bytes(path) for path in paths]
    asked = [by_language, by_seed, sort, catalog.code_digest("result", "metric")]
    words = [hashlib.sha256(content).hexdigest() for content in contents]
    path = folder / f"{catalog.digest([words, asked])}.json"
    with contextlib.suppress(OSError, ValidationError):
        digest, _, kept = path.read_bytes().partition(b"\n")
        if digest.decode("ascii", "replace") == hashlib.sha256(kept).hexdigest():
            return _ROWS.validate_json(kept)
    found = rows(_read(contents, paths, show), by_language=by_language, by_seed=by_seed, sort=sort)
    if sum(map(len, contents)) > FEW:
        _keep(path, _ROWS.dump_json(found).decode())
    return found


def _read(contents: Sequence[bytes], paths: Sequence[Path], show: Callable[[str, int, int], None]) -> Iterator[Result]:
    """Give the results one by one, for all of them at once fill memory faster than they are read."""
    for done, (content, source) in enumerate(zip(contents, paths, strict=True)):
        show("read results", done, len(paths))
        yield store.parse_result(content, source)
    show("read results", len(paths), len(paths))


def _keep(path: Path, text: str) -> None:
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        store.write_text(path, f"{hashlib.sha256(text.encode()).hexdigest()}\n{text}")
        files = sorted(path.parent.glob("*.json"), key=lambda file: file.stat().st_mtime)
        for old in files[:-FILES]:
            old.unlink(missing_ok=True)
