import importlib.util
import json
from pathlib import Path

import pytest

from goodvibe_bench.errors import UsageError
from goodvibe_bench.progress import Show
from goodvibe_bench.request import Request
from goodvibe_bench.result.store import read_result
from goodvibe_bench.result.utility import deltas, forgetting, lines
from goodvibe_bench.run import run
from goodvibe_bench.utility.forgetting import loss
from goodvibe_bench.utility.harness import check, evaluate, require
from goodvibe_bench.utility.tasks import LOCAL, content_digest, local_config
from tests.conftest import Call
from tests.short import short_request
from tests.tiny import tiny_model

installed = pytest.mark.skipif(importlib.util.find_spec("lm_eval") is None, reason="lm-eval is not installed")


@pytest.fixture
def request_(tmp_path: Path) -> Request:
    return short_request(tmp_path, {"limit": 2, "utility": ("small_choice",), "utility_limit": 6}, base=True)


def _gsm8k(folder: Path) -> Path:
    (folder / "gsm8k").mkdir(parents=True)
    rows = [{"question": f"What is {i} plus 1?", "answer": f"It is {i + 1}.\n#### {i + 1}"} for i in range(3)]
    (folder / "gsm8k" / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


@installed
def test_a_run_keeps_utility_and_forgetting_and_measures_neither_again(request_: Request):
    found = run(request_, Show(quiet=True))
    (base, _), (tuned, path) = found
    assert read_result(path) == tuned
    kept = tuned.utility["models"][0]["tasks"]["small_choice"]
    assert 0 <= kept["results"]["small_choice"]["acc,none"] <= 1
    correct = kept["samples"]["small_choice"]["correct"]["acc,none"]
    assert len(correct) == 6
    assert correct.count("1") / 6 == pytest.approx(kept["results"]["small_choice"]["acc,none"])
    (delta,) = [one for one in deltas([(base, tuned)]) if one.task == "small_choice"]
    assert (delta.metric, delta.difference.n, delta.margin) == ("acc,none", 6, 0.02)
    (forgotten,) = forgetting(tuned)
    assert forgotten.tokens > 1000
    assert forgotten.after != forgotten.before
    assert any("small_choice acc,none" in line for line in lines([base, tuned]))
    assert base.utility["models"][0]["forgetting"] == {}
    files = {one: one.stat().st_mtime_ns for one in (request_.scratch / "utility").glob("*.json")}
    assert len(files) == 4
    again = run(request_, Show(quiet=True))
    assert [one.utility for one, _ in again] == [one.utility for one, _ in found]
    assert {one: one.stat().st_mtime_ns for one in files} == files
    for damaged in files:
        damaged.write_bytes(damaged.read_bytes()[:50])
    mended = run(request_, Show(quiet=True))
    assert [one.utility["models"][0]["tasks"]["small_choice"]["samples"] for one, _ in mended] == [
        one.utility["models"][0]["tasks"]["small_choice"]["samples"] for one, _ in found
    ]
    assert mended[1][0].utility["models"][0]["forgetting"] == tuned.utility["models"][0]["forgetting"]


@installed
def test_gsm8k_is_read_from_a_local_file_with_both_of_its_filters(request_: Request, tmp_path: Path):
    data = _gsm8k(tmp_path / "data")
    asked = request_.model_copy(update={"utility": ("gsm8k_local",), "data": data, "utility_limit": 2})
    model = tiny_model(tmp_path / "again").noun
    found = evaluate(asked, str(tmp_path / "again"), model, "gsm8k_local", Show(quiet=True))
    assert {"exact_match,strict-match", "exact_match,flexible-extract"} <= set(found["results"]["gsm8k_local"])
    assert found["samples"]["gsm8k_local"]["correct"]["exact_match,strict-match"] in {"00", "01", "10", "11"}
    assert found["n-shot"] == {"gsm8k_local": 5}


@installed
def test_a_hub_task_without_a_hub_is_one_message_before_anything_is_trained(call: Call, request_: Request):
    code, _, said = call("run", "--model", request_.model, "--utility", "arc_challenge", "--scratch", "made")
    assert code == 2
    assert "arc_challenge" in said
    assert "small_choice" in said
    assert "Traceback" not in said
    assert not list(Path("made").glob("models/*"))


@installed
def test_an_unknown_task_is_refused_with_the_nearest_names(request_: Request):
    with pytest.raises(UsageError, match=r"Unknown utility task 'gsm8j'.*gsm8k"):
        check(request_.model_copy(update={"utility": ("gsm8j",)}), Show(quiet=True))


def test_a_missing_package_is_named_with_its_install_line():
    with pytest.raises(UsageError, match=r"goodvibe-bench\[utility\]"):
        require("no_such_package_here")


def test_a_missing_data_file_is_said(tmp_path: Path):
    with pytest.raises(UsageError, match=r"gsm8k/test\.jsonl"):
        local_config("gsm8k_local", tmp_path)


def test_the_digest_of_our_tasks_hangs_on_their_data_and_not_on_its_place(tmp_path: Path):
    digests = []
    for name in ("one", "two"):
        config = local_config("gsm8k_local", _gsm8k(tmp_path / name))
        assert config
        digests.append(content_digest(config))
    (tmp_path / "two" / "gsm8k" / "test.jsonl").write_text("{}\n")
    config = local_config("gsm8k_local", tmp_path / "two")
    assert config
    assert digests[0] == digests[1] != content_digest(config)
    assert local_config("mmlu", tmp_path) is None
    assert set(LOCAL) == {"gsm8k_local", "small_choice"}


def test_every_question_of_ours_has_four_answers_and_one_is_right():
    config = local_config("small_choice", None)
    assert config
    rows = [json.loads(line) for line in Path(config["dataset_kwargs"]["data_files"]["test"]).read_text().splitlines()]
    assert len({row["question"] for row in rows}) == len(rows) == 30
    assert all(len(set(row["choices"])) == 4 for row in rows)
    assert {row["answer"] for row in rows} == {0, 1, 2, 3}


def test_a_random_model_loses_more_on_the_texts_than_the_uniform_guess_less_a_little(request_: Request, tmp_path: Path):
    import math

    tiny = tiny_model(tmp_path / "again")
    found = loss(request_, str(tmp_path / "again"), tiny.noun)
    assert found["cross_entropy"] == pytest.approx(math.log(len(tiny.tokenizer)), abs=0.5)  # type: ignore[arg-type]
    assert len(found["by_kind"]) == 10
