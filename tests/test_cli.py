import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer.main
from pydantic import BaseModel

from goodvibe_bench import catalog
from goodvibe_bench.cli import app
from goodvibe_bench.cli.options import NAMED_OTHERWISE, option_of
from goodvibe_bench.experiment import grid
from goodvibe_bench.generator.sampling import Sampling
from goodvibe_bench.generator.server import Server
from goodvibe_bench.plan import Workload
from goodvibe_bench.request import Request
from goodvibe_bench.result import store
from goodvibe_bench.result.check import Limits
from goodvibe_bench.types import Outcome
from tests.conftest import Call
from tests.result.builders import outcomes, result, two_judges, with_other
from tests.task.rows import published_rows, write_rows

ROOT = Path(__file__).parents[1]
ESCAPE = "\x1b]0;owned\x07\x1b[31m"


@pytest.fixture
def judge(tmp_path: Path) -> str:
    path = tmp_path / "word.toml"
    path.write_text('description = "x"\n[judge]\nkind = "scripted"\nunsafe_words = ["strcpy"]\n')
    return str(path)


def _refused(found: tuple[int, str, str], *words: str) -> None:
    code, out, err = found
    assert code == 2, err
    assert out == ""
    # Progress lines may come first; then one message.
    message = err[err.index("goodvibe-bench: ") :]
    assert err.count("goodvibe-bench: ") == 1
    assert "Traceback" not in err
    for word in words:
        assert word in message


@pytest.mark.parametrize("words", [(), ("run",), ("leaderboard",), ("ls",), ("plan",), ("judge", "fit")])
def test_help_works(call: Call, words: tuple[str, ...]) -> None:
    code, out, err = call(*words, "--help")
    assert (code, err) == (0, "")
    assert "Usage:" in out


def test_an_unknown_option_is_exit_code_2(call: Call) -> None:
    code, _, err = call("run", "--model", "smollm2-135m", "--methd", "none")
    assert code == 2
    assert "--methd" in err
    assert "Traceback" not in err


@pytest.mark.parametrize("name", ["smollm2-135n", "./no/such/folder"])
def test_an_unknown_model_is_refused(call: Call, judge: str, name: str) -> None:
    words = ("run", "--model", name, "--tasks", "go", "--judge", judge, "--uncalibrated")
    _refused(call(*words), repr(name), "smollm2-135m")


def test_an_unknown_method_is_refused(call: Call) -> None:
    _refused(
        call("run", "--model", "smollm2-135m", "--method", "none,goodvib"), "Unknown trainer 'goodvib'", "'goodvibe'"
    )


def test_an_unknown_task_is_refused(call: Call) -> None:
    _refused(call("run", "--model", "smollm2-135m", "--tasks", "jav"), "Unknown task 'jav'", "'java'")


def test_an_unknown_judge_is_refused(call: Call) -> None:
    _refused(
        call("run", "--model", "smollm2-135m", "--tasks", "go", "--judge", "linea"), "Unknown judge 'linea'", "'linear'"
    )


def test_an_uncalibrated_judge_is_refused(call: Call, judge: str) -> None:
    words = ("run", "--model", "smollm2-135m", "--tasks", "go", "--judge", f"smollm2-135m,{judge}")
    _refused(call(*words), "'word' has none for go", "--uncalibrated")


def test_score_tells_of_a_missing_file_before_it_reads_any_task(call: Call) -> None:
    code, out, err = call("score", "/nowhere/samples.jsonl")
    assert (code, out, err) == (2, "", "goodvibe-bench: There is no file '/nowhere/samples.jsonl'.\n")


def test_an_unknown_backend_is_refused(call: Call) -> None:
    _refused(call("run", "--model", "smollm2-135m", "--backend", "transformer"), "Unknown backend", "'transformers'")


@pytest.mark.parametrize("limit", ["0", "-1"])
def test_a_limit_below_one_is_refused(call: Call, limit: str) -> None:
    _refused(call("run", "--model", "smollm2-135m", "--limit", limit), "limit", "greater than or equal to 1")


