from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from goodvibe_bench.task.definition import Split
from goodvibe_bench.task.split import assign, audit, group_pairs
from goodvibe_bench.types import PARTS, Pair, Prompt

QUARTERS = Split(shares=dict.fromkeys(PARTS, 0.25))
GROUPS = st.lists(st.integers(0, 30), min_size=1, max_size=120).map(np.array)
CODE = {
    "sum": "int sum(const int* values, int count) { int total = 0; while (count--) total += *values++; }",
    "log": "void log_line(std::ostream& out, const std::string& text) { out << std::time(nullptr) << text; }",
    "sort": "template <class T> void order(std::vector<T>& rows) { std::stable_sort(rows.begin(), rows.end()); }",
    "key": "bool has_key(const std::map<long, double>& table, long key) { return table.find(key) != table.end(); }",
}


def _pair(id: str, prompt: str, secure: str, insecure: str, family: str | None = None) -> Pair:
    return Pair(id=id, language="cpp", prompt=prompt, secure=secure, insecure=insecure, source="test", family=family)


@given(GROUPS, st.integers(0, 5))
def test_groups_stay_whole_and_every_row_has_a_part(groups: np.ndarray, seed: int) -> None:
    parts = assign(groups, QUARTERS.model_copy(update={"seed": seed}))
    assert len(parts) == len(groups)
    assert set(parts) <= set(PARTS)
    assert all(len({parts[row] for row in np.flatnonzero(groups == group)}) == 1 for group in set(groups.tolist()))


@given(GROUPS, st.integers(0, 5))
def test_the_same_seed_gives_the_same_parts(groups: np.ndarray, seed: int) -> None:
    split = QUARTERS.model_copy(update={"seed": seed})
    assert assign(groups, split) == assign(groups, split)


@given(GROUPS)
def test_no_part_is_over_its_share_by_more_than_a_group(groups: np.ndarray) -> None:
    largest = max(Counter(groups.tolist()).values())
    counts = Counter(assign(groups, QUARTERS))
    assert all(counts[part] <= len(groups) / 4 + largest for part in PARTS)


@given(GROUPS)
def test_a_part_without_a_share_gets_no_row(groups: np.ndarray) -> None:
    assert "held-out" not in assign(groups, Split())


def test_rows_without_twins_are_shared_exactly() -> None:
    assert Counter(assign(np.arange(100), Split())) == {"tuner-train": 50, "judge-train": 25, "calibration": 25}


def test_another_seed_gives_other_parts() -> None:
    one, other = (assign(np.arange(100), Split(seed=seed)) for seed in (0, 1))
    assert one != other


@pytest.mark.parametrize(
    "shares",
    [
        {"tuner-train": 1.0},
        {"tuner-train": 0.5, "judge-train": 0.25, "calibration": 0.25, "held-out": 0.25},
        {"tuner-train": 1.5, "judge-train": -0.5, "calibration": 0.0, "held-out": 0.0},
    ],
)
def test_shares_that_are_no_division_are_refused(shares: dict[str, float]) -> None:
    with pytest.raises(ValidationError, match="shares must name"):
        Split.model_validate({"shares": shares})


def test_rows_are_grouped_by_prompt_by_either_side_and_by_family() -> None:
    pairs = [
        _pair("a", "Write a function that adds numbers", CODE["sum"], CODE["log"]),
        _pair("b", "Write  a function that adds numbers", CODE["sort"], CODE["key"]),
        _pair("c", "Look for a value in some table", "int unrelated_thing = 4711;", CODE["sum"]),
        _pair("d", "Open yonder garage door by radio", "class Garage { };", "struct Door;", family="f"),
        _pair("e", "Paint every third fence green", "enum Colour { Red, Green };", "float shade = 0.3f;", family="f"),
        _pair("g", "Quack like seven hungry ducks", "const char* quack();", "namespace ducks { }"),
    ]
    groups = group_pairs(pairs, 0.9).tolist()
    assert groups[0] == groups[1], "by prompt"
    assert groups[0] == groups[2], "the secure side of one is the insecure side of the other"
    assert groups[3] == groups[4], "by family"
    assert len(set(groups)) == 3


def test_an_audit_counts_what_crosses() -> None:
    pairs = [
        _pair("a", "Write a function that adds numbers", CODE["sum"], CODE["log"]),
        _pair("b", "Look for a value in some table", CODE["sort"], CODE["sum"]),
        _pair("c", "Open yonder garage door by radio", "class Garage { };", "struct Door;"),
    ]
    prompt = Prompt(id="p", language="cpp", text="Open yonder garage door  by radio")
    found = audit(pairs, ["tuner-train", "judge-train", "calibration"], [prompt], [], 0.9)
    assert {key: count for key, count in found.items() if count} == {
        "cosine": 0.9,
        "tuner-train ~ judge-train": 1,
        "calibration ~ held-out": 1,
    }
    assert set(audit(pairs[1:], ["tuner-train", "judge-train"], [], [], 0.9).values()) == {0.9, 0}
