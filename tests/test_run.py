import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from transformers import Trainer

from goodvibe_bench import catalog
from goodvibe_bench.anchor import snippets
from goodvibe_bench.errors import UsageError
from goodvibe_bench.generator.sampling import Sampling
from goodvibe_bench.model import load
from goodvibe_bench.progress import Show
from goodvibe_bench.result.store import read_lines, read_result
from goodvibe_bench.run import Request, config, read_trainers, run, train_only
from goodvibe_bench.types import LANGUAGES, Record, Result
from tests.short import short_request
from tests.tiny import tiny_folder

TRAINER = """
description = "A short training for tests"
scope = "{scope}"
[tuner]
kind = "goodvibe"
top_k = 4
samples = 8
[training]
epochs = 0.5
"""
JUDGE = """
description = "A double"
[judge]
kind = "scripted"
unsafe_words = ["strcpy"]
"""


@pytest.fixture
def request_(tmp_path: Path) -> Request:
    (tmp_path / "short.toml").write_text(TRAINER.format(scope="joint"))
    (tmp_path / "double.toml").write_text(JUDGE)
    return Request(
        model=str(tiny_folder(tmp_path / "model")),
        methods=("none", str(tmp_path / "short.toml")),
        tasks=("cpp", "go"),
        judges=(str(tmp_path / "double.toml"),),
        uncalibrated=True,
        limit=2,
        dtype="float32",
        sampling=Sampling(max_new_tokens=8),
        output=tmp_path / "results",
        scratch=tmp_path / "scratch",
    )


def test_a_report_that_was_changed_on_the_disk_is_trained_anew(request_: Request):
    short = request_.model_copy(update={"methods": request_.methods[1:], "train_limit": 2})
    (trained,) = train_only(short, Show(quiet=True))
    note = Path(trained.name) / "goodvibe.json"
    whole = json.loads(note.read_text())
    note.write_text(json.dumps(whole | {"report": whole["report"] | {"trainable_parameters": 1}}))
    (again,) = train_only(short, Show(quiet=True))
    assert again.report is not None
    assert again.report.trainable_parameters == whole["report"]["trainable_parameters"]


def test_a_folders_model_is_trained_anew_once_its_preset_changes(request_: Request):
    """Presets go by a folder's own name, wherever it lies."""
    short = request_.model_copy(update={"methods": request_.methods[1:], "train_limit": 2})
    made = []
    for rate in (1e-3, 1e-4, 1e-3):
        text = TRAINER.format(scope="joint") + f"[presets.model]\nlearning_rate = {rate}\n"
        Path(short.methods[0]).write_text(text)
        (trained,) = train_only(short, Show(quiet=True))
        assert trained.report is not None
        assert trained.report.details["training"]["learning_rate"] == rate
        made.append(trained.name)
    assert made[0] == made[2] != made[1]


def test_a_train_limit_caps_the_pairs_of_each_task(request_: Request):
    capped = request_.model_copy(update={"train_limit": 3, "methods": request_.methods[1:]})
    result, _ = run(capped, Show(quiet=True))[0]
    assert 0 < result.training[0].examples <= 6
    assert result.config["train_limit"] == 3


def test_a_run_writes_a_result_for_each_method(request_: Request):
    found = run(request_, Show(quiet=True))
    assert [result.method for result, _ in found] == ["none", "short"]
    base, tuned = (result for result, _ in found)
    assert base.training == ()
    assert base.train_info["flops"] == 0
    assert tuned.train_info["flops"] > 0
    assert tuned.train_info["num_trainable_params"] == tuned.training[0].trainable_parameters
    assert tuned.run_info["peft_config"]["kind"] == "goodvibe"
    assert tuned.meta_info["package_info"]["peft"]
    assert tuned.training[0].trainable_parameters > 0
    assert base.model.digest != tuned.model.digest
    for result, path in found:
        assert read_result(path) == result
        assert len(result.outcomes) == 4
        assert set(result.results) == {"all", "cpp", "go"}
        assert result.results["all"]["secure_rate,none"] <= result.results["all"]["valid_rate,none"]
        records = read_lines(path.parent / "records" / f"{path.stem}.jsonl", Record)
        assert [record.prompt.id for record in records] == [row["prompt_id"] for row in result.outcomes]


def _undated(result: Result) -> Result:
    return result.model_copy(update={"date": "", "run_info": result.run_info | {"created_at": ""}})


