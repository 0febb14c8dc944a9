import json
from pathlib import Path
from typing import Any

import pytest

from goodvibe_bench.errors import UsageError
from goodvibe_bench.judge.definition import Card
from goodvibe_bench.judging import calibrate as calibration
from goodvibe_bench.judging.calibrate import Source, _calibrations, calibrate, table_rows
from goodvibe_bench.judging.label import sample
from goodvibe_bench.metric.calibration import crossfitted
from goodvibe_bench.progress import Show
from goodvibe_bench.types import Labelled
from tests.conftest import Call
from tests.judging.labels import JUDGE, fill, write_records
from tests.task.rows import published_rows, write_rows

TASK = """
description = "Made up"
language = "cpp"
license = "Apache-2.0"
[source]
kind = "bundled"
[split]
seed = 0
shares = { tuner-train = 0.0, judge-train = 0.5, calibration = 0.5, held-out = 0.0 }
"""
QUIET = Show(quiet=True)


def _task(folder: Path) -> Path:
    """A task of 24 pairs whose insecure sides call strcpy; the scripted judge is right about three in four."""
    folder.mkdir()
    (folder / "task.toml").write_text(TASK)
    pairs = []
    for number, row in enumerate(published_rows(64)[25:49]):
        safe, unsafe = (row[side].removeprefix("```cpp\n").removesuffix("```") for side in ("chosen", "rejected"))
        words = {"id": f"t{number}", "language": "cpp", "prompt": row["question"], "source": "test"}
        call = "strcpy" if number % 4 else "memcpy"
        pairs.append(words | {"secure": safe, "insecure": unsafe.replace("return", f"{call}(a, b);\n    return")})
    write_rows(folder / "pairs.jsonl", pairs)
    write_rows(folder / "prompts.jsonl", [{"id": "p", "language": "cpp", "text": "Write a function that sorts."}])
    return folder


@pytest.fixture
def judge(tmp_path: Path) -> Path:
    """The definition of a scripted judge with a [fit] table of one small task."""
    path = tmp_path / "word.toml"
    path.write_text(f'{JUDGE}[fit]\ntasks = ["{_task(tmp_path / "task")}"]\n')
    return path


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    """Sixteen labels of a run's own outputs, all as the judge says but one of each label."""
    path = tmp_path / "labels.jsonl"
    sample(write_records(tmp_path), 16, path)
    wrong = {"calls": 0, "not": 0}

    def answer(row: dict[str, str]) -> int:
        called = "strcpy" in row["code"]
        key = "calls" if called else "not"
        wrong[key] += 1
        return int(called) if wrong[key] > 1 else int(not called)

    fill(path, answer)
    return path


def _card(folder: Path) -> Card:
    return Card.model_validate_json((folder / "card.json").read_text())


def test_a_judge_is_calibrated_on_the_calibration_part_alone(judge: Path, tmp_path: Path) -> None:
    folder = calibrate(str(judge), QUIET)
    assert folder == tmp_path / "word"
    card = _card(folder)
    found = card.calibration["cpp"]
    source = card.recipe["calibration"]["sources"][str(tmp_path / "task")]
    assert 10 <= found.n == source["snippets"] <= 38
    assert len(source["digest"]) == 16
    assert found.folds == 5
    assert found.fpr.value == 0
    assert 0.4 < found.tpr.value < 1
    assert found.scaling is not None
    assert found.ece_scaled is not None
    assert card.recipe["calibration"]["when"].startswith("20")
    text = (folder / "README.md").read_text()
    assert "| cpp | word |" in text
    assert "other folds" in text
    assert source["digest"] in text


def test_labels_alone_are_enough_and_keep_other_languages(judge: Path, labels: Path, tmp_path: Path) -> None:
    folder = calibrate(str(judge), QUIET, scaling="isotonic")
    before = _card(folder)
    go = before.calibration["cpp"].model_copy(update={"language": "go"})
    kept = before.model_copy(update={"calibration": before.calibration | {"go": go}, "notes": "mine"})
    (folder / "card.json").write_text(kept.model_dump_json())
    (folder / "weights.bin").write_text("w")
    after = _card(calibrate(str(judge), QUIET, labels=[labels], only_labels=True, scaling="none"))
    assert after.calibration["cpp"].n == 16
    assert after.calibration["cpp"].scaling is None
    assert after.calibration["go"] == go
    assert after.recipe["calibration"]["languages"] == ["cpp"]
    assert [name[:12] for name in after.recipe["calibration"]["sources"]] == ["labels.jsonl"]
    assert (after.notes, (folder / "weights.bin").read_text()) == ("mine", "w")


