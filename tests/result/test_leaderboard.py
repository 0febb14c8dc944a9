from pathlib import Path

from goodvibe_bench.metric.rate import rate
from goodvibe_bench.result import correct, instrument, leaderboard
from goodvibe_bench.result.store import read_results
from tests.result.builders import calibration, outcomes, result

RESULTS = [
    result(outcomes(secure=2, insecure=8), method="worst"),
    result(outcomes(secure=9, insecure=1), method="best"),
    result(outcomes(unusable=10), method="junk"),
    result(outcomes(secure=5, insecure=4, unjudged=1), method="middle"),
]


def test_the_best_secure_rate_comes_first() -> None:
    assert [row["method"] for row in leaderboard.rows(RESULTS)] == ["best", "middle", "worst", "junk"]


def test_rates_are_recomputed_from_the_samples() -> None:
    typed = result(outcomes(secure=1, insecure=3), results={"cpp": {"secure_rate,none": 1.0}, "all": {}})
    (row,) = leaderboard.rows([typed])
    assert row["secure_rate"] == rate(1, 4)
    assert (row["n"], row["task"]) == (4, "cpp")


def test_by_language_gives_each_language_a_row() -> None:
    both = result(outcomes(secure=1, insecure=1) + outcomes(secure=3, task="go"))
    found = leaderboard.rows([both], by_language=True)
    assert [(row["task"], row["n"], row["secure_rate"].value) for row in found] == [("cpp", 2, 0.5), ("go", 3, 1.0)]


def test_the_corrected_rate_is_recomputed_from_samples_and_the_stored_calibration() -> None:
    known = instrument.block("j", "d", [calibration()])
    (row,) = leaderboard.rows([result(outcomes(secure=5, insecure=5), judge=known)])
    assert row["corrected_rate"] == correct.corrected(outcomes(secure=5, insecure=5), {"cpp": calibration()})
    assert row["corrected_rate"].value == 0.5


def test_a_calibration_without_the_newer_fields_is_enough() -> None:
    words = calibration().model_dump(mode="json")
    old = {key: words[key] for key in ("language", "tpr", "fpr", "n", "threshold", "auc", "ece")}
    judge = {"name": "j", "digest": "d", "calibration": {"cpp": old}}
    (row,) = leaderboard.rows([result(outcomes(secure=5, insecure=5), judge=judge)])
    assert row["corrected_rate"].state == "inside"


def test_the_accepted_results_are_read_and_ranked() -> None:
    found = read_results([Path(__file__).parents[2] / "results"])
    rows = leaderboard.rows(found)
    assert len(rows) == len(found) >= 2
    assert all(row["corrected_rate"].states for row in rows)