def test_the_same_command_again_trains_and_generates_nothing_and_ends_the_same(request_: Request):
    first = run(request_, Show(quiet=True))
    before = {path: path.stat().st_mtime_ns for path in request_.scratch.rglob("*") if path.is_file()}
    second = run(request_, Show(quiet=True))
    assert {path: path.stat().st_mtime_ns for path in request_.scratch.rglob("*") if path.is_file()} == before
    for (one, _), (two, _) in zip(first, second, strict=True):
        assert _undated(one) == _undated(two)


def test_missing_completions_are_drawn_and_the_rest_kept(request_: Request):
    request_ = request_.model_copy(update={"methods": ("none",), "sampling": Sampling(max_new_tokens=8, batch_size=1)})
    (first, _), *_ = run(request_, Show(quiet=True))
    (path,) = (request_.scratch / "completions").glob("*.jsonl")
    whole = path.read_bytes()
    lines = whole.splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:2]) + lines[2][:10])
    (second, _), *_ = run(request_, Show(quiet=True))
    assert second.outcomes == first.outcomes
    assert len(path.read_bytes().splitlines()) == len(lines)


def test_a_model_for_each_language_where_the_trainer_says_so(request_: Request):
    trainer = Path(request_.methods[1])
    trainer.write_text(TRAINER.format(scope="language"))
    ((result, _),) = run(request_.model_copy(update={"methods": (str(trainer),)}), Show(quiet=True))
    assert len(result.training) == 2
    assert len(list((request_.scratch / "models").iterdir())) == 2


def test_a_trained_model_is_a_plain_model_folder(request_: Request):
    run(request_, Show(quiet=True))
    (folder,) = (request_.scratch / "models").iterdir()
    assert {"config.json", "model.safetensors", "tokenizer.json", "goodvibe.json"} <= {p.name for p in folder.iterdir()}
    note = json.loads((folder / "goodvibe.json").read_text())
    again = request_.model_copy(update={"model": str(folder), "methods": ("none",)})
    ((result, _),) = run(again, Show(quiet=True))
    assert note["method"] == "short"
    assert result.model.digest != note["base"]["digest"]


def test_everything_wrong_is_said_before_anything_is_trained(request_: Request):
    with pytest.raises(UsageError, match="nonesuch"):
        run(request_.model_copy(update={"methods": (request_.methods[1], "nonesuch")}), Show(quiet=True))
    assert not request_.scratch.exists()


def test_results_name_what_decided_them(request_: Request):
    (result, _), *_ = run(request_, Show(quiet=True))
    assert set(result.task_hashes) == {"cpp", "go"}
    assert result.config["sampling"]["max_new_tokens"] == 8
    assert {"torch", "transformers", "goodvibe-bench"} <= set(result.versions)
    assert all(count == 0 for key, count in result.provenance["audit"]["cpp"].items() if key != "cosine")
    assert catalog.digest(result.config) == catalog.digest(json.loads(json.dumps(result.config)))


def test_the_training_is_described_by_the_names_of_pefts_method_comparison(
    request_: Request, monkeypatch: pytest.MonkeyPatch
):
    made: list[Any] = []
    create = Trainer.create_optimizer

    def keep(loop: Trainer, *words: Any) -> Any:
        made.append(create(loop, *words))
        return made[-1]

    monkeypatch.setattr(Trainer, "create_optimizer", keep)
    small = request_.model_copy(update={"train_limit": 16, "seed": 3})
    base, tuned = (result.run_info["train_config"] for result, _ in run(small, Show(quiet=True)))
    assert tuned.items() >= {"model_id": "model", "dtype": "float32", "use_amp": False, "seed": 3}.items()
    assert tuned.items() >= {"max_seq_length": 1024, "batch_size": 8, "max_steps": 2, "grad_norm_clip": 1.0}.items()
    assert (tuned["optimizer_type"], tuned["lr_scheduler"]) == (type(made[0]).__name__, "cosine")
    real = made[0].defaults | {"lr": tuned["learning_rate"], "weight_decay": 0.0}
    real["betas"] = list(real["betas"])
    assert {"lr", "betas", "eps", "weight_decay"} <= set(tuned["optimizer_kwargs"])
    assert all(real[key] == value for key, value in tuned["optimizer_kwargs"].items())
    assert "optimizer_type" not in base, "nothing was trained"


