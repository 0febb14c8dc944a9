"""A process that has everything imported already and forks a real command line for each order that it reads.

Run as a script. An order is a JSON line: a list of runs that start at once, each with `words` (the command line),
`cwd`, `said` (a file for its output), `log` (a file for its durable events), `below` (folders whose changes count),
`read` (a folder whose reads count too), and `kill_at`: the number of the event before which the run kills itself.
An event is what Python's audit hooks tell of a file opened for writing, renamed, removed, made or cut.
"""

import importlib
import json
import os
import pkgutil
import resource
import signal
import sys
from pathlib import Path
from typing import Any

PATHS = {"os.rename": 1, "os.remove": 1, "os.mkdir": 1, "os.rmdir": 1, "os.truncate": 1, "os.chmod": 1, "os.link": 1}
WARM = [
    "transformers.models.llama.modeling_llama",
    "transformers.trainer",
    "peft.tuners.lora",
    "safetensors.torch",
    "sklearn.cluster",
    "sklearn.feature_extraction.text",
    "sklearn.metrics",
    "scipy.stats",
    "statsmodels.stats.proportion",
    "accelerate",
    "torch.optim.adamw",
    "torch._dynamo",
    "transformers.generation.utils",
]


def _watch(run: dict[str, Any]) -> None:
    """Count durable events below the folders, log each, and die by SIGKILL before the one wanted."""
    log = os.open(run["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    below, read = tuple(run["below"]), run["read"]
    seen = 0

    def hook(event: str, args: tuple[Any, ...]) -> None:
        nonlocal seen
        if event == "open" and isinstance(args[0], str):
            path = os.path.abspath(args[0])  # noqa: PTH100 - a Path here would make events of its own
            writes = args[2] & (os.O_WRONLY | os.O_RDWR)
            counts = path.startswith(below) if writes else path.startswith(read)
        elif event in PATHS and isinstance(args[0], str | os.PathLike):
            folder = next((arg for arg in args[1:] if isinstance(arg, int) and arg > 2), None)
            near = os.readlink(f"/proc/self/fd/{folder}") if event in {"os.remove", "os.rmdir"} and folder else "."  # noqa: PTH115
            path = os.path.abspath(os.path.join(near, os.fspath(args[0])))  # noqa: PTH100, PTH118
            counts = path.startswith(below)
        else:
            return
        if counts:
            seen += 1
            os.write(log, json.dumps([event, path]).encode() + b"\n")
            if seen == run["kill_at"]:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


def _child(run: dict[str, Any]) -> None:
    said = os.open(run["said"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(said, 1)
    os.dup2(said, 2)
    os.chdir(run["cwd"])
    if size := run.get("file_bytes"):
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL if run.get("torn") else signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    sys.argv = ["goodvibe-bench", *run["words"]]
    if not run.get("file_bytes"):  # the log is a file, too
        _watch(run)
    from goodvibe_bench.cli import main

    code = 0
    try:
        main()
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 0
    except BaseException:  # noqa: BLE001 - what an interpreter would do with it
        sys.excepthook(*sys.exc_info())
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _warm() -> None:
    import goodvibe_bench

    for module in pkgutil.walk_packages(goodvibe_bench.__path__, "goodvibe_bench."):
        if not module.name.endswith(("__main__", ".openai", ".vllm")):
            importlib.import_module(module.name)
    for name in WARM:
        importlib.import_module(name)


def main() -> None:
    """Obey orders until there are no more; answer each with the runs' exit codes, negative where a signal ended one."""
    _warm()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for line in sys.stdin:
        children = []
        for run in json.loads(line):
            child = os.fork()
            if child == 0:
                _child(run)
            children.append(child)
        ended = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
        sys.stdout.write(json.dumps(ended) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))
    main()
