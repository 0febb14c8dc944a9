import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from goodvibe_bench.result.store import read_lines, read_result
from goodvibe_bench.types import Record
from tests.tiny import tiny_folder

ROOT = Path(__file__).parents[1]
TRAINER = """
description = "A short training for tests"
[tuner]
kind = "goodvibe"
top_k = 4
samples = 8
[training]
epochs = 2
batch_size = 4
micro_batch_size = 2
save_every = 2
learning_rate = 1e-2
"""
JUDGE = """
description = "An untuned judge"
[judge]
kind = "model"
base = "{base}"
max_code_tokens = 64
"""
TASK = """
description = "Made up"
language = "cpp"
license = "Apache-2.0"
[source]
kind = "bundled"
[split.shares]
tuner-train = 1.0
judge-train = 0.0
calibration = 0.0
held-out = 0.0
"""
PARTS = 6
"""Of the points at which a run is killed; tests of them run side by side."""
MEASURED = re.compile(r"date|created_at|.*seconds|.*time|tokens_per_second|peak_memory_bytes|accelerator_memory_max")
"""Keys of a result and a record that a clock or the system's memory decides."""


@dataclass
class Zygote:
    """Runs command lines of the real program in forks of one warm process."""

    process: subprocess.Popen[str]
    place: Path
    runs: int = field(default=0)

    def order(self, *runs: dict[str, Any]) -> list[int]:
        """Start the runs at once; return their exit codes, negative where a signal ended one."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(runs) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def run(self, folder: Path, words: list[str], **more: Any) -> dict[str, Any]:
        self.runs += 1
        said, log = (self.place / f"{self.runs}.{kind}" for kind in ("said", "log"))
        below = [str(folder / "scratch"), str(folder / "results")]
        shared = {"words": words, "cwd": str(folder), "said": str(said), "log": str(log), "below": below}
        return {**shared, "read": str(self.place / "task"), "kill_at": 0, **more}


@pytest.fixture(scope="module")
def zygote(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Zygote]:
    place = tmp_path_factory.mktemp("zygote")
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "HF_HUB_OFFLINE": "1",
        "COLUMNS": "200",
    }
    with subprocess.Popen(
        [sys.executable, "-m", "tests.zygote"],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield Zygote(process, place)
        finally:
            process.kill()


@pytest.fixture(scope="module")
def words(zygote: Zygote) -> list[str]:
    """A command that trains, generates in batches, judges with a model and writes two results."""
    place = zygote.place
    (place / "short.toml").write_text(TRAINER)
    (place / "judge.toml").write_text(JUDGE.format(base=tiny_folder(place / "judging", seed=1)))
    (place / "task").mkdir()
    (place / "task" / "task.toml").write_text(TASK)
    rows = [
        {"id": f"p{i}", "language": "cpp", "prompt": f"Write function number {i}.", "source": "test"}
        | {
            "secure": f"int f{i}(int n) {{ return n < {i * 7} ? n : {i}; }}",
            "insecure": f"int g{i}(char *n) {{ return n[{i}]; }}",
        }
        for i in range(8)
    ]
    asked = [{"id": f"h{i}", "language": "cpp", "text": f"Write a loop {'again and ' * i} now."} for i in range(7)]
    for name, content in (("pairs", rows), ("prompts", asked)):
        (place / "task" / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in content))
    return [
        *("run", "--model", str(tiny_folder(place / "tiny")), "--method", f"none,{place / 'short.toml'}"),
        *("--tasks", str(place / "task"), "--judge", str(place / "judge.toml"), "--uncalibrated"),
        *("--max_new_tokens", "12", "--batch_size", "3", "--n_samples", "2", "--temperature", "0.9"),
        *("--scratch", "scratch", "--output", "results"),
    ]


STAGES = {
    "train: neurons": r"/attribution|/models/\.partial-[^/]*(/neurons|/\.partial-)",
    "train: checkpoints": r"/models/\.partial-[^/]*/trainer",
    "train: model": r"/models|/locks/tiny--",
    "generate": r"/completions|/locks/",
    "judge": r"/verdicts/",
    "utility": r"/utility/",
    "write": r"/results/",
    "prepare": r"",
}


def _stage(event: list[str], folder: Path) -> str:
    place = event[1].replace(str(folder), "")
    return next(stage for stage, pattern in STAGES.items() if re.search(pattern, place))


def _events(run: dict[str, Any]) -> list[list[str]]:
    return [json.loads(line) for line in Path(run["log"]).read_text().splitlines()]


def _unmeasured(words: Any) -> Any:
    """Return a result or record without what a clock or the system's memory decides."""
    if isinstance(words, dict):
        return {key: _unmeasured(value) for key, value in words.items() if not MEASURED.fullmatch(key)}
    return [_unmeasured(value) for value in words] if isinstance(words, list | tuple) else words


def _found(folder: Path) -> dict[str, Any]:
    """Return every result and record below the folder by file name, unmeasured."""
    results = {path.name: read_result(path).model_dump() for path in (folder / "results").glob("*.json")}
    records = {
        path.name: [record.model_dump() for record in read_lines(path, Record)]
        for path in (folder / "results" / "records").glob("*.jsonl")
    }
    return _unmeasured(results | records)


