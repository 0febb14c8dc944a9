import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from goodvibe_bench.cli import main
from goodvibe_bench.model.load import Loaded
from goodvibe_bench.types import Labelled, Pair
from tests.tiny import tiny_model

Call = Callable[..., tuple[int, str, str]]
"""Words of the command line in; exit code, standard output and standard error out."""

os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ.setdefault("HF_HUB_OFFLINE", "1")


@pytest.fixture(params=["llama", "qwen3"])
def loaded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    """A fresh tiny random model in float32, once as Llama and once as Qwen3."""
    return tiny_model(tmp_path_factory.mktemp("model"), kind=request.param)


@pytest.fixture
def pairs() -> list[Pair]:
    """Twelve little C++ pairs."""
    return [
        Pair(
            id=f"p{i}",
            language="cpp",
            prompt=f"Write a C++ function number {i} that copies text.",
            secure=f"int f{i}(int n) {{ return n < {i} ? n : {i}; }}",
            insecure=f"int f{i}(int n) {{ return n; }}" + " " * (i % 3),
            source="test",
        )
        for i in range(12)
    ]


@pytest.fixture
def snippets() -> list[Labelled]:
    """Ten labelled snippets of different lengths."""
    return [
        Labelled(id=str(i), code="int x = 1;\n" * (i + 1), language="cpp", label=1 if i % 2 else 0, family=str(i // 2))
        for i in range(10)
    ]


@pytest.fixture
def interruptible() -> Iterator[None]:
    """A process started here obeys SIGINT even where this one was started to ignore it, as in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Call:
    """Run the command line in an empty folder; return exit code, standard output and standard error."""
    monkeypatch.chdir(tmp_path)
    for name, value in {
        "TOKENIZERS_PARALLELISM": "false",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "COLUMNS": "200",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("GOODVIBE_BENCH_DATA", raising=False)

    def run(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["goodvibe-bench", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        code = ended.value.code
        assert code is None or isinstance(code, int)
        return code or 0, *capsys.readouterr()

    return run
