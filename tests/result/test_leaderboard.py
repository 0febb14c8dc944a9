import csv
import io
import json

import pytest

from goodvibe_bench.metric.rate import rate
from goodvibe_bench.result import leaderboard
from tests.result.builders import outcomes, result

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


def test_plain_rows_are_json_with_bounds() -> None:
    rows = json.loads(json.dumps(leaderboard.plain(leaderboard.rows(RESULTS))))
    assert rows[0]["secure_rate"] == rate(9, 10).model_dump()


def test_markdown_has_a_line_a_row_and_a_cell_a_heading() -> None:
    lines = leaderboard.markdown(leaderboard.rows(RESULTS)).split("\n")
    assert len(lines) == 2 + len(RESULTS)
    assert {line.count("|") for line in lines} == {len(leaderboard.HEADINGS) + 1}
    assert lines[2].startswith("| tiny | best | cpp |")
    assert "| 90.0 [" in lines[2]
    assert "| 90.0 | 100.0 | 0.0 | 0.0 |" in lines[2]


def test_a_bar_in_a_name_makes_no_cell() -> None:
    text = leaderboard.markdown(leaderboard.rows([result(outcomes(secure=1), model="a|b")]))
    assert "| a\\|b |" in text


def test_csv_has_values_and_bounds_in_columns() -> None:
    rows = list(csv.DictReader(io.StringIO(leaderboard.comma_separated(leaderboard.rows(RESULTS)))))
    assert [row["method"] for row in rows] == ["best", "middle", "worst", "junk"]
    assert float(rows[0]["secure_rate"]) == 0.9
    assert float(rows[0]["secure_rate_low"]) == rate(9, 10).low


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1"])
def test_a_formula_in_csv_is_inert(name: str) -> None:
    text = leaderboard.comma_separated(leaderboard.rows([result(outcomes(secure=1), model=name)]))
    (row,) = csv.DictReader(io.StringIO(text, newline=""))
    assert row["model"] == f"'{name}"


@pytest.mark.parametrize("name", ["", "tiny", "a=b"])
def test_a_plain_name_in_csv_stays(name: str) -> None:
    text = leaderboard.comma_separated(leaderboard.rows([result(outcomes(secure=1), model=name)]))
    assert next(csv.DictReader(io.StringIO(text)))["model"] == name
