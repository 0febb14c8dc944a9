"""Does the choice of rows matter? Methods side by side on the same prompts, each at the learning rate that suits it.

    python benchmarks/quality.py rates     # train at several rates, keep the one with the lowest calibration loss
    python benchmarks/quality.py study     # run every method and seed at its rate, write results
    python benchmarks/quality.py study --rate 1e-4 --seeds 1                        # all at one rate, the paper's
    python benchmarks/quality.py table     # rates and paired differences, from the results alone
    python benchmarks/quality.py table --folder results/quality-cpp-k --also results/quality-cpp

Learning rates are chosen by the loss on the secure sides of the calibration parts, with the same number of tries for
every method; held-out prompts are read by `study` alone. `table` holds methods at their best rates of the rates file
against one another, and a method at another rate against the same rate, where the folder has it. A method may carry
keys: `goodvibe+tuner.top_k=10`. Each step goes on where it was stopped. It asserts nothing.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import mean
from typing import Any

ADAPTERS = (
    "goodvibe",
    "goodvibe-random-rows",
    "lora-r16",
    "goodvibe-random-clusters",
    "goodvibe-activation",
    "lora",
    "lora-frozen-random-b",
)
RATES = {"full": ("3e-5", "1e-4", "3e-4")}
ADAPTER_RATES = ("1e-3", "3e-3", "1e-2")
SEVERAL_SEEDS = ("goodvibe", "goodvibe-random-rows", "lora-r16")
JUDGES = "panel,signals,flawfinder"
AGAINST = ("none", "goodvibe-random-rows")
RATE_KEY = "learning_rate="
Method = tuple[str, tuple[str, ...]]
"""A trainer's name and its keys, but for the learning rate."""


def rates(words: argparse.Namespace) -> None:
    """Write the calibration loss of every method and rate to the rates file."""
    path = words.rates
    found: dict[str, dict[str, float]] = _read(path)
    wanted = [(name, rate) for name in _methods(words) for rate in _tried(name) if rate not in found.get(name, {})]

    def one(job: tuple[str, str]) -> None:
        name, rate = job
        command = [sys.executable, __file__, "loss", "--model", words.model, "--tasks", words.tasks]
        done = _process(words, [*command, "--one", f"{name}:{rate}"])
        found.setdefault(name, {})[rate] = json.loads(done.splitlines()[-1])
        _write(path, found)
        sys.stderr.write(f"{name} at {rate}: {found[name][rate]:.4f}\n")

    _all(words, one, wanted)
    sys.stdout.write(json.dumps(found, indent=1) + "\n")


def loss(words: argparse.Namespace) -> None:
    """Train one method at one rate, print its calibration loss."""
    from goodvibe_bench.model.cpu import quicken
    from goodvibe_bench.model.load import best_dtype, load
    from goodvibe_bench.objective.sft import SftObjective
    from goodvibe_bench.progress import Show
    from goodvibe_bench.run import Request, prepare, train_only

    spelled, _, rate = words.one.partition(":")
    name, overrides = _split(spelled)
    overrides["training.learning_rate"] = rate
    show = Show(quiet=True)
    tasks = tuple(words.tasks.split(","))
    request = Request(model=words.model, methods=(name,), tasks=tasks, overrides=overrides)
    trained = train_only(request, show)[0]
    loaded = load(trained.name, dtype=best_dtype()[0])
    quicken(loaded.model, 1024)
    pairs = [pair for task in prepare(request, show) for pair in task.pairs["calibration"]]
    sys.stdout.write(f"\n{SftObjective(loaded.tokenizer).mean_loss(loaded.model, pairs)}\n")


