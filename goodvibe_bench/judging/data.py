"""Labelled code for judges: what they learn from, and what they are measured on. It trains and judges nothing."""

from hashlib import sha256
from pathlib import Path
from typing import Any

from goodvibe_bench import catalog
from goodvibe_bench.judge.definition import Fit
from goodvibe_bench.run import Show
from goodvibe_bench.task import load as load_task
from goodvibe_bench.task.rows import data_folder, read_json_lines
from goodvibe_bench.trainer.train import labelled
from goodvibe_bench.types import LANGUAGES, Labelled, Pair


def gather(recipe: Fit, data: Path | None, show: Show) -> tuple[list[Labelled], list[Labelled], dict[str, Any]]:
    """Return snippets to learn from, snippets to calibrate on, and where they came from with counts and digests."""
    learn: list[Labelled] = []
    calibration: list[Labelled] = []
    sources: dict[str, Any] = {}
    for done, name in enumerate(recipe.tasks):
        show("gather", done, len(recipe.tasks) + len(recipe.files), name)
        task = load_task(name, data=data)
        parts = labelled(task.pairs["judge-train"]), [*labelled(task.pairs["calibration"]), *task.cases]
        learn += parts[0]
        calibration += parts[1]
        sources[name] = {"learn": len(parts[0]), "calibration": len(parts[1]), "digest": task.digest}
    for name in recipe.files:
        pairs = file_pairs(data_folder(data) / name, recipe.file_share)
        learn += labelled(pairs)
        sources[name] = {"learn": 2 * len(pairs), "calibration": 0, "digest": catalog.digest([p.id for p in pairs])}
    return learn, calibration, sources


def file_pairs(path: Path, share: float) -> list[Pair]:
    """Return the pairs of a JSON Lines file whose commit falls into the learning share, by a hash of the commit.

    The rest is for transfer tests; no commit is in both. Rows that another file repeats (`also_in`) are left out.
    """
    pairs = []
    for row in read_json_lines(path):
        commit = str(row.get("commit") or row["id"])
        learns = int(sha256(commit.encode()).hexdigest()[:8], 16) / 2**32 < share
        if learns and not row.get("also_in") and row["language"] in LANGUAGES:
            fields = {key: row[key] for key in ("id", "language", "secure", "insecure", "source")}
            pairs.append(catalog.parse(fields | {"prompt": row.get("prompt") or ""}, Pair, str(path)))
    return pairs
