"""Scores kept on disk by what decides them, so that no code is asked about twice under one judge.

It keeps probabilities, not verdicts: thresholds may change without a new score. It knows nothing of how a score
is made, and a score that is not finite is not kept.
"""

import hashlib
import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from filelock import FileLock
from pydantic import Field, ValidationError

from goodvibe_bench import catalog
from goodvibe_bench.errors import UsageError
from goodvibe_bench.types import Noun

Scores = Callable[[Sequence[str]], list[float]]
"""Texts to p_unsafe, one for each, in order."""
AT_ONCE = 256
"""Codes scored between two writes: what a killed run loses at most."""


class Score(Noun):
    """One line of the file."""

    code: str
    """Digest of the text."""
    p_unsafe: float = Field(ge=0, le=1)
    check: str
    """Digest of the two: a line that was damaged on the disk is no score."""


def _check(code: str, p_unsafe: float) -> str:
    return catalog.digest([code, p_unsafe])


def digest_text(text: str) -> str:
    """Return 32 hex digits of SHA-256 over the text; any string has one, lone surrogates included."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def digest_scoring(definition_digest: str, weights: Any, device: str) -> str:
    """Return a digest of all that decides a score but the code: definition, weights, our source, libraries, device.

    `weights` is whatever names the weights and their dtype (JSON). Thresholds are not part of it.
    """

    package = Path(__file__).parents[1]
    ours = ("judge/model.py", "judge/served.py", "judge/decide.py", "completion/bare.py", "objective/verdict.py")
    sources = [package / name for name in (*ours, "model/chat.py", "model/load.py")]
    texts = [path.read_text(encoding="utf-8") for path in sources]
    libraries = list(catalog.versions(*catalog.MODEL_LIBRARIES).values())
    return catalog.digest([definition_digest, weights, device, texts, libraries])


def cached(scores: Scores, folder: Path, digest: str) -> "Cached":
    """Return `scores` with a cache in `folder`, made where needed. Raises UsageError where nothing can be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{digest}.jsonl"
        path.touch()
    except OSError as error:
        raise UsageError(f"Scores cannot be kept in {str(folder)!r}: {error.strerror}. Give another folder.") from error
    return Cached(scores, path)


class Cached:
    """A scorer that reads a score from `path` where it stands there, and else asks and appends it.

    Several processes may share the file: lines are only ever appended, under a lock, and those of the others are read
    before each call. A torn last line is dropped, and cut off by the next writer; a line that is no score is as if it
    were not there.
    """

    def __init__(self, scores: Scores, path: Path) -> None:
        self._scores, self._path = scores, path
        self._lock = FileLock(path.with_suffix(".lock"))
        self._known: dict[str, float] = {}
        self._read_to = 0

    def __call__(self, texts: Sequence[str]) -> list[float]:
        """Return p_unsafe for each text, in order; only texts never seen are asked about, each once."""
        self._read()
        keys = [digest_text(text) for text in texts]
        missing = [(key, text) for key, text in dict(zip(keys, texts, strict=True)).items() if key not in self._known]
        fresh: dict[str, float] = {}
        for start in range(0, len(missing), AT_ONCE):
            group = missing[start : start + AT_ONCE]
            new = self._scores([text for _, text in group])
            fresh |= {key: p_unsafe for (key, _), p_unsafe in zip(group, new, strict=True)}
            self._append({key: fresh[key] for key, _ in group if math.isfinite(fresh[key])})
        return [fresh[key] if key in fresh else self._known[key] for key in keys]

    def _read(self) -> None:
        """Take in what was appended since the last reading, up to the last whole line."""
        if not self._path.is_file():
            return
        with self._path.open("rb") as file:
            if self._path.stat().st_size < self._read_to:  # another file by now
                self._read_to = 0
            file.seek(self._read_to)
            *lines, torn = file.read().split(b"\n")
            self._read_to = file.tell() - len(torn)
        for line in lines:
            try:
                score = Score.model_validate_json(line)
            except ValidationError:
                continue
            if score.check == _check(score.code, score.p_unsafe):
                self._known.setdefault(score.code, score.p_unsafe)

    def _append(self, rows: dict[str, float]) -> None:
        """Append scores and force them to the disk; a torn last line is cut off first."""
        if not rows:
            return
        lines = [
            Score(code=code, p_unsafe=p_unsafe, check=_check(code, p_unsafe)).model_dump_json().encode() + b"\n"
            for code, p_unsafe in rows.items()
        ]
        with self._lock, self._path.open("ab") as file:
            os.truncate(file.fileno(), _whole(self._path))
            file.write(b"".join(lines))
            file.flush()
            os.fsync(file.fileno())
        self._known |= rows


def _whole(path: Path) -> int:
    """Return how many bytes of the file end in a whole line, read from its end."""
    with path.open("rb") as file:
        place = file.seek(0, os.SEEK_END)
        while place:
            step = min(place, 65536)
            file.seek(place - step)
            cut = file.read(step).rfind(b"\n")
            if cut >= 0:
                return place - step + cut + 1
            place -= step
    return 0