def study(words: argparse.Namespace) -> None:
    """Run every method at its rate, the base first, then three seeds of the methods that the question is about.

    A cell whose result is in the folder already is left as it is, and the others are run in the dtype of those.
    """
    from goodvibe_bench.result import store
    from goodvibe_bench.run import read_trainers

    found = _read(words.rates)
    best = {name: words.rate or min(found[name], key=found[name].__getitem__) for name in _methods(words)}
    cells = [("none", 0)]
    cells += [(name, seed) for seed in range(words.seeds) for name in best if name in SEVERAL_SEEDS]
    cells += [(name, 0) for name in best if name not in SEVERAL_SEEDS]
    here = store.read_results([words.folder]) if any(words.folder.glob("*.json")) else []
    dtype = words.dtype or (here[0].config["dtype"] if here else "auto")
    own = (words.model, set(words.tasks.split(",")))
    done = {(one.method, one.seed) for one in here if (one.config["model"], set(one.task_hashes)) == own}

    def one(cell: tuple[str, int]) -> None:
        spelled, seed = cell
        name, overrides = _split(spelled)
        if name != "none":
            overrides["training.learning_rate"] = best[spelled]
        if (read_trainers((name,), overrides)[0].name, seed) in done:
            return
        command = [sys.executable, "-m", "goodvibe_bench", "run", "--model", words.model, "--method", name, "--quiet"]
        command += ["--tasks", words.tasks, "--judge", JUDGES, "--uncalibrated", "--seed", str(seed)]
        command += ["--max-new-tokens", "256", "--batch-size", "64", "--output", str(words.folder), "--dtype", dtype]
        for key, value in overrides.items():
            command += ["--set", f"{key}={value}"]
        _process(words, command)
        sys.stderr.write(f"{spelled}, seed {seed}: done\n")

    _all(words, one, cells)


def _methods(words: argparse.Namespace) -> list[str]:
    return words.methods.split(",")


def _tried(spelled: str) -> tuple[str, ...]:
    return RATES.get(_split(spelled)[0], ADAPTER_RATES)


def _split(spelled: str) -> tuple[str, dict[str, str]]:
    """`goodvibe+tuner.top_k=10` as the trainer's name and its keys."""
    name, *keys = spelled.split("+")
    return name, dict(key.split("=", 1) for key in keys)


def table(words: argparse.Namespace) -> None:
    """Print every method's rates over all its seeds, and its paired differences over the base and the random rows."""
    from goodvibe_bench.result import store
    from goodvibe_bench.result.leaderboard import rows

    found = store.read_results([words.folder])
    for folder in (words.folder, *words.also):  # differences are taken inside of a folder
        dtypes = sorted({one.config["dtype"] for one in store.read_results([folder])})
        if len(dtypes) > 1:
            sys.exit(f"{folder} has results in {' and '.join(dtypes)}, which are not compared. Take some out.")
    sys.stdout.write("\n".join(_rates_table(rows(found), _reading(found))) + "\n\n")
    sys.stdout.write("\n".join(_differences(_best(_read(words.rates)), words.folder, *words.also)) + "\n")


def _differences(best: dict[Method, str], *folders: Path) -> list[str]:
    """Return paired differences of the methods that all folders have, pooled over these, each judged by its own fit.

    A seed that several folders ran on the same tasks is one training done twice: over seeds its mean counts.
    """
    from goodvibe_bench.metric.paired import over_seeds, paired_difference
    from goodvibe_bench.result import store
    from goodvibe_bench.result.compare import answers, seed_differences, side
    from goodvibe_bench.result.form import points

    named = [{one.method: one for one in store.read_results([folder])} for folder in folders]
    shared = sorted(set(named[0]).intersection(*named[1:]))
    judges = _reading([one for found in named for one in found.values()])
    lines = ["| method | over | rate | n | difference [95%] | over seeds [95%] | of each |", "|" + " --- |" * 7]
    for method, base in _against(shared, best):
        for judge, rate in [(judges[0], "valid"), *((judge, "secure") for judge in judges)]:
            sides = [(side(base, folder), side(method, folder)) for folder in folders]
            both = [answers(*pair, judge, rate) for pair in sides]
            seeds: dict[Any, list[float]] = {}
            for pair in sides:
                for own, value in seed_differences(*pair, judge, rate).items():
                    seeds.setdefault((tuple(sorted(pair[1].one.task_hashes)), own), []).append(value)
            spread = over_seeds([mean(found) for found in seeds.values()])
            each = ", ".join(f"{100 * mean(found):+.1f}" for found in seeds.values())
            found = paired_difference(
                [(f"{language} {family}", before, after) for part in both for language, family, before, after in part]
            )
            name = "valid" if rate == "valid" else f"secure by {judge}"
            over = points(spread) if spread else ""
            lines.append(f"| {method} | {base} | {name} | {found.n} | {points(found)} | {over} | {each} |")
    return lines


def _reading(results: Sequence[Any]) -> list[str]:
    """Return the judges that labelled some sample of every result: an analyser reads not all languages."""
    from goodvibe_bench.result import instrument

    def labels(result: Any, name: str, first: bool) -> bool:
        rows = result.outcomes if first else instrument.seen_by(result.outcomes, name)
        return any(row["label"] is not None for row in rows)

    names = [block["name"] for block in instrument.judges(results[0])]
    return [name for name in names if all(labels(result, name, name == names[0]) for result in results)]


