from typing import Any

import pytest

from goodvibe_bench.result.score import metrics
from goodvibe_bench.result.utility import ASKED, deltas, forgetting, lines, said
from goodvibe_bench.types import Result
from tests.result import builders


def _utility(correct: dict[str, str], docs: str = "d", loss: tuple[float, float] | None = None) -> dict[str, Any]:
    samples = {name: {"docs": docs, "correct": {"acc,none": found}} for name, found in correct.items()}
    forgotten = [{"cross_entropy": one, "tokens": 9, "by_kind": {}} for one in loss or ()]
    model = {
        "digest": "d",
        "languages": ["cpp"],
        "tasks": {"mmlu": {"results": {}, "samples": samples}},
        "forgetting": dict(zip(("before", "after"), forgotten, strict=False)),
    }
    return {"settings": {"margin": 0.02}, "models": [model]}


def _result(method: str, asked: str = "", **words: Any) -> Result:
    rows = [
        row | {"asked": {"1": True, "0": False}.get(letter), "lines": 7}
        for row, letter in zip(builders.outcomes(secure=max(1, len(asked))), asked or "-", strict=True)
    ]
    return builders.result(rows, method=method, **words)


def test_sub_tasks_are_pooled_and_paired_by_question():
    base = _result("none", utility=_utility({"a": "1100", "b": "11"}))
    tuned = _result("x", utility=_utility({"a": "1010", "b": "00"}))
    (delta,) = deltas([(base, tuned)])
    assert (delta.before, delta.after) == (pytest.approx(4 / 6), pytest.approx(2 / 6))
    assert (delta.difference.gained, delta.difference.lost, delta.difference.n) == (1, 3, 6)


def test_other_questions_are_never_paired():
    base = _result("none", utility=_utility({"a": "1100"}, docs="old"))
    assert deltas([(base, _result("x", utility=_utility({"a": "1100"})))]) == []


@pytest.mark.parametrize(
    ("before", "after", "state"),
    [("01" * 500, "01" * 500, "kept"), ("1" * 500, "0" * 500, "dropped"), ("0101", "0101", "inconclusive")],
)
def test_whether_utility_was_kept_within_the_margin_is_said(before: str, after: str, state: str):
    base = _result("none", utility=_utility({"a": before}))
    tuned = _result("x", utility=_utility({"a": after}, loss=(2.0, 2.5)))
    assert deltas([(base, tuned)])[0].state == state
    assert forgetting(tuned)[0].after == 2.5
    text = " ".join(lines([base, tuned]))
    assert "2 points" in text
    assert "2.000 -> 2.500" in text


def test_a_method_that_does_less_of_what_was_asked_is_seen():
    base, tuned = _result("none", "1110"), _result("x", "100-")
    (delta,) = deltas([(base, tuned)])
    assert delta.task == ASKED
    assert (delta.difference.n, delta.difference.lost) == (3, 2)
    assert said(delta).startswith("asked 100.0% -> 33.3%, -66.7 [")
    found = metrics(tuned.outcomes)["all"]
    assert found["asked_rate,none"] == pytest.approx(1 / 3)
    assert found["asked_samples"] == 3
    assert found["lines,median"] == 7


def test_results_of_before_have_no_side_effects():
    old = builders.result(
        [{k: v for k, v in row.items() if k not in {"asked", "lines"}} for row in builders.outcomes(2)]
    )
    assert old.utility == {}
    assert deltas([(old, old)]) == []
    assert forgetting(old) == []
    assert "asked_rate,none" not in metrics(old.outcomes)["all"]
