import io
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from rich.console import Console

from goodvibe_bench.progress import Show
from goodvibe_bench.trainer.loop import ACCOUNT
from tests.tiny import tiny_folder

ROOT = Path(__file__).parents[1]
SETTINGS = {"training.epochs": "20", "training.save_every": "1", "training.max_length": "512"}


@contextmanager
def _started(words: list[str], folder: Path, errors: Path) -> Iterator[subprocess.Popen[str]]:
    """Start the program; at the end it is dead, whatever the test found."""
    places = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    with (
        errors.open("w") as file,
        subprocess.Popen(
            [sys.executable, "-m", "goodvibe_bench", *words],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": places, "COLUMNS": "200"},
            stdout=subprocess.PIPE,
            stderr=file,
            text=True,
        ) as process,
    ):
        try:
            yield process
        finally:
            process.kill()


def _wait(process: subprocess.Popen[str], errors: Path, there: Callable[[], bool]) -> None:
    until = time.monotonic() + 120
    while not there():
        assert process.poll() is None, f"it ended before it could be interrupted: {errors.read_text()}"
        assert time.monotonic() < until, errors.read_text()
        time.sleep(0.01)


@pytest.mark.usefixtures("interruptible")
def test_an_interrupted_training_is_exit_code_130_and_the_same_command_goes_on_from_there(tmp_path: Path) -> None:
    model, errors = tiny_folder(tmp_path / "my model"), tmp_path / "errors"
    words = ["train", "--model", str(model), "--method", "full", "--tasks", "go", "--train-limit", "12"]
    words += ["--dtype", "float32"]
    words += [word for key, value in SETTINGS.items() for word in ("--set", f"{key}={value}")]

    with _started(words, tmp_path, errors) as first:
        _wait(first, errors, lambda: "train: 1/" in errors.read_text())
        _wait(first, errors, lambda: bool(list(tmp_path.glob(f".runs/models/.partial-*/trainer/*/{ACCOUNT}"))))
        first.send_signal(signal.SIGINT)
        out, _ = first.communicate(timeout=60)
    said = errors.read_text()
    assert (first.returncode, out) == (130, ""), said
    assert "Traceback" not in said
    assert "Aborted" not in said
    assert said.count("goodvibe-bench: ") == 1
    assert re.search(r"interrupted\. What was done is kept; .*: (.*)\n\Z", said), said
    command = shlex.split(said.rstrip().rpartition("go on from there: ")[2])
    assert command == ["goodvibe-bench", *words]

    with _started(command[1:], tmp_path, errors) as second:
        out, _ = second.communicate(timeout=120)
    said = errors.read_text()
    assert second.returncode == 0, said
    assert "Trained models" in out
    steps = [int(step) for step in re.findall(r"^train: (\d+)/", said, re.MULTILINE)]
    assert steps[0] > 1, f"it began anew: {said}"


def test_an_interrupt_closes_the_progress_bar() -> None:
    terminal = io.StringIO()
    show = Show(Console(file=terminal, force_terminal=True, width=80))
    bars = []

    def work() -> None:
        with show:
            show("train", 1, 10)
            bars.append(show.bars)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work()
    (drawn,) = bars
    assert drawn is not None
    assert not drawn.live.is_started
    written = terminal.getvalue()
    assert written.rindex("\x1b[?25h") > written.rindex("\x1b[?25l"), "the cursor is shown again"
