from pathlib import Path
from typing import Any

from goodvibe_bench.metric.rate import rate
from goodvibe_bench.result import correct, instrument, leaderboard
from goodvibe_bench.result.store import read_results
from goodvibe_bench.types import Result
from tests.result.builders import calibration, outcomes, result, training

RESULTS = [
    result(outcomes(secure=2, insecure=8), method="worst"),
    result(outcomes(secure=9, insecure=1), method="best"),
    result(outcomes(unusable=10), method="junk"),
    result(outcomes(secure=5, insecure=4, unjudged=1), method="middle"),
]


def _methods(rows: list[leaderboard.Row]) -> list[str]:
    return [row["method"] for row in rows]


def _shares(**shares: int) -> list[Result]:
    return [result(outcomes(secure=n, insecure=100 - n), method=name) for name, n in shares.items()]


def test_the_best_secure_rate_comes_first() -> None:
    assert _methods(leaderboard.rows(RESULTS)) == ["best", "middle", "worst", "junk"]


def test_rates_are_recomputed_from_the_samples() -> None:
    typed = result(outcomes(secure=1, insecure=3), results={"cpp": {"secure_rate,none": 1.0}, "all": {}})
    (row,) = leaderboard.rows([typed])
    assert row["secure_rate"] == rate(1, 4)
    assert (row["n"], row["task"], row["rank"]) == (4, "cpp", None)


def test_tasks_stand_in_the_order_in_which_they_were_asked_for() -> None:
    rows = outcomes(secure=1, task="java") + outcomes(secure=1, task="go") + outcomes(secure=1)
    asked = result(rows, config={"tasks": ["cpp", "java", "go"]})
    assert leaderboard.rows([asked])[0]["task"] == "cpp,java,go"
    assert leaderboard.rows([result(rows, config={"tasks": 7})])[0]["task"] == "java,go,cpp"


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


def test_seeds_of_one_method_are_one_row_and_by_seed_one_each() -> None:
    seeds = [result(outcomes(secure=n, insecure=10 - n), method="a", seed=n) for n in (4, 5, 6)]
    (row,) = leaderboard.rows(seeds)
    assert (row["seeds"], row["n"], row["secure_rate"].value) == ([4, 5, 6], 30, 0.5)
    assert row["secure_rate"].high - row["secure_rate"].low > rate(15, 30).high - rate(15, 30).low
    assert [row["seeds"] for row in leaderboard.rows(seeds, by_seed=True)] == [[6], [5], [4]]


def test_two_results_of_one_seed_are_not_pooled() -> None:
    twice = [result(outcomes(secure=n, insecure=10 - n), method="a") for n in (4, 5)]
    assert [row["n"] for row in leaderboard.rows(twice)] == [10, 10]


def test_rows_share_a_rank_unless_a_difference_is_proven() -> None:
    found = leaderboard.rows(_shares(a=90, b=88, c=50, d=45))
    assert [(row["method"], row["rank"]) for row in found] == [("a", 1), ("b", 1), ("c", 3), ("d", 3)]


def test_a_rank_counts_those_proven_better_and_chains_of_small_steps_make_no_tie() -> None:
    found = leaderboard.rows(_shares(a=60, b=57, c=54, d=51, e=48))
    # 3 and 6 prompts, all in one direction, prove nothing; 9 and 12 do: a beats d and e, and b beats e.
    assert [row["rank"] for row in found] == [1, 1, 1, 2, 3]


def test_a_family_counts_once_in_a_rank() -> None:
    families: list[Any] = [[row | {"family": "one"} for row in outcomes(secure=n, insecure=100 - n)] for n in (90, 10)]
    found = leaderboard.rows([result(rows, method=name) for rows, name in zip(families, "ab", strict=True)])
    assert [row["rank"] for row in found] == [1, 1]


def test_what_was_not_made_alike_is_in_tables_of_its_own() -> None:
    alike = _shares(a=90, b=10)
    odd: list[dict[str, Any]] = [
        {"judge": {"name": "j", "digest": "other"}},
        {"task_hashes": {"cpp": "1"}},
        {"config": {"limit": 8}},
    ]
    others = [result(outcomes(secure=50, insecure=50), method="c", **words) for words in odd]
    fewer = result(outcomes(secure=9), method="c")
    found = leaderboard.rows([*others, fewer, *alike])
    assert [(row["table"], row["rank"]) for row in found][:2] == [(1, 1), (1, 2)]
    assert sorted((row["table"], row["rank"]) for row in found[2:]) == [(n, None) for n in (2, 3, 4, 5)]


def test_sorted_by_corrected_rate_rows_without_one_come_last() -> None:
    judge = instrument.block("j", "d", [calibration()])
    known = [result(outcomes(secure=n, insecure=20 - n), method=f"m{n}", judge=judge) for n in (10, 12, 20)]
    refuted = leaderboard.rows(known, sort="corrected")
    values = [row["corrected_rate"].value for row in refuted]
    assert values == sorted((one for one in values if one is not None), reverse=True) + [None] * values.count(None)


def _trained(secure: int, method: str, flops: int | None, **words: Any) -> Result:
    return result(outcomes(secure=secure, insecure=20 - secure), method=method, training=(training(flops),), **words)


def test_a_row_is_marked_where_no_other_is_as_secure_and_as_cheap() -> None:
    found = leaderboard.rows(
        [
            result(outcomes(secure=5, insecure=15)),
            _trained(15, "dear", 900),
            _trained(15, "cheap", 400),
            _trained(9, "beaten", 500),
        ]
    )
    assert {row["method"]: row["pareto"] for row in found} == {
        "cheap": True,
        "dear": False,
        "beaten": False,
        "none": True,
    }
    assert {row["cost"] for row in found} == {"flops"}
    assert {row["method"]: row["flops"] for row in found} == {"cheap": 400, "dear": 900, "beaten": 500, "none": 0}


def test_seconds_are_the_cost_where_flops_are_not_known() -> None:
    found = leaderboard.rows([_trained(15, "a", None), _trained(9, "b", 500)])
    assert [(row["cost"], row["training_seconds"], row["pareto"]) for row in found] == [
        ("seconds", 3.0, True),
        ("seconds", 3.0, False),
    ]


def test_what_samples_made_elsewhere_cost_nobody_knows() -> None:
    foreign = {"source": {"file": "x.jsonl"}}
    (row,) = leaderboard.rows([result(outcomes(secure=5), method="x", config=foreign)])
    assert (row["flops"], row["trainable_parameters"], row["pareto"]) == (None, None, None)