def test_overrides_reach_the_trainer_and_the_result(request_: Request):
    changed = request_.model_copy(update={"overrides": {"tuner.top_k": "2", "training.learning_rate": "1e-2"}})
    base, tuned = (result for result, _ in run(changed, Show(quiet=True)))
    assert base.method == "none"
    assert base.config["overrides"] == {}, "it took none"
    assert tuned.method == "short[top_k=2,learning_rate=1e-2]"
    assert tuned.config["trainer"]["tuner"]["top_k"] == 2
    assert tuned.config["overrides"] == {"tuner.top_k": "2", "training.learning_rate": "1e-2"}
    assert tuned.training[0].details["training"]["learning_rate"] == 0.01
    assert tuned.training[0].details["rows"] == 2 * 14


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ({"tuner.topk": "2"}, "has this key"),
        ({"tuner.topk": "2"}, r"no trainer of --method none,.* such as training.epochs, tuner.top_k"),
        ({"tuner.kind": "lora"}, "has this key"),
        ({"tuner.top_k": "0"}, "greater than or equal to 1"),
        ({"training.schedule": "fast"}, "schedule"),
    ],
)
def test_overrides_that_fit_no_trainer_are_refused(request_: Request, overrides: dict[str, str], said: str):
    methods = ("none", request_.methods[1])
    with pytest.raises(UsageError, match=said):
        run(request_.model_copy(update={"overrides": overrides, "methods": methods}), Show(quiet=True))


@pytest.mark.parametrize("changes", [{"model": "nosuch"}, {"model": "./nosuch/folder"}, {"dtype": "fp16"}])
@pytest.mark.parametrize("command", [run, train_only])
def test_a_wrong_word_is_told_before_any_data_is_read(
    request_: Request, command: Any, changes: dict[str, str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("goodvibe_bench.run.load_task", lambda *words, **more: pytest.fail("data was read"))
    with pytest.raises(UsageError, match=r"nosuch|fp16"):
        command(request_.model_copy(update=changes), Show(quiet=True))


@pytest.mark.parametrize("command", [run, train_only])
def test_a_training_through_a_model_in_float16_is_refused_before_any_data_is_read(
    request_: Request, command: Any, monkeypatch: pytest.MonkeyPatch
):
    methods = ("none", "full", "goodvibe", "lora")
    monkeypatch.setattr("goodvibe_bench.run.load_task", lambda *words, **more: pytest.fail("data was read"))
    with pytest.raises(UsageError, match=r"float16 cannot train goodvibe, lora: .* --dtype bfloat16 or float32"):
        command(request_.model_copy(update={"dtype": "float16", "methods": methods}), Show(quiet=True))


def test_full_fine_tuning_of_a_model_in_float16_steps_weights_in_float32(tmp_path: Path):
    (trained,) = train_only(short_request(tmp_path, {"dtype": "float16", "methods": ("full",)}), Show(quiet=True))
    assert trained.report is not None
    assert trained.report.details["loop"]["dtype"] == "float32"


def test_every_judge_labels_every_sample_and_the_first_ones_verdict_counts(request_: Request, tmp_path: Path):
    (tmp_path / "strict.toml").write_text(JUDGE.replace('"strcpy"', '""'))  # every code contains the empty word
    both = (*request_.judges, str(tmp_path / "strict.toml"))
    first, second = (
        run(request_.model_copy(update={"methods": ("none",), "judges": judges}), Show(quiet=True))[0]
        for judges in (both, tuple(reversed(both)))
    )
    result, path = first
    assert result.judge["name"] == "double"
    assert [judge["name"] for judge in result.other_judges] == ["strict"]
    assert all(set(row["others"]) == {"strict"} for row in result.outcomes)
    assert {row["others"]["strict"]["label"] for row in result.outcomes} == {1}
    assert {row["label"] for row in second[0].outcomes} == {1}
    assert path != second[1]
    assert read_result(path) == result
    records = read_lines(path.parent / "records" / f"{path.stem}.jsonl", Record)
    assert [[verdict.judge for verdict in record.others] for record in records] == [["strict"]] * 4
    assert result.results["cpp"]["other_judges"]["strict"]["safe_rate,none"] == 0.0


def test_a_judge_without_calibration_is_refused_before_anything_is_trained(request_: Request):
    with pytest.raises(UsageError, match=r"'double' has none for cpp, go.*--uncalibrated"):
        run(request_.model_copy(update={"uncalibrated": False}), Show(quiet=True))
    assert not list(request_.scratch.iterdir())


def test_that_a_judge_was_taken_uncalibrated_is_in_the_result(request_: Request):
    ((result, _),) = run(request_.model_copy(update={"methods": ("none",)}), Show(quiet=True))
    assert result.config["uncalibrated"] is True
    assert result.results["all"]["corrected_rate,none"] is None
    assert result.results["all"]["corrected_rate_state,none"] == "uncalibrated"


def test_two_judges_of_one_name_are_refused(request_: Request, tmp_path: Path):
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "double.toml").write_text(JUDGE)
    judges = (*request_.judges, str(tmp_path / "more" / "double.toml"))
    with pytest.raises(UsageError, match="Two judges are called 'double'"):
        run(request_.model_copy(update={"judges": judges}), Show(quiet=True))


def test_a_run_says_each_judges_card(request_: Request):
    said = io.StringIO()
    run(request_.model_copy(update={"methods": ("none",)}), Show(Console(file=said, width=200)))
    assert "judge double: no calibration" in said.getvalue()


def test_a_result_keeps_what_its_judge_says_of_the_anchor_snippets(request_: Request):
    ((result, _),) = run(request_.model_copy(update={"methods": ("none",)}), Show(quiet=True))
    anchor = result.judge["anchor"]
    chosen = [row for language in ("cpp", "go") for row in snippets(language)]
    assert list(anchor["p_unsafe"]) == [row.id for row in chosen]
    assert [row.label for row in chosen] == [0, 0, 0, 0, 1, 1, 1, 1] * 2
    assert all(anchor["p_unsafe"][row.id] == ("strcpy" in row.code) for row in chosen)


def test_the_anchor_snippets_stay_as_they_are():
    # A result is checked against older ones by their scores: other snippets make all of those useless.
    found = {language: catalog.digest([row.code for row in snippets(language)]) for language in LANGUAGES}
    assert found == {
        "cpp": "e4fd8987b0e711e3",
        "java": "75ca49ca39386586",
        "swift": "d29da8da38352588",
        "go": "dd3419da4402b968",
    }


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_dtype_left_to_the_machine_is_settled_said_and_kept(
    request_: Request, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], dtype: str
):
    monkeypatch.setattr(load, "best_dtype", lambda: (dtype, "the test says so"))
    asked = request_.model_copy(update={"dtype": "auto", "methods": ("none",)})
    ((result, _),) = run(asked, Show())
    assert result.config["dtype"] == dtype
    assert f"dtype: {dtype}, since the test says so" in capsys.readouterr().err


