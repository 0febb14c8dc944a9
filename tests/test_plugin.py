import subprocess
import sys
from pathlib import Path

import pytest

import goodvibe_bench
from goodvibe_bench.result import store
from goodvibe_bench.types import Prompt
from tests.result.builders import outcomes, result

pytest_plugins = ["pytester"]


@pytest.fixture
def results(pytester: pytest.Pytester) -> Path:
    """Results of three methods in pytester's folder: the accepted one, a better one, and a much worse one."""
    folder = pytester.path / "results"
    folder.mkdir()
    for method, secure in (("none", 100), ("better", 160), ("worse", 40)):
        store.write_result(
            result(outcomes(secure=secure, insecure=200 - secure), method=method), folder / f"{method}.json"
        )
    return folder


def _run(pytester: pytest.Pytester, *words: str) -> pytest.RunResult:
    return pytester.runpytest_subprocess("-p", "no:cacheprovider", *words)


def test_the_gate_is_one_test_beside_the_others(pytester: pytest.Pytester, results: Path) -> None:
    pytester.makepyfile("def test_own(): pass")
    _run(pytester).assert_outcomes(passed=1)
    gated = _run(pytester, "--goodvibe-result", "better", "--goodvibe-baseline", "none")
    gated.assert_outcomes(passed=2)


def test_a_proven_drop_fails_with_the_words_of_check_and_no_traceback(pytester: pytest.Pytester, results: Path) -> None:
    words = ("--goodvibe-result", str(results / "worse.json"), "--goodvibe-baseline", str(results / "none.json"))
    found = _run(pytester, *words)
    found.assert_outcomes(failed=1)
    found.stdout.fnmatch_lines(["*regression: worse (seed 0) against none (seed 0); secure rate 50.0% to 20.0%*"])
    assert "Traceback" not in found.stdout.str()
    assert "plugin.py" not in found.stdout.str()


@pytest.mark.parametrize(
    ("how", "expected"), [("fail", {"failed": 1}), ("warn", {"passed": 1, "warnings": 1}), ("pass", {"passed": 1})]
)
def test_what_is_inconclusive_does_as_it_is_told(
    pytester: pytest.Pytester, results: Path, how: str, expected: dict[str, int]
) -> None:
    words = ("--goodvibe-result", "none", "--goodvibe-baseline", "none", "--goodvibe-margin", "0.1pp")
    found = _run(pytester, *words, "--goodvibe-on-inconclusive", how)
    found.assert_outcomes(**expected)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--goodvibe-baseline", "gone.json"), "*gone.json*"),
        (
            ("--goodvibe-baseline", "none", "--goodvibe-margin", "two"),
            "*The margin 'two' is none: give percentage points*",
        ),
    ],
)
def test_what_cannot_be_checked_fails_in_words(
    pytester: pytest.Pytester, results: Path, words: tuple[str, ...], said: str
) -> None:
    found = _run(pytester, "--goodvibe-result", "better", *words)
    found.assert_outcomes(failed=1)
    found.stdout.fnmatch_lines([said])


def test_one_side_alone_is_a_usage_error(pytester: pytest.Pytester, results: Path) -> None:
    found = _run(pytester, "--goodvibe-result", "better")
    assert found.ret == pytest.ExitCode.USAGE_ERROR
    found.stderr.fnmatch_lines(["*given together, or not at all*"])


def test_pytest_pays_nothing_for_it_at_its_start() -> None:
    program = "import sys, goodvibe_bench.plugin; print([n for n in ('pydantic', 'numpy', 'torch', 'typer') if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_nouns_are_there_when_they_are_asked_for() -> None:
    assert {name: getattr(goodvibe_bench, name) for name in goodvibe_bench.__all__}["Prompt"] is Prompt
    with pytest.raises(AttributeError, match="no attribute 'prompt'"):
        _ = goodvibe_bench.prompt  # type: ignore[attr-defined]