@pytest.fixture(scope="module")
def undisturbed(zygote: Zygote, words: list[str], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What the command ends with, and its durable events, each with its stage."""
    folder = tmp_path_factory.mktemp("undisturbed")
    run = zygote.run(folder, words)
    assert zygote.order(run) == [0], Path(run["said"]).read_text()
    found = _found(folder)
    samples = [row["prompt_id"] for name in found if name.endswith(".json") for row in found[name]["outcomes"]]
    assert len(samples) == 2 * 14
    return found, [_stage(event, folder) for event in _events(run)]


def _points(stages: list[str], wanted: int) -> list[int]:
    """Return numbers of events, spread over the run, with at least four of every stage that has as many."""
    spread = {round(1 + place * (len(stages) - 1) / (wanted - 1)) for place in range(wanted)}
    for stage in STAGES:
        own = [number for number, found in enumerate(stages, 1) if found == stage]
        spread |= {own[round(place * (len(own) - 1) / 3)] for place in range(4)}
    return sorted(spread)


@pytest.mark.parametrize("part", range(PARTS))
def test_a_run_killed_at_any_point_ends_as_if_it_had_not_been(
    zygote: Zygote, words: list[str], undisturbed: Any, tmp_path: Path, part: int
) -> None:
    expected, stages = undisturbed
    points = _points(stages, 20)
    hit = {stage: sum(stages[point - 1] == stage for point in points) for stage in STAGES}
    assert len(points) >= 40
    assert min(hit.values()) >= 3, hit
    for point in points[part::PARTS]:
        folder = tmp_path / str(point)
        folder.mkdir()
        killed, again = zygote.run(folder, words, kill_at=point), zygote.run(folder, words)
        assert zygote.order(killed) == [-9], f"event {point} never came"
        assert zygote.order(again) == [0], f"{point}, {stages[point - 1]}: {Path(again['said']).read_text()}"
        assert _found(folder) == expected, f"killed at event {point}, {stages[point - 1]}"


def test_a_run_killed_again_and_again_ends_as_if_it_had_not_been(
    zygote: Zygote, words: list[str], undisturbed: Any, tmp_path: Path
) -> None:
    expected, stages = undisturbed
    for point in range(20, len(stages), 17):
        zygote.order(zygote.run(tmp_path, words, kill_at=point))
    again = zygote.run(tmp_path, words)
    assert zygote.order(again) == [0], Path(again["said"]).read_text()
    assert _found(tmp_path) == expected


def test_of_two_runs_at_once_one_works_and_both_end_the_same(
    zygote: Zygote, words: list[str], undisturbed: Any, tmp_path: Path
) -> None:
    both = [zygote.run(tmp_path, words) for _ in range(2)]
    assert zygote.order(*both) == [0, 0], [Path(run["said"]).read_text() for run in both]
    assert _found(tmp_path) == undisturbed[0]
    said = [Path(run["said"]).read_text() for run in both]
    assert sum("short: training" in text for text in said) == 1
    assert sum("waiting: another run" in text for text in said) >= 1
    for path in (tmp_path / "scratch" / "completions").glob("*.jsonl"):
        rows = [json.loads(line)["row"] for line in path.read_text().splitlines()]
        assert len(rows) == len({(row["prompt_id"], row["attempt"]) for row in rows}) == 14


@pytest.mark.parametrize("size", [500, 3000, 20_000, 40_000])
def test_a_full_disk_is_said_and_the_same_command_goes_on(
    zygote: Zygote, words: list[str], undisturbed: Any, tmp_path: Path, size: int
) -> None:
    full, again = zygote.run(tmp_path, words, file_bytes=size), zygote.run(tmp_path, words)
    (code,) = zygote.order(full)
    said = Path(full["said"]).read_text()
    assert code == 1, said
    assert "Traceback" not in said
    assert "goodvibe-bench: " in said
    assert zygote.order(again) == [0], Path(again["said"]).read_text()
    assert _found(tmp_path) == undisturbed[0]


@pytest.mark.parametrize("size", [500, 3000, 20_000, 40_000])
def test_a_run_killed_in_the_middle_of_a_write_ends_as_if_it_had_not_been(
    zygote: Zygote, words: list[str], undisturbed: Any, tmp_path: Path, size: int
) -> None:
    torn, again = zygote.run(tmp_path, words, file_bytes=size, torn=True), zygote.run(tmp_path, words)
    assert zygote.order(torn) == [-25]  # SIGXFSZ, when a file grows past its limit
    assert zygote.order(again) == [0], Path(again["said"]).read_text()
    assert _found(tmp_path) == undisturbed[0]


def _half(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    place = content.rindex(b'"text":"') + 9 if b'"text":"' in content else len(content) * 3 // 4
    content[place] ^= 1
    path.write_bytes(bytes(content))


def _garbage(path: Path) -> None:
    path.write_bytes(b"\xff\x00[[[{\n" * 5)


@pytest.mark.parametrize("damage", [_half, _flip, _garbage, Path.unlink])
@pytest.mark.parametrize(
    "cached",
    [
        "scratch/completions/*.jsonl",
        "scratch/verdicts/*.jsonl",
        "scratch/models/*/model.safetensors",
        "scratch/models/*/goodvibe.json",
        "scratch/models/*/config.json",
    ],
)
def test_a_damaged_cache_is_made_anew(
    zygote: Zygote, words: list[str], undisturbed: Any, tmp_path: Path, cached: str, damage: Any
) -> None:
    first, again = (zygote.run(tmp_path, words) for _ in range(2))
    assert zygote.order(first) == [0]
    paths = [path for path in tmp_path.glob(cached) if path.stat().st_size]
    assert paths
    for path in paths:
        damage(path)
    assert zygote.order(again) == [0], Path(again["said"]).read_text()
    assert _found(tmp_path) == undisturbed[0]