def test_labels_count_beside_the_tasks_and_are_weighted(judge: Path, labels: Path, tmp_path: Path) -> None:
    alone = _card(calibrate(str(judge), QUIET, output=tmp_path / "a")).calibration["cpp"]
    together = _card(calibrate(str(judge), QUIET, labels=[labels], output=tmp_path / "b")).calibration["cpp"]
    assert together.n == alone.n + 16
    assert "effective" in together.tpr.method
    assert together.tpr.n < alone.tpr.n + 8
    assert not (tmp_path / "word").exists()


def test_a_weighted_rate_is_that_of_the_run(judge: Path, labels: Path) -> None:
    # 8 of 48 outputs are called unsafe: 1 of 8 labelled is wrong on each side, so 7 + 40 / 8 = 12 are unsafe.
    found = _card(calibrate(str(judge), QUIET, labels=[labels], only_labels=True)).calibration["cpp"]
    assert found.tpr.value == pytest.approx(7 / 12)
    assert found.fpr.value == pytest.approx(1 / 36)


def test_a_limit_on_the_fpr_that_the_judge_cannot_keep_is_refused(judge: Path, labels: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cpp: no threshold.*--max-fpr"):
        calibrate(str(judge), QUIET, labels=[labels], only_labels=True, max_fpr=0.0)
    assert not (tmp_path / "word" / "card.json").exists()


def test_a_hub_task_whose_data_is_not_here_is_left_out_and_named(
    judge: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("GOODVIBE_BENCH_DATA", raising=False)
    judge.write_text(f'{JUDGE}[fit]\ntasks = ["cybernative-go", "{tmp_path / "task"}"]\n')
    calibrate(str(judge), Show())
    assert "cybernative-go: left out" in capsys.readouterr().err


def test_too_few_labels_are_refused_in_words(judge: Path, labels: Path) -> None:
    fill(labels, lambda row: 0)
    with pytest.raises(UsageError, match="two families"):
        calibrate(str(judge), QUIET, labels=[labels], only_labels=True)


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        ({"only_labels": True}, "--only-labels needs"),
        ({"max_fpr": 1.5}, "--max-fpr 1.5"),
        ({"data": Path("/no/such")}, "does not exist"),
        ({"labels": [Path("no.jsonl")]}, "does not exist"),
    ],
)
def test_words_that_do_not_fit_are_refused(judge: Path, words, fault: str) -> None:
    with pytest.raises(UsageError, match=fault):
        calibrate(str(judge), QUIET, **words)


def test_a_judge_no_better_than_chance_says_that_nothing_is_feasible() -> None:
    found = crossfitted("go", [0, 1] * 4, [0.9, 0.1] * 4, [*"aabbccdd"])
    card = Card(judge="j", definition_digest="d", weights_digest="w", data={}, recipe={}, calibration={"go": found})
    (row,) = table_rows(card)
    assert row["safe_rates"] == "none"
    assert row["labels"] == "none enough"


def test_label_and_calibrate_go_hand_in_hand_on_the_command_line(call: Call, judge: Path, tmp_path: Path) -> None:
    source = write_records(tmp_path)
    code, out, err = call("judge", "label", str(source), "--count", "16", "--output", "mine.jsonl")
    assert (code, err) == (0, "")
    assert "--labels mine.jsonl --only-labels" in out
    fill(Path("mine.jsonl"), lambda row: int("strcpy" in row["code"]))
    words = ("judge", "calibrate", "--judge", str(judge), "--labels", "mine.jsonl", "--only-labels", "--quiet")
    code, out, err = call(*words)
    assert (code, err) == (0, "")
    for word in ("cut", "TPR", "ECE", "Safe rates", "cpp", "16", "100 ", "card.json"):
        assert word in out
    code, out, _ = call(*words, "--scaling", "none", "--json")
    assert json.loads(out)["calibration"]["cpp"]["scaling"] is None
    assert call("judge", "label", str(source), "--output", "mine.jsonl")[0] == 2


@pytest.mark.parametrize("taken", ["README.md", "card.json"])
def test_another_readme_or_card_is_not_overwritten(judge: Path, tmp_path: Path, taken: str) -> None:
    output = tmp_path / "taken"
    output.mkdir()
    (output / taken).write_text('# My thesis\n{"calibration": {}}')
    with pytest.raises(UsageError, match=rf"{taken} is no card of the judge 'word'.*--output"):
        calibrate(str(judge), QUIET, output=output)
    assert (output / taken).read_text() == '# My thesis\n{"calibration": {}}'