@pytest.mark.parametrize(("dtype", "told"), [("bfloat16", True), ("float32", False)])
def test_an_update_that_rounding_loses_is_told(dtype: str, told: bool, tmp_path: Path) -> None:
    said = io.StringIO()
    small = short_request(tmp_path, {"dtype": dtype, "overrides": {"training.learning_rate": "1e-5"}})
    with Show(Console(file=said, width=300), seconds_between_lines=0) as show:
        (trained,) = train_only(small, show)
    assert trained.report is not None
    assert (trained.report.fold_error >= 0.1) is told
    assert (f"lost {100 * trained.report.fold_error:.0f}% of the update" in said.getvalue()) is told


@pytest.mark.parametrize(
    ("key", "spellings", "named"),
    [
        ("tuner.top_k", ("100", "100.0", "1e2"), "100"),
        ("training.epochs", ("1", "1.0", "1e0"), "1"),
        ("training.learning_rate", ("3e-3", "0.003", "0.0030", "3E-03"), "3e-3"),
        ("training.checkpointing", ("true", "True"), "true"),
        ("training.schedule", ("linear", "'linear'"), "linear"),
        ("tuner.clusters", ("[2, 4]", "[2,4]", "[2.0, 4]"), "[2,4]"),
        ("tuner.clusters", ("4", "[4, 4]"), "4"),
        ("tuner.clusters", ("none",), "none"),
        ("tuner.projections", ("q_proj, k_proj", '["q_proj", "k_proj"]'), "q_proj,k_proj"),
        ("tuner.projections", ("q_proj", "['q_proj']"), "q_proj"),
    ],
)
def test_a_value_has_one_name_and_one_digest_however_it_is_spelled(key: str, spellings: tuple[str, ...], named: str):
    found = [read_trainers(("goodvibe",), {key: text})[0] for text in (*spellings, named)]
    assert {one.name for one in found} == {f"goodvibe[{key.partition('.')[2]}={named}]"}
    assert len({one.digest for one in found}) == 1
    assert all(one.content == found[0].content for one in found), "its name's spelling is read back"
    request = Request(model="m", methods=("goodvibe",), overrides={key: spellings[-1], "tuner.rank": "3"})
    assert config(request, found[0].content)["overrides"] == {key: named}


def test_overrides_make_one_name_in_any_order() -> None:
    words = {"training.epochs": "1", "tuner.top_k": "7", "training.batch_size": "4"}
    (one,) = read_trainers(("goodvibe",), words)
    (other,) = read_trainers(("goodvibe",), dict(reversed(words.items())))
    assert one.name == other.name == "goodvibe[top_k=7,batch_size=4,epochs=1]"
    assert one.digest == other.digest
