import csv
import io
import json

import pytest

from goodvibe_bench.metric.rate import rate
from goodvibe_bench.result import form, instrument
from goodvibe_bench.result.leaderboard import rows as rows_of
from goodvibe_bench.types import Outcome
from tests.result.builders import calibration, outcomes, result, training, two_judges, with_other

RESULTS = [
    result(outcomes(secure=2, insecure=8), method="worst"),
    result(outcomes(secure=9, insecure=1), method="best"),
    result(outcomes(unusable=10), method="junk"),
    result(outcomes(secure=5, insecure=4, unjudged=1), method="middle"),
]
NO, YES = Outcome.INSECURE, Outcome.SECURE
TWO = [
    two_judges(with_other(outcomes(insecure=20), [NO] * 20)),
    two_judges(with_other(outcomes(secure=15, insecure=5), [NO] * 20), method="tuned"),
]
"""The first judge sees 15 of 20 gained, the second none."""


def test_plain_rows_are_json_with_bounds() -> None:
    rows = json.loads(json.dumps(form.plain(rows_of(RESULTS))))
    assert rows[0]["secure_rate"] == rate(9, 10).model_dump()


def test_markdown_has_a_line_a_row_and_a_cell_a_heading() -> None:
    title, table, notes = form.markdown(rows_of(RESULTS)).split("\n\n")
    assert title == "Rates in %, 95% intervals; model tiny; tasks cpp; judge j; n 10; seeds 0"
    lines = table.split("\n")
    assert len(lines) == 2 + len(RESULTS)
    assert "\n- uncalibrated: judge j in cpp" in notes
    assert notes.startswith("- rank: ")
    assert {line.count("|") for line in lines} == {len(form.HEADINGS) + 1}
    assert lines[2].startswith("| 1 | tiny | best | 0 | cpp |")
    assert "| 90.0 [" in lines[2]
    assert "| uncalibrated | \\* | 100.0 | 0.0 | 0.0 |  | 90.0 |" in lines[2]


def test_a_bar_in_a_name_makes_no_cell() -> None:
    text = form.markdown(rows_of([result(outcomes(secure=1), model="a|b")]))
    assert "| a\\|b |" in text


def test_csv_has_values_and_bounds_in_columns() -> None:
    rows = list(csv.DictReader(io.StringIO(form.comma_separated(rows_of(RESULTS)))))
    assert [row["method"] for row in rows] == ["best", "middle", "worst", "junk"]
    assert float(rows[0]["secure_rate"]) == 0.9
    assert float(rows[0]["secure_rate_low"]) == rate(9, 10).low


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1"])
def test_a_formula_in_csv_is_inert(name: str) -> None:
    text = form.comma_separated(rows_of([result(outcomes(secure=1), model=name)]))
    (row,) = csv.DictReader(io.StringIO(text, newline=""))
    assert row["model"] == f"'{name}"


@pytest.mark.parametrize("name", ["", "tiny", "a=b"])
def test_a_plain_name_in_csv_stays(name: str) -> None:
    text = form.comma_separated(rows_of([result(outcomes(secure=1), model=name)]))
    assert next(csv.DictReader(io.StringIO(text)))["model"] == name


def _corrected_cell(tpr: int, fpr: int, secure: int, insecure: int) -> str:
    judge = instrument.block("j", "d", [calibration(tpr=tpr, fpr=fpr)])
    (row,) = rows_of([result(outcomes(secure=secure, insecure=insecure), judge=judge)])
    return form.cells(row)["corrected_rate"]


def test_a_corrected_rate_says_in_words_where_it_is_not_to_be_trusted() -> None:
    assert _corrected_cell(90, 10, 50, 50).startswith("50.0 [")
    assert _corrected_cell(90, 10, 50, 50).endswith("]")
    assert _corrected_cell(90, 10, 93, 7).endswith("] out of range")
    assert _corrected_cell(51, 50, 50, 50) == "useless judge"
    assert _corrected_cell(99, 60, 100, 0) == "refuted"


def test_notes_explain_every_mark_and_name_judge_and_language() -> None:
    judge = instrument.block("j", "d", [calibration(tpr=51, fpr=50), calibration("go")])
    rows = rows_of([result(outcomes(secure=9, insecure=9) + outcomes(secure=9, insecure=9, task="go"), judge=judge)])
    (note,) = form.notes(rows)
    assert note.startswith("useless judge: judge j in cpp has a TPR - FPR that could be zero")


