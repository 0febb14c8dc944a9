"""What one machine finished, another one finds at the URL that they share."""

import io
import socket
from pathlib import Path

import pytest
from rich.console import Console

from goodvibe_bench.errors import RunError, UsageError
from goodvibe_bench.generator.sampling import Sampling
from goodvibe_bench.progress import Show
from goodvibe_bench.request import Request
from goodvibe_bench.result import share, store
from goodvibe_bench.run import run
from goodvibe_bench.types import Completion
from tests.result.builders import outcomes, result
from tests.short import short_request


@pytest.fixture
def url(tmp_path: Path) -> str:
    return (tmp_path / "bucket").as_uri()


def _machine(folder: Path, place: str, url: str) -> Request:
    words = {"share": url, "scratch": folder / place / "scratch", "output": folder / place / "results"}
    return short_request(folder, words)


def test_a_machine_goes_on_from_what_another_one_finished(tmp_path: Path, url: str) -> None:
    ((first, _),) = run(_machine(tmp_path, "a", url), Show(quiet=True))
    said = io.StringIO()
    with Show(Console(file=said, width=200), seconds_between_lines=0) as show:
        ((second, path),) = run(_machine(tmp_path, "b", url), show)
    assert "trained before" in said.getvalue(), "the model came over"
    assert "generate:" not in said.getvalue(), "so did the answers"
    assert second.model.digest == first.model.digest
    assert second.outcomes == first.outcomes
    assert path.read_bytes() == (tmp_path / "bucket" / path.name).read_bytes()


def test_a_folder_that_came_over_half_is_no_folder(tmp_path: Path, url: str) -> None:
    there = tmp_path / "bucket" / "runs" / "models" / "key"
    there.mkdir(parents=True)
    (there / "model.safetensors").write_bytes(b"half")
    share.fetch_folder(url, tmp_path / "scratch" / "models" / "key")
    assert not (tmp_path / "scratch" / "models" / "key").exists(), "its note is sent last"


def test_folders_go_and_come_whole(tmp_path: Path, url: str) -> None:
    here, there = (tmp_path / name / "models" / "key" for name in "ab")
    (here / "adapter").mkdir(parents=True)
    (here / share.NOTE).write_text("{}")
    (here / "adapter" / "weights").write_bytes(b"weights")
    share.send_folder(url, here, anew=False)
    share.fetch_folder(url, there)
    assert (there / "adapter" / "weights").read_bytes() == b"weights"
    assert (there / share.NOTE).read_text() == "{}"
    assert [path.name for path in there.parent.iterdir()] == ["key"], "nothing unfinished is left"


def test_rows_of_both_sides_are_joined(tmp_path: Path, url: str) -> None:
    one, two = (tmp_path / name / "completions" / "key.jsonl" for name in "ab")
    for path, text in ((one, "1\n2\n"), (two, "2\n3\ntorn")):
        path.parent.mkdir(parents=True)
        path.write_text(text)
    share.send_rows(url, one)
    share.fetch_rows(url, two)
    assert two.read_text() == "2\n3\n1\n"
    share.send_rows(url, two)
    share.fetch_rows(url, one)
    assert sorted(one.read_text().split()) == ["1", "2", "3"]


def test_results_come_with_their_records_and_only_once(tmp_path: Path, url: str) -> None:
    here, there = tmp_path / "a", tmp_path / "b"
    (here / "records").mkdir(parents=True)
    store.write_result(result(outcomes(secure=2)), here / "x.json")
    (here / "records" / "x.jsonl").write_text("a record\n")
    share.send_result(url, here / "x.json")
    assert [path.name for path in share.fetch_results(url, there)] == ["x.json"]
    assert (there / "x.json").read_bytes() == (here / "x.json").read_bytes()
    assert (there / "records" / "x.jsonl").read_text() == "a record\n"
    assert share.fetch_results(url, there) == [], "what is there already is not fetched again"


def test_the_first_of_two_answers_to_one_question_counts(tmp_path: Path, url: str) -> None:
    words = {"methods": ("none",), "sampling": Sampling(max_new_tokens=8, temperature=1.0)}
    ((own, _),) = run(_machine(tmp_path, "a", url).model_copy(update=words), Show(quiet=True))
    (rows,) = (tmp_path / "bucket" / "runs" / "completions").glob("*.jsonl")
    others = [one.model_copy(update={"text": "another"}) for one in store.kept(rows, Completion)]
    rows.write_bytes(b"")
    store.keep(rows, others)
    ((again, _),) = run(_machine(tmp_path, "a", url).model_copy(update=words), Show(quiet=True))
    assert again.outcomes == own.outcomes, "what a machine said it goes on saying"


def test_what_was_measured_elsewhere_is_not_measured_again(tmp_path: Path, url: str) -> None:
    one, two = (tmp_path / name / "utility" / "key.json" for name in "ab")
    there = tmp_path / "bucket" / "runs" / "utility" / "key.json"
    for path in (one, two):
        path.parent.mkdir(parents=True)
    assert share.kept_json(url, one, lambda: 7) == 7
    assert share.kept_json(url, two, lambda: pytest.fail("measured again")) == 7
    there.write_text(there.read_text().replace("7", "8"))
    two.unlink()
    assert share.kept_json(url, two, lambda: 7) == 7, "what came over damaged is made anew"
    assert there.read_text() == one.read_text(), "and mended there"


def test_a_result_that_is_done_goes_to_a_url_that_is_shared_later(tmp_path: Path, url: str) -> None:
    made = result(outcomes(secure=2))
    store.writable(tmp_path / "a")
    store.write_result(made, tmp_path / "a" / "x.json")
    (tmp_path / "a" / "other.json").write_text("{}")
    share.send_results(url, tmp_path / "a", [made])
    share.send_results(url, tmp_path / "a", [made])
    assert [path.name for path in (tmp_path / "bucket").glob("*.json")] == ["x.json"]


def test_what_is_no_result_is_left_at_the_url(tmp_path: Path, url: str) -> None:
    share.check(url)
    (tmp_path / "bucket" / "half.json").write_text('{"schema_version": 2, "results"')
    assert share.fetch_results(url, tmp_path / "a") == []
    assert not list((tmp_path / "a").glob("*.json"))


def test_a_share_in_the_runs_own_folders_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="own folders"):
        share.check((tmp_path / "results" / "x").as_uri(), tmp_path / "results")


def test_a_url_that_fails_midway_is_one_message(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"http://me:secret@127.0.0.1:{taken.getsockname()[1]}/x"
    with pytest.raises(RunError, match=r"--share http://127\.0\.0\.1") as found:
        share.fetch_results(address, tmp_path)
    assert "secret" not in str(found.value)


@pytest.mark.parametrize("url", ["nonsense://x/y", "file:///proc/nowhere"])
def test_a_url_where_nothing_can_be_put_is_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(UsageError, match=f"--share {url}"):
        run(_machine(tmp_path, "a", url), Show(quiet=True))
