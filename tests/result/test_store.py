import json
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goodvibe_bench import disk
from goodvibe_bench.errors import UsageError
from goodvibe_bench.result import store
from goodvibe_bench.types import Completion, Outcome
from tests.conftest import Call
from tests.result.builders import outcomes, result, two_judges, with_other

ONE, TWO = (Completion(prompt_id=name, text="ä\n\u2028", stop="end", tokens=1, seconds=0.5) for name in "ab")


@pytest.mark.parametrize("model", ["tiny", "@", '"@"', '\n "outcomes": "@"', "ä\u2028"])
def test_a_result_is_read_as_it_was_written(tmp_path: Path, model: str) -> None:
    written = result(outcomes(secure=2, unjudged=1), model=model)
    store.write_result(written, tmp_path / "r.json")
    assert store.read_result(tmp_path / "r.json") == written


def test_a_result_of_two_judges_is_read_as_it_was_written(tmp_path: Path) -> None:
    written = two_judges(with_other(outcomes(secure=2), [Outcome.INSECURE, Outcome.UNJUDGED]))
    store.write_result(written, tmp_path / "r.json")
    assert store.read_result(tmp_path / "r.json") == written


def test_a_result_from_before_other_judges_is_read(tmp_path: Path) -> None:
    body = result(outcomes(secure=1)).model_dump(mode="json")
    del body["other_judges"]
    (tmp_path / "r.json").write_text(json.dumps(body))
    assert store.read_result(tmp_path / "r.json").other_judges == ()


def test_a_sample_is_one_line_of_the_file(tmp_path: Path) -> None:
    store.write_result(result(outcomes(secure=3)), tmp_path / "r.json")
    lines = (tmp_path / "r.json").read_text().splitlines()
    assert sum('"prompt_id"' in line for line in lines) == 3


def test_a_failed_write_leaves_the_old_file_whole(tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    disk.write_text(path, "old")
    with pytest.raises(UnicodeEncodeError):
        disk.write_text(path, "new \ud800")
    assert path.read_text() == "old"


def test_a_write_replaces_the_file_and_leaves_no_other(tmp_path: Path) -> None:
    for text in ("old", "new"):
        disk.write_text(tmp_path / "r.json", text)
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("r.json", "new")]