def test_notes_tell_other_seeds_apart_from_other_prompts_where_a_model_was_trained() -> None:
    trained = result(outcomes(secure=9), method="tuned", training=(training(),))
    assert form.TRAINED in form.notes(rows_of([trained]))
    assert form.TRAINED not in form.notes(rows_of([result(outcomes(secure=9))]))


def test_a_gain_that_one_judge_alone_sees_is_in_every_form() -> None:
    rows = rows_of(TWO)
    assert form.notes(rows)[-1] == "tuned: gain seen by j only"
    assert "- tuned: gain seen by j only" in form.markdown(rows)
    assert form.plain(rows)[0]["gain_flag"] == "gain seen by j only"
    first, second = csv.DictReader(io.StringIO(form.comma_separated(rows)))
    assert (first["gain_flag"], second["gain_flag"]) == ("gain seen by j only", "")


def test_csv_has_the_other_judges_figures_in_columns_of_their_own() -> None:
    first, second = csv.DictReader(io.StringIO(form.comma_separated(rows_of(TWO))))
    assert (first["judge"], first["judge2"]) == ("j", "k")
    assert float(first["gain"]) == 0.75
    assert float(first["judge2_gain"]) == 0.0
    assert float(first["judge2_secure_rate"]) == 0.0
    assert float(first["judge2_disagreement"]) == 0.75
    assert second["gain"] == ""


def test_both_judges_have_a_line_a_row_with_their_rates() -> None:
    lines = form.judge_cells(rows_of(TWO))
    assert [(line["method"], line["judge"], line["secure_rate"][:4]) for line in lines] == [
        ("tuned", "j", "75.0"),
        ("tuned", "k", "0.0 "),
        ("none", "j", "0.0 "),
        ("none", "k", "0.0 "),
    ]
    assert [line["disagreement"] for line in lines] == ["", "75.0 [53, 89]", "", "0.0 [0, 16]"]
    assert [line["both"] for line in lines] == ["", "20", "", "20"]
    assert lines[0]["gain"].startswith("+75.0 [")


def test_json_carries_each_judges_view() -> None:
    row = json.loads(json.dumps(form.plain(rows_of(TWO))))[0]
    assert [view["judge"] for view in row["judges"]] == ["j", "k"]
    assert row["judges"][0]["gain"]["gained"] == 15
    assert row["judges"][1]["agreement"]["n"] == 20
    assert row["corrected_rate"]["state"] == "inside"


EMPTY = {"corrected_rate", "utility"}


def test_columns_that_say_nothing_are_idle() -> None:
    assert form.idle([form.cells(row) for row in rows_of(RESULTS)]) == EMPTY
    assert form.idle([form.cells(row) for row in rows_of(RESULTS[:2])]) == EMPTY | {"unjudged_rate"}


def test_html_is_one_static_page_in_which_names_are_text() -> None:
    name = '<script>alert("x")</script>'
    page = form.html(rows_of([*RESULTS, result(outcomes(secure=1, insecure=9), method=name)]))
    assert "<script" not in page
    assert "&lt;script&gt;alert(&quot;x&quot;)&lt;/script&gt;" in page
    assert page.count("<tr>") == 1 + len(RESULTS) + 1
    assert "src=" not in page
    assert "href=" not in page


def test_a_name_makes_no_markdown() -> None:
    text = form.markdown(rows_of([result(outcomes(secure=1), method="<b>`x`|*y*\nz")]))
    assert "| \\<b\\>\\`x\\`\\|\\*y\\*\ufffdz |" in text


def test_tables_that_are_not_compared_say_so_and_name_the_setting_that_differs() -> None:
    rows = rows_of([result(outcomes(secure=1)), result(outcomes(secure=1), config={"limit": 8})])
    assert [form.title(own, rows).rpartition("; ")[2] for own in form.tables(rows)] in (
        ["limit None", "limit 8"],
        ["limit 8", "limit None"],
    )
    assert form.APART in form.notes(rows)
    assert form.RANK not in form.notes(rows)
