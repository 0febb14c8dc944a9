"""lm-eval on one model and one task: checked before anything is trained, run in a process of its own, kept by content.

It neither picks tasks nor compares models, and lm-eval's own request cache is never used: it forgets what changed.
"""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from goodvibe_bench import catalog, types
from goodvibe_bench.engine import Engine
from goodvibe_bench.errors import UsageError
from goodvibe_bench.model import locate
from goodvibe_bench.request import Request, Show
from goodvibe_bench.result import share, store
from goodvibe_bench.utility.child import UNKNOWN
from goodvibe_bench.utility.tasks import LOCAL, content_digest, local_config

INSTALL = 'pip install "goodvibe-bench[utility]"'
_BAR = re.compile(rb"(\d+)/(\d+) \[")


def check(request: Request, show: Show) -> None:
    """Raise UsageError for utility tasks that could not be measured: no lm-eval, no such task, no data, no weights."""
    if not request.utility:
        return
    require("lm_eval")
    if request.backend == "openai":
        raise UsageError(
            "--utility needs a model's weights, and --backend openai has none. Use --backend transformers."
        )
    if request.backend == "vllm" and backend(request) == "hf":
        show.line("utility: lm-eval knows vLLM's CPU build by no name, so transformers runs the models there")
    for task in request.utility:
        if local_config(task, request.data) is None:
            show.line(f"utility: looking for the data of {task}")
            _check_hub(task)


def require(package: str) -> None:
    """Raise UsageError with the install line where a package is not there."""
    if find_spec(package) is None:
        raise UsageError(f"--utility is measured by lm-eval, which is not installed: {INSTALL}")


def _check_hub(task: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        job = Path(folder) / "job.json"
        job.write_text(json.dumps({"task": task, "config": None}))
        done = subprocess.run(_command(job), capture_output=True, text=True, env=_environment(None), check=False)  # noqa: S603
    if done.returncode == UNKNOWN:
        near = done.stdout.strip().splitlines()[-1] if done.stdout.strip() else ""
        raise UsageError(f"Unknown utility task {task!r}. Near: {near or 'none'}; ours: {', '.join(LOCAL)}.")
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise UsageError(
            f"Utility task {task!r} could not be loaded; its data set is on the hub, which this machine may not reach "
            f"({last[:200]}). Without a hub there are {' and '.join(LOCAL)}."
        )


def evaluate(request: Request, name: str, model: types.Model, task: str, show: Show) -> dict[str, Any]:
    """Return lm-eval's results of the model (a folder or name) `name` on a task, measured now or found in the scratch.

    Raises RuntimeError with the end of its messages where lm-eval fails.
    """
    config = local_config(task, request.data)
    words = [model.digest, task, config and content_digest(config), request.utility_limit, version("lm-eval")]
    words += [request.dtype, backend(request), _engine(request), catalog.code_digest("utility")]
    words.append(catalog.versions(*catalog.MODEL_LIBRARIES))
    folder = store.writable(request.scratch / "utility").resolve()
    path = folder / f"{catalog.digest(words)}.json"
    job, title = _job(request, name, task, config), f"{model.trained_by or 'base'} {task}"
    lock = request.scratch / "locks" / f"{path.stem}.lock"
    with store.alone(lock, lambda: show.line(f"waiting: another run measures {title}")):
        return share.kept_json(request.share, path, lambda: _run(job, path, folder if config else None, title, show))


def backend(request: Request) -> str:
    """Return lm-eval's name of what runs the model; vLLM's CPU build it does not know by its package's name."""
    if request.backend != "vllm":
        return "hf"
    try:
        version("vllm")
    except PackageNotFoundError:
        return "hf"
    return "vllm"


def _job(request: Request, name: str, task: str, config: dict[str, Any] | None) -> dict[str, Any]:
    arguments = {"pretrained": str(locate(name, request.revision).folder), "dtype": request.dtype}
    arguments |= {"trust_remote_code": True} if request.trust_remote_code else {}
    arguments |= _engine(request)
    return {
        "task": task,
        "config": config,
        "backend": backend(request),
        "model_args": arguments,
        "limit": request.utility_limit,
        "batch_size": "auto" if backend(request) == "vllm" else request.sampling.batch_size,
    }


def _engine(request: Request) -> dict[str, Any]:
    """Return what the request says of vLLM's engine, by lm-eval's names; nothing where vLLM does not run the model.

    Copies of the engine are left out: lm-eval would start them by Ray, and every prompt is short.
    """
    if backend(request) != "vllm":
        return {}
    from goodvibe_bench.model.load import best_device

    engine = request.engine or Engine()
    named = engine.model_dump(include={"tensor_parallel_size", "max_num_seqs", "gpu_memory_utilization"})
    eager = best_device().type == "cpu" if engine.enforce_eager is None else engine.enforce_eager
    return {key: value for key, value in named.items() if value is not None} | {"enforce_eager": eager}


def _run(job: dict[str, Any], path: Path, offline: Path | None, title: str, show: Show) -> Any:
    """Return what a job says; its messages lie beside `path` while it runs.

    Its process ends with ours, however that ends, for it reads from us.
    """
    words, log, partial = (path.with_suffix(f".{os.getpid()}.{kind}") for kind in ("job", "log", "partial"))
    store.write_text(words, json.dumps(job | {"output": str(partial)}))
    with log.open("wb") as messages:
        process = subprocess.Popen(  # noqa: S603
            _command(words),
            stdin=subprocess.PIPE,
            stdout=messages,
            stderr=subprocess.STDOUT,
            env=_environment(offline),
            start_new_session=True,  # so that a signal to the group reaches all that lm-eval started
        )
        seen = (0, 1)
        show("utility", *seen, title)
        try:
            while process.poll() is None:
                if (now := _bar(log)) != seen:
                    show("utility", *now, title)
                seen = now
                time.sleep(0.5)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    if process.returncode or not partial.is_file():
        last = log.read_text(errors="replace").strip().splitlines()[-5:]
        raise RuntimeError(
            "\n".join([f"lm-eval failed on {title} (exit code {process.returncode}), see {log}:", *last])
        )
    found = json.loads(partial.read_bytes())
    for file in (words, log, partial):
        file.unlink()
    show("utility", 1, 1, title)
    return found


def _bar(log: Path) -> tuple[int, int]:
    """Return how far the last bar in lm-eval's messages is: done and total."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 2000))
        bars = _BAR.findall(file.read())
    done, total = map(int, bars[-1]) if bars else (0, 1)
    return min(done, total), max(total, 1)


def _command(job: Path) -> Sequence[str]:
    return [sys.executable, "-m", "goodvibe_bench.utility.child", str(job)]


def _environment(offline: Path | None) -> dict[str, str]:
    """Return the process's environment; with a folder it stays off the network and keeps its data sets there."""
    package = str(Path(__file__).parents[2])
    paths = os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH")]))
    words = {**os.environ, "PYTHONPATH": paths, "TOKENIZERS_PARALLELISM": "false"}
    if offline is None:
        return words
    return words | {"HF_HUB_OFFLINE": "1", "HF_DATASETS_CACHE": str(offline / "datasets")}
