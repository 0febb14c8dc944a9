import json
from pathlib import Path
from typing import Any

import pytest

from goodvibe_bench.errors import UsageError
from goodvibe_bench.progress import Show
from goodvibe_bench.result.compare import compare, side
from goodvibe_bench.result.leaderboard import rows as leaderboard_rows
from goodvibe_bench.result.store import read_lines, read_result
from goodvibe_bench.scoring import Scoring, score
from goodvibe_bench.task import load as load_task
from goodvibe_bench.types import Record
from tests.conftest import Call
from tests.task.rows import write_rows

QUIET = Show(quiet=True)
SAFE = "```cpp\nint f(int n) { return n; }\n```"
UNSAFE = "```cpp\nvoid f(char *a, char *b) { strcpy(a, b); }\n```"
JUDGE = 'description = "A double"\n[judge]\nkind = "scripted"\nunsafe_words = ["strcpy"]\n'


@pytest.fixture
def scoring(tmp_path: Path) -> Scoring:
    (tmp_path / "double.toml").write_text(JUDGE)
    return Scoring(
        file=tmp_path / "mine.jsonl",
        tasks=("cpp",),
        judges=(str(tmp_path / "double.toml"),),
        uncalibrated=True,
        output=tmp_path / "results",
        scratch=tmp_path / "scratch",
    )


def rows_of(scoring: Scoring, *texts: str) -> list[dict[str, Any]]:
    """One row a text, for the first prompts of the task."""
    prompts = load_task(scoring.tasks[0]).prompts
    return [{"prompt": prompt.text, "completion": text} for prompt, text in zip(prompts, texts, strict=False)]


def test_a_file_gets_an_ordinary_result_with_its_records_beside_it(scoring: Scoring) -> None:
    write_rows(scoring.file, rows_of(scoring, SAFE, UNSAFE))
    result, path = score(scoring, QUIET)
    assert read_result(path) == result
    assert path.parent == scoring.output
    assert (result.model.id, result.method, result.seed, result.training) == ("mine", "mine", 0, ())
    assert [row["outcome"] for row in result.outcomes] == ["secure", "insecure"]
    task = load_task("cpp")
    answered = {"cpp": [2, len(task.prompts)]}
    assert result.config["source"] == {"file": "mine.jsonl", "format": "plain", "answered": answered}
    assert str(scoring.file.parent) not in json.dumps(result.config["source"])
    row, _ = result.outcomes
    assert result.task_hashes == {"cpp": task.digest}
    assert (row["family"], row["cwe"]) == (task.prompts[0].family, task.prompts[0].cwe)
    records = read_lines(path.parent / "records" / f"{path.stem}.jsonl", Record)
    assert [record.prompt for record in records] == list(task.prompts[:2])
    assert [record.completion.text for record in records] == [SAFE, UNSAFE]


def test_refusals_and_junk_score_0_percent_secure(scoring: Scoring) -> None:
    junk = [
        "",
        "I'm sorry, but I can't help with that.",
        "lorem ipsum " * 300,
        "```cpp\nint f( { ]] ;\n```",
        "\0\x1b[31m",
    ]
    junk += ["```python\ndef f():\n    return 1\n```"]
    write_rows(scoring.file, rows_of(scoring, *junk))
    result, _ = score(scoring, QUIET)
    assert len(result.outcomes) == len(junk)
    assert result.results["all"]["secure_rate,none"] == 0
    assert {row["outcome"] for row in result.outcomes} == {"unusable"}


def test_a_completion_that_failed_is_not_secure_whatever_its_text(scoring: Scoring) -> None:
    write_rows(scoring.file, [row | {"stop": "error"} for row in rows_of(scoring, SAFE)])
    result, _ = score(scoring, QUIET)
    assert [(row["outcome"], row["label"], row["unusable"]) for row in result.outcomes] == [
        ("unjudged", None, "failed")
    ]


def test_records_are_judged_anew(scoring: Scoring, tmp_path: Path) -> None:
    write_rows(scoring.file, rows_of(scoring, SAFE, UNSAFE))
    first, path = score(scoring, QUIET)
    (tmp_path / "strict.toml").write_text(JUDGE.replace("strcpy", "return"))
    records = path.parent / "records" / f"{path.stem}.jsonl"
    again = scoring.model_copy(update={"file": records, "judges": (str(tmp_path / "strict.toml"),), "name": "again"})
    second, _ = score(again, QUIET)
    assert second.config["source"]["format"] == "records"
    assert [row["outcome"] for row in second.outcomes] == ["insecure", "secure"]
    assert second.task_hashes == first.task_hashes


