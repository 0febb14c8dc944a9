import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from goodvibe_bench.errors import UsageError
from goodvibe_bench.judging.label import read, sample, shares
from tests.judging.labels import fill, rows_of, write_records


def _unsafe(row: dict[str, Any]) -> int:
    return int("strcpy" in row["code"])


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    """Twelve labelled rows."""
    path = tmp_path / "labels.jsonl"
    sample(write_records(tmp_path), 12, path)
    fill(path, _unsafe)
    return path


def test_both_verdicts_are_filled_alike_in_every_language(tmp_path: Path) -> None:
    source = write_records(tmp_path, languages=("cpp", "go", "java"))
    rows = sample(source, 36, tmp_path / "l.jsonl")
    assert Counter((row.language, "strcpy" in row.code) for row in rows) == {
        (language, called): 6 for language in ("cpp", "go", "java") for called in (True, False)
    }


def test_unusable_and_unjudged_samples_are_not_drawn(tmp_path: Path) -> None:
    rows = sample(write_records(tmp_path), 1000, tmp_path / "l.jsonl")
    assert len(rows) == 48
    assert all(row.weight == 1 for row in rows)


@pytest.mark.parametrize("count", [2, 3, 9, 20, 48])
def test_weights_sum_to_the_population_of_every_verdict(tmp_path: Path, count: int) -> None:
    rows = sample(write_records(tmp_path), count, tmp_path / "l.jsonl")
    assert len(rows) == count
    called = [row.weight for row in rows if "strcpy" in row.code]
    assert sum(called) == pytest.approx(8)
    assert sum(row.weight for row in rows) == pytest.approx(48)


def test_a_weighted_share_is_right_on_average(tmp_path: Path) -> None:
    source = write_records(tmp_path)
    found = []
    for seed in range(60):
        rows = sample(source, 16, tmp_path / "l.jsonl", seed)
        odd = [row.weight for row in rows if int(row.family[1:]) % 10 == 1]
        found.append(sum(odd) / 48)
    assert sum(found) / len(found) == pytest.approx(5 / 48, abs=0.03)


def test_a_row_tells_neither_verdict_nor_method(tmp_path: Path) -> None:
    sample(write_records(tmp_path), 12, tmp_path / "l.jsonl")
    rows = rows_of(tmp_path / "l.jsonl")
    assert set(rows[0]) == {
        "id", "language", "prompt", "code", "label", "why", "family", "stratum", "weight", "judge", "digest",
    }  # fmt: skip
    assert all(row["label"] is None for row in rows)
    assert not any(word in json.dumps(row) for row in rows for word in ("secure", "p_unsafe", "run"))
    called = ["strcpy" in row["code"] for row in rows]
    assert called != sorted(called)
    assert called != sorted(called, reverse=True)


def test_the_same_seed_draws_the_same(tmp_path: Path) -> None:
    source = write_records(tmp_path)
    once, again, other = (sample(source, 10, tmp_path / f"{i}.jsonl", seed) for i, seed in enumerate((3, 3, 4)))
    assert once == again != other


def test_a_records_file_is_taken_as_well(tmp_path: Path) -> None:
    source = write_records(tmp_path)
    assert sample(tmp_path / "records" / "run.jsonl", 8, tmp_path / "a.jsonl") == sample(
        source, 8, tmp_path / "b.jsonl"
    )


def test_labels_come_back_with_their_weights(labels: Path) -> None:
    rows = read([labels])
    assert Counter(row.label for row in rows) == {0: 6, 1: 6}
    assert sum(row.weight for row in rows) == pytest.approx(48)
    assert all("\u2028" in row.code for row in rows)


def test_skipped_rows_are_said_and_stood_for_by_their_stratum(labels: Path) -> None:
    first = rows_of(labels)[0]
    fill(labels, lambda row: None if row["id"] == first["id"] else _unsafe(row))
    said: list[str] = []
    rows = read([labels], said.append)
    assert len(rows) == 11
    assert sum(row.weight for row in rows) == pytest.approx(48)
    assert said == ["labels.jsonl: 1 of 12 rows have no label and are skipped"]


def test_a_stratum_without_any_label_is_said(labels: Path) -> None:
    lost = rows_of(labels)[0]["stratum"]
    fill(labels, lambda row: None if row["stratum"] == lost else _unsafe(row))
    said: list[str] = []
    read([labels], said.append)
    assert said[1] == f"labels.jsonl: no label at all in {lost}, so the figures do not cover these strata"


def test_all_faults_are_named_together_with_their_lines(labels: Path) -> None:
    rows = rows_of(labels)
    rows[1]["label"], rows[2]["label"], rows[3]["label"] = 2, "1", True
    rows[4]["code"] += "// fixed"
    rows[5]["weight"] = 1.0
    del rows[6]["prompt"]
    rows[7] |= {"colour": 1}
    rows.append(rows[0])
    labels.write_text("\n".join(json.dumps(row) for row in rows) + "\n")
    with pytest.raises(UsageError) as raised:
        read([labels])
    lines = str(raised.value).splitlines()
    assert lines[0] == "Labels: 8 fault(s)"
    for line, words in {
        2: "label: Input should be 0 or 1",
        3: "label: Input should be 0",
        4: "label: ",
        5: "was changed; only label and why may be",
        6: "was changed",
        7: "prompt: Field required",
        8: "colour: Extra inputs",
        13: f"is also at {labels}, line 1",
    }.items():
        assert sum(f"line {line}: " in found and words in found for found in lines) == 1, (line, lines)


def test_the_same_row_in_two_files_is_refused(labels: Path, tmp_path: Path) -> None:
    other = tmp_path / "copy.jsonl"
    other.write_text(labels.read_text())
    with pytest.raises(UsageError, match="12 fault"):
        read([labels, other])


def test_a_reason_may_be_written_beside_a_label(labels: Path) -> None:
    rows = [row | {"why": "copies without a bound"} for row in rows_of(labels)]
    labels.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert len(read([labels])) == 12


def test_a_file_with_labels_is_not_overwritten(labels: Path, tmp_path: Path) -> None:
    before = labels.read_text()
    with pytest.raises(UsageError, match=r"12 label\(s\), which would be lost.*--output"):
        sample(tmp_path / "run.json", 12, labels)
    assert labels.read_text() == before


def test_a_file_without_labels_is_drawn_anew(tmp_path: Path) -> None:
    source, path = write_records(tmp_path), tmp_path / "l.jsonl"
    sample(source, 8, path)
    assert len(sample(source, 9, path)) == len(rows_of(path)) == 9


def test_another_file_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("mine")
    with pytest.raises(UsageError, match="no label file"):
        sample(write_records(tmp_path), 8, path)
    assert path.read_text() == "mine"


def test_too_few_rows_for_all_strata_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="at least 4"):
        sample(write_records(tmp_path, languages=("cpp", "go")), 3, tmp_path / "l.jsonl")


def test_missing_records_are_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"records/run\.jsonl"):
        sample(tmp_path / "run.json", 8, tmp_path / "l.jsonl")


def test_something_else_than_records_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text('{"a": 1}\n')
    with pytest.raises(UsageError, match="no records file"):
        sample(path, 8, tmp_path / "l.jsonl")


@pytest.mark.parametrize(
    ("total", "rooms", "given"),
    [(6, [10, 10], [3, 3]), (6, [1, 10], [1, 5]), (99, [2, 3], [2, 3]), (7, [5, 1, 5], [3, 1, 3])],
)
def test_shares_are_as_even_as_there_is_room(total: int, rooms: list[int], given: list[int]) -> None:
    assert shares(total, rooms) == given