def _best(losses: dict[str, dict[str, float]]) -> dict[Method, str]:
    """Return the learning rate of the lowest loss of every method in a rates file."""
    found = {}
    for spelled, tried in losses.items():
        name, overrides = _split(spelled)
        keys = tuple(f"{key.rpartition('.')[2]}={value}" for key, value in overrides.items())
        found[name, keys] = min(tried, key=tried.__getitem__)
    return found


def _against(methods: list[str], best: dict[Method, str] | None = None) -> Iterator[tuple[str, str]]:
    """Yield every method with what it is held against: the base, and the random rows."""
    for place, base in enumerate(AGAINST):
        for method in methods:
            if method.partition("[")[0] not in AGAINST[: place + 1]:
                yield from ((method, other) for other in _counterparts(base, method, methods, best or {}))


def _counterparts(base: str, method: str, methods: list[str], best: dict[Method, str]) -> list[str]:
    """Return the base with the method's own keys, or without them if need be, at the learning rate to compare with.

    That is the base's best one for a method at its own best; else the method's own rate; else all that there are.
    """
    _, bracket, keys = method.partition("[")
    same = f"{base}{bracket}{keys}"
    like = [[one for one in methods if _without_rate(one) == _without_rate(wanted)] for wanted in (same, base)]
    found = like[0] or like[1]
    bests = [one for one in found if _is_at(best, one)]
    if bests and _is_at(best, method):
        return bests
    return [same] if same in methods else found


def _without_rate(method: str) -> Method:
    """`goodvibe[top_k=10,learning_rate=3e-3]` as the trainer's name and its keys but the learning rate."""
    name, _, keys = method.rstrip("]").partition("[")
    return name, tuple(key for key in keys.split(",") if key and not key.startswith(RATE_KEY))


def _is_at(best: dict[Method, str], method: str) -> bool:
    """Return whether the method is at its best learning rate."""
    keys = method.rstrip("]").partition("[")[2].split(",")
    return f"{RATE_KEY}{best.get(_without_rate(method))}" in keys


def _rates_table(found: list[Any], judges: list[str]) -> list[str]:
    """Return the rates in %, with intervals, the best by the first judge first."""
    lines = ["| method | n | trained | valid | " + " | ".join(judges) + " |", "|" + " --- |" * (4 + len(judges))]
    for row in found:
        rates = [row["valid_rate"], *(one.secure_rate for one in row["judges"] if one.judge in judges)]
        cells = [f"{100 * one.value:.1f} [{100 * one.low:.0f}, {100 * one.high:.0f}]" for one in rates]
        lines += [f"| {row['method']} | {row['n']} | {row['trainable_parameters']:,} | " + " | ".join(cells) + " |"]
    return lines


def _all(words: argparse.Namespace, one: Any, jobs: list[Any]) -> None:
    with ThreadPoolExecutor(words.processes) as pool:
        list(pool.map(one, jobs))


def _process(words: argparse.Namespace, command: list[str]) -> str:
    """Run a command with its share of the cores and return what it printed."""
    share = max(1, len(os.sched_getaffinity(0)) // words.processes)
    environment = os.environ | {"OMP_NUM_THREADS": str(share)}
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=environment).stdout


def _read(path: Path) -> Any:
    return json.loads(path.read_text()) if path.is_file() else {}


def _write(path: Path, words: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(words, indent=1, sort_keys=True) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("step", choices=("rates", "loss", "study", "table"))
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--methods", default=",".join([*ADAPTERS, *RATES]))
    parser.add_argument("--tasks", default="cybernative-cpp,cpp")
    parser.add_argument("--folder", type=Path, default=Path("results/quality-cpp"))
    parser.add_argument("--also", type=Path, nargs="*", default=[], help="table: more results, pooled with these")
    parser.add_argument("--rates", type=Path, default=Path("benchmarks/measured/quality-cpp-rates.json"))
    parser.add_argument("--rate", help="study: this learning rate for every method, instead of its best one")
    parser.add_argument("--dtype", help="study: that of the folder's results, else what the device is quick in")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--processes", type=int, default=1, help="cells at a time; the cores are shared out")
    parser.add_argument("--one", help="METHOD:RATE for `loss`")
    words = parser.parse_args()
    {"rates": rates, "loss": loss, "study": study, "table": table}[words.step](words)


if __name__ == "__main__":
    main()