def test_a_plan_refuses_a_dtype_in_which_a_run_would_not_train(call: Call) -> None:
    _refused(call("plan", "--model", "smollm2-135m", "--method", "lora", "--dtype", "float16"), "cannot train lora")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("run", "--temperature", "-1"), "--temperature: Input should be greater than or equal to 0, not -1.0"),
        (("run", "--n-samples", "0"), "--n-samples: Input should be greater than or equal to 1, not 0"),
        (("run", "--seed", "-1"), "--seed: Input should be greater than or equal to 0, not -1"),
        (("run", "--judge-backend", "vlm"), "--judge-backend: Input should be 'transformers' or 'vllm', not 'vlm'"),
        (("run", "--base-url", "http://h", "--timeout", "0"), "--timeout: Input should be greater than 0, not 0.0"),
        (("run", "--model_args", "seed=x,max_num_seqs=0"), "--model_args max_num_seqs: Input should be greater"),
        (("run", "--model_args", "seed=x,max_num_seqs=0"), "--model_args seed: Input should be a valid integer"),
        (("run", "--method", "goodvibe", "--set", "training.epochs=-1"), "--set training.epochs: Input should be"),
        (("plan", "--micro-batch", "0"), "--micro-batch: Input should be greater than or equal to 1, not 0"),
        (("experiment", "table1", "--plan", "--batch-size", "0"), "--batch-size: Input should be greater"),
    ],
)
def test_a_value_that_does_not_fit_is_told_by_the_option_that_said_it(
    call: Call, words: tuple[str, ...], said: str
) -> None:
    _refused(call(*words, "--model", "smollm2-135m"), f"\n  {said}")


@pytest.mark.parametrize(
    ("command", "contents"),
    [
        ("run", (Request, Sampling, Server)),
        ("train", (Request,)),
        ("experiment", (Request, grid.Changes)),
        ("plan", (Workload,)),
        ("check", (Limits,)),
    ],
)
def test_every_field_that_a_command_gives_has_an_option_of_the_name_that_is_told(
    command: str, contents: tuple[type[BaseModel], ...]
) -> None:
    parameters: Any = typer.main.get_command(app).commands[command].params  # type: ignore[attr-defined]
    options = {name for parameter in parameters for name in parameter.opts}
    names = {parameter.name for parameter in parameters}
    fields = {field for content in contents for field in content.model_fields}
    given = {field for field in fields if {field, NAMED_OTHERWISE.get(field)} & names}
    assert len(given) > 5
    assert {option_of(field) for field in given} <= options


def test_no_names_at_all_are_refused(call: Call) -> None:
    _refused(call("run", "--model", "smollm2-135m", "--tasks", " , "), "names nothing")


@pytest.mark.parametrize("option", ["--output", "--scratch"])
def test_an_unwritable_folder_is_refused(call: Call, tmp_path: Path, option: str) -> None:
    (tmp_path / "file").write_text("")
    _refused(
        call("run", "--model", "smollm2-135m", option, str(tmp_path / "file" / "below")), "Cannot write to", "below"
    )


def test_data_with_missing_fields_is_refused(call: Call, tmp_path: Path) -> None:
    rows = published_rows()
    del rows[1]["chosen"]
    file = write_rows(tmp_path / "rows.json", rows)
    _refused(
        call("run", "--model", "smollm2-135m", "--tasks", "cybernative-cpp", "--data", str(file)), "row 2", "chosen"
    )


def test_a_model_folder_without_weights_is_refused(call: Call, judge: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "config.json").write_text("{}")
    words = ("run", "--model", str(tmp_path / "empty"), "--tasks", "go", "--judge", judge, "--uncalibrated")
    _refused(call(*words), "no *.safetensors weights")


