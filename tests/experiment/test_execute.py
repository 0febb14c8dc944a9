"""A grid is run, gone on with, and loses nothing to a cell that fails."""

import json
from pathlib import Path

from goodvibe_bench.result import store
from tests.conftest import Call
from tests.experiment.runs import bare, reduced, two_methods


def _results(folder: Path) -> list[Path]:
    return sorted((folder / "results").glob("*.json"))


def test_table_1_runs_to_its_end_in_a_reduced_form_beside_the_papers_cells(call: Call, tmp_path: Path) -> None:
    code, out, err = call("experiment", "table1", *reduced(tmp_path, "--tasks", "cpp"))
    assert code == 0, err
    assert len(_results(tmp_path)) == 4
    said = " ".join(out.split())
    for words in ("Baseline", "Full FT", "LoRA", "GoodVibe", "in the place of the paper's models", "35.1 (32.8)"):
        assert words in said
    assert "Java:" not in out, "no task of that language was asked for"


def test_the_same_command_runs_only_what_is_not_done(call: Call, tmp_path: Path) -> None:
    words = ("experiment", two_methods(tmp_path), *reduced(tmp_path))
    _, first, err = call(*words)
    assert "cells: 2, done before: 0" in err
    made = {path: path.stat().st_mtime_ns for path in _results(tmp_path)}
    next(iter(made)).unlink()
    _, second, err = call(*words)
    assert "cells: 2, done before: 1" in err
    assert err.count("cell ") == 1
    assert second == first
    after = {path: path.stat().st_mtime_ns for path in _results(tmp_path)}
    assert list(after) == list(made)
    assert sum(after[path] == made[path] for path in made) == 1


def test_a_result_of_other_settings_or_of_another_judge_is_none_of_the_grid(call: Call, tmp_path: Path) -> None:
    words = ("experiment", bare(tmp_path), *reduced(tmp_path))
    call(*words)
    _, _, err = call(*words)
    assert "cells: 1, done before: 1" in err
    _, _, err = call(*words, "--max-new-tokens", "9")
    assert "cells: 1, done before: 0" in err
    judge = tmp_path / "double.toml"
    judge.write_text(judge.read_text().replace("strcpy", "memcpy"))
    _, _, err = call(*words)
    assert "cells: 1, done before: 0" in err


def test_a_cell_that_fails_loses_no_other_and_is_told_at_the_end(call: Call, tmp_path: Path) -> None:
    words = ("experiment", two_methods(tmp_path, "training.max_length", "16"), *reduced(tmp_path))
    code, out, err = call(*words)
    assert code == 1
    assert "Traceback" not in err
    (path,) = _results(tmp_path)
    assert store.read_result(path).method == "none"
    assert "Failed: " in out
    assert "none within max_length = 16 tokens" in " ".join(out.split())
    assert "LoRA (C++): not done" in out


def test_a_cell_that_breaks_leaves_its_traceback_and_loses_no_other(call: Call, tmp_path: Path) -> None:
    diverging = two_methods(tmp_path, "training.learning_rate", "1e30")
    code, out, err = call("experiment", diverging, *reduced(tmp_path, "--train-limit", "24"), "--json")
    assert code == 1
    assert "Traceback" not in err
    (failed,) = json.loads(out)["failed"]
    assert failed["why"].startswith("FloatingPointError: ")
    note = Path(failed["why"].rpartition("(")[2].rstrip(")"))
    assert "Traceback" in note.read_text()
    assert len(_results(tmp_path)) == 1


def test_lines_as_json_hold_every_cell(call: Call, tmp_path: Path) -> None:
    _, out, _ = call("experiment", two_methods(tmp_path), *reduced(tmp_path, "--seed", "0,1"), "--json")
    found = json.loads(out)
    assert [(line["heading"], line["paper"], line["n"], line["results"]) for line in found["lines"]] == [
        ("Baseline", 39.4, 4, 2),
        ("LoRA", 94.0, 4, 2),
    ]
    line = found["lines"][0]
    assert line["difference"] == line["ours"] - line["paper"]
    assert line["low"] <= line["ours"] <= line["high"]
    assert any("C++ LoRA 93 (94.0)" in note for note in found["notes"])
    assert "A note of the definition." in found["notes"]


def test_seeds_that_are_no_numbers_are_refused(call: Call) -> None:
    code, out, err = call("experiment", "table1", "--seed", "0,x")
    assert (code, out) == (2, "")
    assert "whole numbers" in err
