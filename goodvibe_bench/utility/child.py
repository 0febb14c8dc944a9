"""The process that runs lm-eval: `python -m goodvibe_bench.utility.child JOB`, a JSON file, to another JSON file.

It keeps lm-eval's imports, memory and messages out of ours. It reads no request and knows no stage.
"""

import difflib
import hashlib
import json
import math
import os
import signal
import sys
import threading
from collections import defaultdict
from pathlib import Path
from typing import Any

UNKNOWN = 3
"""Exit code for a task that lm-eval does not know; the nearest names are on standard output."""


def main(path: Path) -> int:
    """Load a job's task and, where the job names a model, evaluate it; return the exit code."""
    job = json.loads(path.read_text())
    from lm_eval.tasks import TaskManager

    manager = TaskManager()
    if job["config"] is None and job["task"] not in manager.all_tasks:
        sys.stdout.write(", ".join(difflib.get_close_matches(job["task"], manager.all_tasks)) + "\n")
        return UNKNOWN
    task = job["config"] or job["task"]
    if "model_args" not in job:
        manager.load([task])
        return 0
    threading.Thread(target=_end_with_parent, daemon=True).start()
    Path(job["output"]).write_text(json.dumps(_plain(_evaluate(job, task, manager)), allow_nan=False))
    return 0


def _end_with_parent() -> None:
    """Wait until standard input ends: the parent is gone then, and so is everything in this process's group."""
    while os.read(0, 1024):
        pass
    os.killpg(0, signal.SIGKILL)


def _evaluate(job: dict[str, Any], task: Any, manager: Any) -> dict[str, Any]:
    import lm_eval

    from goodvibe_bench.model.load import best_device

    evaluate: Any = lm_eval.simple_evaluate
    found = evaluate(
        model=job["backend"],
        model_args=job["model_args"],
        tasks=[task],
        limit=job["limit"],
        batch_size=job["batch_size"],
        device=str(best_device()) if job["backend"] == "hf" else None,
        task_manager=manager,
        use_cache=None,
        cache_requests=False,
        log_samples=True,
    )
    kept = {key: found.get(key, {}) for key in ("results", "versions", "n-shot", "n-samples")}
    return kept | {"samples": {name: _correct(rows) for name, rows in found["samples"].items()}}


def _correct(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return a digest of the documents, and per metric whose samples are right or wrong a "0" or "1" for each."""
    values: dict[str, dict[int, float]] = defaultdict(dict)
    hashes = {row["doc_id"]: row["doc_hash"] for row in rows}
    for row in rows:
        for metric in row["metrics"]:
            values[f"{metric},{row['filter']}"][row["doc_id"]] = row[metric]
    binary = {name: found for name, found in values.items() if all(one in (0, 1) for one in found.values())}
    return {
        "docs": hashlib.sha256(repr(sorted(hashes.items())).encode()).hexdigest()[:16],
        "correct": {name: "".join(str(int(found[doc])) for doc in sorted(hashes)) for name, found in binary.items()},
    }


def _plain(value: Any) -> Any:
    """Return what JSON has: numbers that are not finite and foreign objects become None or text."""
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    return value if isinstance(value, str | int | bool | None) else str(value)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