def test_a_definition_with_a_typo_is_refused(call: Call, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    text = (ROOT / "tasks" / "go" / "task.toml").read_text().replace("language", "langauge")
    (tmp_path / "mine" / "task.toml").write_text(text)
    _refused(
        call("run", "--model", "smollm2-135m", "--tasks", str(tmp_path / "mine")),
        "langauge",
        "Did you mean 'language'?",
    )


def test_a_leaderboard_of_an_empty_folder_is_refused(call: Call, tmp_path: Path) -> None:
    _refused(call("leaderboard", str(tmp_path)), "No results in")


def test_a_neuron_file_that_is_none_is_refused(call: Call, tmp_path: Path) -> None:
    (tmp_path / "n.safetensors").write_text("no weights")
    _refused(call("neurons", "show", str(tmp_path / "n.safetensors")), "n.safetensors", "safetensors")


@pytest.mark.parametrize("what", ["trainers", "judges", "models"])
def test_a_listing_as_json_is_json(call: Call, what: str) -> None:
    code, out, _ = call("ls", what, "--json")
    names = [row["name"] for row in json.loads(out)]
    assert code == 0
    assert names == (["smollm2-135m"] if what == "models" else catalog.names(what))  # type: ignore[arg-type]


def test_a_listing_as_a_table_names_every_trainer(call: Call) -> None:
    _, out, _ = call("ls", "trainers")
    assert all(name in out for name in catalog.names("trainers"))


@pytest.mark.parametrize("form", ["", "--json", "--markdown", "--csv"])
def test_a_leaderboard_is_printed_in_every_form_without_terminal_escapes(call: Call, tmp_path: Path, form: str) -> None:
    (tmp_path / "found").mkdir()
    hostile = result(outcomes(secure=1, insecure=1), model=f"tiny{ESCAPE}")
    store.write_result(hostile, tmp_path / "found" / "r.json")
    code, out, _ = call("leaderboard", str(tmp_path / "found"), *filter(None, [form]))
    assert code == 0
    assert "tiny" in out
    assert "\x1b" not in out
    assert "\x07" not in out


@pytest.mark.parametrize("columns", ["80", "200"])
def test_a_leaderboard_of_two_judges_fits_the_terminal(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, columns: str
) -> None:
    (tmp_path / "found").mkdir()
    no = [Outcome.INSECURE] * 20
    rows = {"none": outcomes(insecure=20), "goodvibe": outcomes(secure=15, insecure=5)}
    for method, own in rows.items():
        store.write_result(two_judges(with_other(own, no), method=method), tmp_path / "found" / f"{method}.json")
    monkeypatch.setenv("COLUMNS", columns)
    code, out, _ = call("leaderboard", str(tmp_path / "found"))
    assert code == 0
    assert max(map(len, out.splitlines())) <= int(columns)
    assert "goodvibe: gain seen by j only" in out
    assert "…" not in out
    assert "75.0 [53, 89]" in out


def test_terminal_escapes_in_a_definitions_key_never_reach_the_terminal(call: Call, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('description = "x"\n"\\u001b[31mkey" = 1\n[tuner]\nkind = "none"\n')
    found = call("run", "--model", "smollm2-135m", "--method", str(path))
    _refused(found, "[31mkey: unknown key")
    assert "\x1b" not in found[2]


def test_terminal_escapes_in_a_description_never_reach_the_terminal(tmp_path: Path) -> None:
    # A checkout of its own: the package by a link, and one hostile definition beside it.
    (tmp_path / "goodvibe_bench").symlink_to(ROOT / "goodvibe_bench")
    (tmp_path / "trainers").mkdir()
    (tmp_path / "trainers" / "mine.toml").write_text(
        'description = "before \\u001b]0;owned\\u0007 after"\n[tuner]\nkind = "none"\n'
    )
    done = subprocess.run(
        [sys.executable, "-c", "from goodvibe_bench.cli import main; main()", "ls", "trainers"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert "mine" in done.stdout
    assert "before" in done.stdout
    assert "\x1b" not in done.stdout
    assert "\x07" not in done.stdout


def test_a_narrow_leaderboard_names_the_columns_that_it_leaves_out(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "results").mkdir()
    for method, secure in (("none", 3), ("goodvibe-random-rows[learning_rate=3e-3]", 9)):
        store.write_result(
            result(outcomes(secure=secure, insecure=1), method=method), tmp_path / f"results/{secure}.json"
        )
    assert "No room" not in call("leaderboard")[1]
    monkeypatch.setenv("COLUMNS", "60")
    _, out, _ = call("leaderboard")
    assert "No room in 60 columns for: " in out
    assert max(map(len, out.splitlines())) <= 60


def test_one_form_of_a_leaderboard_at_a_time(call: Call, tmp_path: Path) -> None:
    store.write_result(result(outcomes(secure=1)), tmp_path / "one.json")
    assert call("leaderboard", "one.json", "--html")[1].startswith("<!doctype html>")
    _refused(call("leaderboard", "one.json", "--csv", "--json"), "one of --json")