def test_the_card_of_another_judge_is_not_overwritten(judge: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.toml"
    other.write_text(judge.read_text())
    folder = calibrate(str(judge), QUIET, output=tmp_path / "out")
    assert calibrate(str(judge), QUIET, output=folder) == folder
    with pytest.raises(UsageError, match="no card of the judge 'other'"):
        calibrate(str(other), QUIET, output=folder)
    assert _card(folder).judge == "word"


def test_what_a_new_calibration_drops_is_said_even_quietly(judge: Path, tmp_path: Path, call: Call) -> None:
    folder = calibrate(str(judge), QUIET)
    words = ("judge", "calibrate", "--judge", str(judge), "--quiet")
    assert "Dropped" not in call(*words)[1], "there is nothing to drop"
    measured = {"date": "2026", "rows": [], "probes": None}
    for more in ((), ("--json",)):
        (folder / "card.json").write_text(_card(folder).model_copy(update={"measured": measured}).model_dump_json())
        code, out, err = call(*words, *more)
        said = " ".join((err if more else out).split())
        assert code == 0
        assert f"0 rows of `judge bench`. Anew: goodvibe-bench judge bench --judge {judge} --save" in said
        assert _card(folder).measured == {}


def _rests_on_more(folder: Path, name: str = "cybernative-cpp") -> str:
    """Have the card in `folder` say that its calibration rests on another source too; return the card's text."""
    card = _card(folder)
    recipe = json.loads(json.dumps(card.recipe))
    for block in (recipe["calibration"], *recipe.get("calibrated", {}).values()):
        block["sources"][name] = {"snippets": 82, "digest": "0"}
    (folder / "card.json").write_text(card.model_copy(update={"recipe": recipe}).model_dump_json())
    return (folder / "card.json").read_text()


def test_a_calibration_on_more_sources_is_not_replaced(
    judge: Path, labels: Path, tmp_path: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GOODVIBE_BENCH_DATA", raising=False)
    folder = calibrate(str(judge), QUIET)
    judge.write_text(f'{JUDGE}[fit]\ntasks = ["cybernative-cpp", "{tmp_path / "task"}"]\n')
    before = _rests_on_more(folder)
    words = ("judge", "calibrate", "--judge", str(judge), "--quiet")
    code, out, err = call(*words)
    assert (code, out) == (2, "")
    said = " ".join(err.split())
    for word in ("rests on more than is at hand: cybernative-cpp.", "--data", "--fewer"):
        assert word in said
    assert (folder / "card.json").read_text() == before
    code, out, _ = call(*words, "--fewer")
    assert code == 0
    assert "cybernative-cpp: left out. Data set" in " ".join(out.split()), "also quietly"
    assert calibrate(str(judge), QUIET, labels=[labels], only_labels=True) == folder, "labels in place of tasks"
    with pytest.raises(UsageError, match=r"rests on more than is at hand: labels\.jsonl \("):
        calibrate(str(judge), QUIET)


def test_labels_that_were_mended_are_the_same_source(judge: Path, labels: Path) -> None:
    folder = calibrate(str(judge), QUIET, labels=[labels], only_labels=True)
    fill(labels, lambda row: int("strcpy" in row["code"]))
    assert calibrate(str(judge), QUIET, labels=[labels], only_labels=True) == folder
    assert _card(folder).calibration["cpp"].tpr.value == 1


def test_a_language_calibrated_alone_leaves_the_others_their_sources(
    judge: Path, labels: Path, tmp_path: Path, call: Call
) -> None:
    task, folder = str(tmp_path / "task"), calibrate(str(judge), QUIET)
    first = _card(folder)
    go = first.calibration["cpp"].model_copy(update={"language": "go"})
    names = ["cpp", "go", "cybernative-go", task]
    block = first.recipe["calibration"] | {"languages": ["cpp", "go"], "when": "2026-01-01"}
    block["sources"] = {name: {"snippets": 5, "digest": "0"} for name in names}
    old = first.model_copy(update={"calibration": first.calibration | {"go": go}, "recipe": {"calibration": block}})
    (folder / "card.json").write_text(old.model_dump_json())
    words = ("judge", "calibrate", "--judge", str(judge), "--labels", str(labels), "--only-labels", "--quiet")
    code, out, _ = call(*words, "--scaling", "none")
    card = _card(folder)
    blocks = card.recipe["calibrated"]
    assert code == 0
    assert set(blocks["go"]["sources"]) == {"go", "cybernative-go"}
    assert (blocks["go"]["when"], blocks["go"]["scaling"]) == ("2026-01-01", "temperature")
    (name, row), *more = blocks["cpp"]["sources"].items()
    assert (name[:12], row["snippets"], more) == ("labels.jsonl", 16, [])
    assert (blocks["cpp"]["when"][:2], blocks["cpp"]["scaling"]) == ("20", "none")
    assert {row["in"]: row["new"] for row in table_rows(card)} == {"cpp": "yes", "go": "no"}
    said = " ".join(out.split())
    assert f"cpp: on {name} (16); scaling none; 20" in said
    assert "go: on cybernative-go (5), go (5); scaling temperature; 2026-01-01" in said
    page = (folder / "README.md").read_text()
    assert "| go | 2026-01-01 | temperature | the highest TPR - FPR | cybernative-go | 5 | 0 |" in page
    assert f"| cpp | {blocks['cpp']['when']} | none | the highest TPR - FPR | {name} | 16 | {row['digest']} |" in page


def _with_go(folder: Path) -> None:
    """Write a calibration of Go into the card in `folder`."""
    card = _card(folder)
    go = card.calibration["cpp"].model_copy(update={"language": "go"})
    changed = card.model_copy(update={"calibration": card.calibration | {"go": go}})
    (folder / "card.json").write_text(changed.model_dump_json())


def test_a_language_calibrated_into_another_folder_stays_in_the_card_there(
    judge: Path, labels: Path, tmp_path: Path
) -> None:
    calibrate(str(judge), QUIET)
    output = calibrate(str(judge), QUIET, output=tmp_path / "out")
    _with_go(output)
    assert set(_card(calibrate(str(judge), QUIET, output=output)).calibration) == {"cpp", "go"}
    judge.write_text(judge.read_text().replace("[fit]", "[fit]\nseed = 1"))
    assert set(_card(calibrate(str(judge), QUIET, output=output)).calibration) == {"cpp"}, "of another judge"


def test_a_language_that_another_process_calibrates_meanwhile_is_kept(
    judge: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = calibrate(str(judge), QUIET)
    scores = calibration._scores

    def slow(*words: Any) -> Any:
        _with_go(folder)
        return scores(*words)

    monkeypatch.setattr(calibration, "_scores", slow)
    assert set(_card(calibrate(str(judge), QUIET)).calibration) == {"cpp", "go"}


def test_a_fits_calibration_stays_the_fits(judge: Path, labels: Path) -> None:
    folder = calibrate(str(judge), QUIET)
    first = _card(folder)
    calibration = first.calibration | {"go": first.calibration["cpp"].model_copy(update={"language": "go"})}
    data = {"go": {"learn": 1, "calibration": 7, "digest": "d"}, "cpp": {"learn": 1, "calibration": 8, "digest": "d"}}
    fitted = first.model_copy(update={"calibration": calibration, "recipe": {"seed": 3}, "data": data})
    (folder / "card.json").write_text(fitted.model_dump_json())
    card = _card(calibrate(str(judge), QUIET, labels=[labels], only_labels=True))
    assert card.recipe["calibrated"]["go"]["sources"] == {"go": {"snippets": 7, "digest": "d"}}
    assert "| go | by the fit | temperature |" in (folder / "README.md").read_text()


def test_a_limit_at_which_nothing_is_called_unsafe_is_refused_with_one_that_works() -> None:
    # The two highest scores are safe code's: other folds choose thresholds that no unsafe code reaches.
    scores = [(0, 0.95), (0, 0.9), *[(1, 0.8)] * 10, *[(0, 0.1)] * 18]
    items = [
        Labelled(id=str(place), code="x", language="cpp", label=1 if label else 0, family=str(place))
        for place, (label, _) in enumerate(scores)
    ]
    source = Source("made up", items, [1.0] * len(items), "0")
    scored = [[p for _, p in scores]]
    with pytest.raises(
        UsageError, match=r"^cpp: .*\. The least limit that works is --max-fpr 0\.1\d?, with TPR \d+% at"
    ):
        _calibrations([source], scored, "none", 0.05, 0, QUIET)
    with pytest.raises(UsageError, match="No other --max-fpr helps"):
        _calibrations([source], [[0.5] * len(items)], "none", 0.05, 0, QUIET)