def test_lines_are_read_as_they_were_appended(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    store.keep(path, [ONE])
    store.keep(path, [TWO])
    assert store.kept(path, Completion) == [ONE, TWO]


def test_no_file_has_no_lines(tmp_path: Path) -> None:
    assert store.kept(tmp_path / "none.jsonl", Completion) == []


@pytest.mark.parametrize("cut", [1, 2, 30])
def test_a_torn_last_line_is_dropped_and_cut_before_appending(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "rows.jsonl"
    store.keep(path, [ONE, TWO])
    os.truncate(path, path.stat().st_size - cut)
    assert store.kept(path, Completion) == [ONE]
    store.keep(path, [TWO])
    assert store.kept(path, Completion) == [ONE, TWO]


@given(st.data())
def test_a_kept_row_that_was_damaged_is_as_if_it_were_not_there(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.jsonl"
        store.keep(path, [ONE, TWO])
        whole = path.read_bytes()
        place = data.draw(st.integers(0, len(whole) - 1))
        path.write_bytes(whole[:place] + data.draw(st.binary(max_size=3)) + whole[place + 1 :])
        assert [row for row in store.kept(path, Completion) if row not in (ONE, TWO)] == []


def test_a_broken_line_of_records_is_refused_with_its_place(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(ONE.model_dump_json() + '\n{"prompt_id": \n')
    with pytest.raises(UsageError, match="line 2"):
        store.read_lines(path, Completion)


def test_hostile_names_make_no_path() -> None:
    assert store.file_name("../../x", "a/b") == "x--a-b"
    assert store.file_name("..", "") == "x--x"


@given(st.lists(st.text(), min_size=1, max_size=3))
def test_a_file_name_is_one_plain_name(words: list[str]) -> None:
    name = store.file_name(*words)
    assert Path(name).name == name
    assert not name.startswith((".", "-"))
    assert name.isascii()
    assert name.isprintable()


def test_a_folder_below_a_file_is_not_writable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(UsageError, match="Cannot write to"):
            store.writable(folder)


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b"\xff\xfe", b"not json", b'{"schema_version": "x"}'])
def test_a_file_that_is_no_result_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "r.json"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=r"r\.json is no goodvibe-bench result"):
        store.read_result(path)


def test_a_result_with_an_unknown_field_is_refused(tmp_path: Path) -> None:
    body = result(outcomes(secure=1)).model_dump(mode="json") | {"extra": 1}
    (tmp_path / "r.json").write_text(json.dumps(body))
    with pytest.raises(UsageError, match="extra"):
        store.read_result(tmp_path / "r.json")


def test_results_are_read_from_files_and_folders(tmp_path: Path) -> None:
    for name in "ba":
        store.write_result(result(outcomes(secure=1), model=name), tmp_path / f"{name}.json")
    (tmp_path / "records").mkdir()
    assert [found.model.id for found in store.read_results([tmp_path])] == ["a", "b"]
    assert [found.model.id for found in store.read_results([tmp_path / "b.json"])] == ["b"]


@pytest.mark.parametrize("place", ["", "none", "none.json"])
def test_no_results_are_a_usage_error(tmp_path: Path, place: str) -> None:
    with pytest.raises(UsageError, match="goodvibe-bench run"):
        store.read_results([tmp_path / place])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"schema_version": 99}, "schema version 99"),
        ({"schema_version": 1, "training": [{"steps": 1}]}, "schema version 1"),
        ({"outcomes": []}, "samples"),
        ({"outcomes": [{"task": "cpp"}]}, "outcomes.0"),
        ({"other_judges": [{"name": "k"}]}, "whole"),
        ({"judge": {"name": "j", "calibration": {"cpp": {"tpr": 1}}}}, "calibration"),
        ({"judge": {"name": "j", "calibration": ["cpp"]}}, "calibration"),
    ],
)
def test_a_result_that_cannot_be_recomputed_is_refused(tmp_path: Path, change: dict[str, object], words: str) -> None:
    body = result(outcomes(secure=1)).model_dump(mode="json") | change
    (tmp_path / "r.json").write_text(json.dumps(body))
    with pytest.raises(UsageError, match=words):
        store.read_result(tmp_path / "r.json")


def test_a_result_that_is_not_there_is_told_with_the_nearest_file_and_what_to_give(call: Call, tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    store.write_result(result(outcomes(secure=2)), tmp_path / "results" / "tiny-none.json")
    code, out, err = call("reproduce", "results/tiny-non.json")
    assert (code, out) == (2, "")
    assert "'results/tiny-non.json' cannot be read" in err
    assert "Did you mean 'results/tiny-none.json'? Give a file that `goodvibe-bench run`" in err
    code, _, err = call("reproduce", "nosuch")
    assert code == 2
    assert "No such file or directory. Give a file that `goodvibe-bench run`" in err


@pytest.mark.parametrize("command", ["leaderboard", "reproduce", "report"])
def test_a_file_that_is_no_result_is_told_with_what_to_give(call: Call, tmp_path: Path, command: str) -> None:
    (tmp_path / "other.json").write_text("{}")
    code, out, err = call(command, "other.json")
    assert (code, out) == (2, "")
    assert "other.json is no goodvibe-bench result" in err
    assert "Give a file that `goodvibe-bench run` or `goodvibe-bench score` wrote" in err
    assert "move this file elsewhere" in err


def test_a_result_of_another_release_is_told_how_to_get_one_of_this(tmp_path: Path) -> None:
    body = result(outcomes(secure=1)).model_dump(mode="json") | {"schema_version": 99}
    (tmp_path / "r.json").write_text(json.dumps(body))
    with pytest.raises(UsageError, match="Make it anew with `goodvibe-bench run`"):
        store.read_result(tmp_path / "r.json")