@pytest.mark.parametrize("own", [False, True], ids=["known prompts", "the file's own"])
def test_two_files_over_the_same_prompts_are_ranked_and_compared_by_name(
    scoring: Scoring, tmp_path: Path, own: bool
) -> None:
    known = [row["prompt"] for row in rows_of(scoring, *[SAFE] * 6)]
    prompts = [f"{'My own: ' if own else ''}{text}" for text in known]
    for name, text in (("bad", UNSAFE), ("good", SAFE)):
        file = write_rows(tmp_path / f"{name}.jsonl", [{"prompt": one, "completion": text} for one in prompts])
        score(scoring.model_copy(update={"file": file, "language": "cpp"}), QUIET)
    found = compare(side("bad", scoring.output), side("good", scoring.output))
    (secure,) = [one for one in found.differences if one.rate == "secure"]
    assert (secure.before, secure.after, secure.difference.n) == (0, 1, 6)
    results = [read_result(path) for path in sorted(scoring.output.glob("*.json"))]
    assert [row["model"] for row in leaderboard_rows(results)] == ["good", "bad"]
    assert len({row["task"] for row in leaderboard_rows(results)}) == 1


def test_every_judge_labels_every_sample(scoring: Scoring, tmp_path: Path) -> None:
    (tmp_path / "strict.toml").write_text(JUDGE.replace("strcpy", ""))
    write_rows(scoring.file, rows_of(scoring, SAFE))
    result, _ = score(scoring.model_copy(update={"judges": (*scoring.judges, str(tmp_path / "strict.toml"))}), QUIET)
    assert result.outcomes[0]["outcome"] == "secure"
    assert result.outcomes[0]["others"]["strict"]["outcome"] == "insecure"


def test_a_prompt_id_may_be_in_two_languages_of_a_file(scoring: Scoring) -> None:
    rows = [{"id": "1", "prompt": "Sort.", "completion": SAFE, "language": "cpp"}]
    rows += [{"id": "1", "prompt": "Sort.", "completion": "```go\nfunc f() int { return 1 }\n```", "language": "go"}]
    write_rows(scoring.file, rows)
    result, _ = score(scoring, QUIET)
    assert [(row["language"], row["outcome"]) for row in result.outcomes] == [("cpp", "secure"), ("go", "secure")]
    assert len(result.task_hashes) == 2


def test_a_judge_without_calibration_is_refused_and_nothing_is_written(scoring: Scoring) -> None:
    write_rows(scoring.file, rows_of(scoring, SAFE))
    with pytest.raises(UsageError, match="'double' has none for cpp"):
        score(scoring.model_copy(update={"uncalibrated": False}), QUIET)
    assert not scoring.output.exists()
    assert not scoring.scratch.exists()


@pytest.mark.parametrize("name", ["", " ", "x" * 81, "a\x1b[31m"])
def test_a_name_that_no_result_can_bear_is_refused(scoring: Scoring, name: str) -> None:
    write_rows(scoring.file, rows_of(scoring, SAFE))
    with pytest.raises(UsageError, match="--name"):
        score(scoring.model_copy(update={"name": name}), QUIET)


def test_a_name_is_never_a_path(scoring: Scoring) -> None:
    write_rows(scoring.file, rows_of(scoring, SAFE))
    result, path = score(scoring.model_copy(update={"name": "../../org/model"}), QUIET)
    assert result.model.id == "../../org/model"
    assert path.parent == scoring.output
    assert path.is_file()


def test_the_command_prints_a_row_and_writes_the_result(call: Call, scoring: Scoring, tmp_path: Path) -> None:
    write_rows(tmp_path / "mine.jsonl", rows_of(scoring, SAFE, UNSAFE))
    words = ["score", "mine.jsonl", "--tasks", "cpp", "--judge", scoring.judges[0], "--uncalibrated", "--name", "m1"]
    code, out, err = call(*words)
    assert code == 0, err
    assert "m1" in out
    assert "cpp: 2 samples for 2 of " in err
    code, out, err = call(*words, "--json", "--quiet", "--format", "plain", "--output", "other")
    assert (code, err) == (0, "")
    (row,) = json.loads(out)
    assert (row["model"], row["n"], row["secure_rate"]["value"]) == ("m1", 2, 0.5)
    assert len(list((tmp_path / "results").glob("*.json"))) == len(list((tmp_path / "other").glob("*.json"))) == 1


@pytest.mark.parametrize(
    ("content", "words", "said"),
    [
        (b"no json\n", (), "mine.jsonl, line 1: not JSON"),
        (b'{"prompt": "Sort.", "completion": "a"}', (), "--language"),
        (b'{"prompt": "Sort.", "completion": "a"}', ("--language", "rust"), "--language: language 'rust'"),
        (b'{"prompt": "Sort.", "completion": "a"}', ("--language", "go"), "'double' has none for go"),
        (b'{"a": 1}', (), "--format"),
        (b"", (), "is empty"),
    ],
)
def test_the_command_refuses_with_exit_code_2_and_writes_nothing(
    call: Call, scoring: Scoring, tmp_path: Path, content: bytes, words: tuple[str, ...], said: str
) -> None:
    (tmp_path / "mine.jsonl").write_bytes(content)
    code, out, err = call("score", "mine.jsonl", "--tasks", "cpp", "--judge", scoring.judges[0], *words)
    assert (code, out) == (2, "")
    assert said in err
    assert "Traceback" not in err
    assert not (tmp_path / "results").exists()
    assert not (tmp_path / ".runs").exists()


def test_help_works(call: Call) -> None:
    code, out, err = call("score", "--help")
    assert (code, err) == (0, "")
    assert "lm-eval" in out
