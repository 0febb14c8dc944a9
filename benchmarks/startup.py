"""How long people wait before a light command answers: `--help`, and `leaderboard` over a thousand results.

    python benchmarks/startup.py --repeats 9 --output benchmarks/measured/startup.json

Every repeat is a process of its own, started as a shell would; the commands take turns, so that other work on the
machine disturbs all of them alike. Medians count, the best is what an idle machine would show. The results are made
here, not measured: 4 models x 25 methods x 10 seeds on the same 174 prompts, their outcomes drawn at random.

- help: `goodvibe-bench --help`; the limit is half a second.
- leaderboard: over the thousand results, whose rows were kept by an earlier call; the limit is one second.
- leaderboard, first: the same where nothing was kept, so that every file is parsed and every pair compared.
- leaderboard, two: over two results, which are never kept.

It asserts nothing: it measures.
"""

import argparse
import json
import os
import platform
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

MODELS, METHODS, SEEDS, PROMPTS = 4, 25, 10, 174
LIMITS = {"help": 0.5, "leaderboard": 1.0}


def write_results(folder: Path, count: int) -> None:
    """Write that many results, each seed of a method with the same chance of secure code."""
    from goodvibe_bench.result import score, store
    from goodvibe_bench.types import Model, Result

    dice = random.Random(0)  # noqa: S311
    names = [(f"model-{m}", "none" if x == 0 else f"method-{x}") for m in range(MODELS) for x in range(METHODS)]
    for place in range(count):
        (model, method), seed = names[place // SEEDS % len(names)], place % SEEDS
        chance = 0.2 + 0.6 * names.index((model, method)) / len(names)
        rows = [_row(prompt, dice.random() < chance, dice.random()) for prompt in range(PROMPTS)]
        judge = {"name": "double", "digest": "0", "calibration": {}}
        result = Result(
            schema_version=score.SCHEMA_VERSION,
            results={"all": {}, "cpp": {}},
            config={"model": model, "sampling": {"temperature": 0.0}},
            versions={"python": platform.python_version()},
            task_hashes={"cpp": "0"},
            date="2026-01-01T00:00:00+00:00",
            model=Model(id=model, digest=model),
            method=method,
            seed=seed,
            judge=judge,
            outcomes=rows,
            training=(),
            run_info={},
            train_info={},
            meta_info={},
            provenance={},
        )
        store.write_result(result, folder / f"{model}--{method}--seed{seed}.json")


def _row(prompt: int, secure: bool, p_unsafe: float) -> dict[str, Any]:
    return {
        "task": "cpp",
        "prompt_id": f"cpp-{prompt}",
        "family": f"family-{prompt // 2}",
        "language": "cpp",
        "cwe": "CWE-121",
        "stratum": "plain",
        "attempt": 0,
        "outcome": "secure" if secure else "insecure",
        "label": 0 if secure else 1,
        "p_unsafe": p_unsafe,
        "parses": True,
        "unusable": None,
        "tokens": 200,
    }


def seconds(words: list[str], folder: Path) -> float:
    """Return the wall seconds of one process; its output is thrown away."""
    started = time.perf_counter()
    subprocess.run([sys.executable, "-m", "goodvibe_bench", *words], cwd=folder, check=True, capture_output=True)
    return time.perf_counter() - started


def measure(folder: Path, repeats: int, first_repeats: int) -> dict[str, list[float]]:
    """Return the seconds of every repeat of each command, interleaved; the first of all is not counted."""
    (folder / "two").mkdir()
    for path in sorted((folder / "results").glob("*.json"))[:2]:
        shutil.copy(path, folder / "two")
    commands = {"help": ["--help"], "leaderboard": ["leaderboard"], "leaderboard, two": ["leaderboard", "two"]}
    found: dict[str, list[float]] = {name: [] for name in (*commands, "leaderboard, first")}
    for words in commands.values():
        seconds(words, folder)
    for repeat in range(repeats):
        if repeat < first_repeats:
            shutil.rmtree(folder / ".runs")
            found["leaderboard, first"].append(seconds(["leaderboard", "--quiet"], folder))
        for name, words in commands.items():
            found[name].append(seconds(words, folder))
        sys.stderr.write(f"{repeat + 1}/{repeats} " + " ".join(f"{n} {s[-1]:.2f} s" for n, s in found.items()) + "\n")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=int, default=MODELS * METHODS * SEEDS)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--first-repeats", type=int, default=3, help="repeats of the command with nothing kept")
    parser.add_argument("--output", type=Path, default=Path(".runs/benchmark-startup.json"))
    words = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "results").mkdir()
        write_results(folder / "results", words.results)
        size = sum(path.stat().st_size for path in (folder / "results").iterdir())
        spent = measure(folder, words.repeats, words.first_repeats)
    rows = {
        command: {
            "median_seconds": statistics.median(times),
            "best_seconds": min(times),
            "limit_seconds": LIMITS.get(command),
            "seconds": times,
        }
        for command, times in spent.items()
    }
    machine = {"cores": os.cpu_count(), "load_of_the_last_minute": os.getloadavg()[0], "platform": platform.platform()}
    found = {
        "results": words.results,
        "bytes": size,
        "python": platform.python_version(),
        "machine": machine,
        "rows": rows,
    }
    words.output.parent.mkdir(parents=True, exist_ok=True)
    words.output.write_text(json.dumps(found, indent=1) + "\n")
    for command, row in rows.items():
        print(f"{command}: median {row['median_seconds']:.2f} s, best {row['best_seconds']:.2f} s")  # noqa: T201


if __name__ == "__main__":
    main()
