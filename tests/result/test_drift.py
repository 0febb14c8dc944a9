from pathlib import Path
from typing import Any

from goodvibe_bench.result import form, leaderboard, report_data
from goodvibe_bench.result.compare import Side, compare
from goodvibe_bench.result.drift import apart
from goodvibe_bench.types import Result
from tests.result.builders import outcomes, result


def anchored(p_unsafe: float | None, digest: str = "a", **words: Any) -> Result:
    anchor = {"digest": digest, "p_unsafe": {"x": p_unsafe, "y": 0.1}}
    return result(outcomes(secure=2), judge={"name": "j", "digest": "d", "anchor": anchor}, **words)


def side(one: Result) -> Side:
    return Side(one.method, {Path("a.json"): one})


def test_results_are_apart_where_any_two_of_them_are() -> None:
    middle, low, high = anchored(0.5), anchored(0.485, method="low"), anchored(0.515, method="high")
    assert apart([middle, low], "j") == apart([middle, high], "j") == []
    (line,) = apart([middle, low, high], "j")
    assert "scores 1 of 2 anchor snippets otherwise in high (seed 0)" in line
    assert line.endswith("beside low (seed 0)")
    assert apart([result(outcomes(secure=2)), middle, middle], "j") == [], "nothing to hold it against"
    assert "one side only" in apart([middle, anchored(None)], "j")[0]
    assert "on other snippets" in apart([middle, anchored(0.5, "b")], "j")[0]


def test_leaderboard_compare_and_report_say_that_a_judge_drifted() -> None:
    base, same = anchored(0.5), anchored(0.51, method="same")
    moved = [anchored(0.9, method="tuned", seed=seed) for seed in range(5)]
    rows = leaderboard.rows([base, same, *moved])
    notes = form.notes(rows)
    assert [note for note in notes if note.startswith("judge j drifted: it scores 1 of 2 anchor snippets")]
    assert "... and 2 results more with a judge that drifted." in notes
    assert form.DRIFTED in notes
    assert "drifted" in form.comma_separated(rows)
    assert form.DRIFTED in form.markdown(rows)
    (note,) = compare(side(base), side(moved[0])).notes
    assert "by up to 0.40" in note
    paths = {Path(f"{place}.json"): one for place, one in enumerate([base, *moved])}
    assert form.DRIFTED in report_data.head(paths, report_data.keys_of(paths))["notes"]
    assert any("drifted" in line for line in report_data.gains(paths)["notes"])


def test_nothing_is_said_where_nothing_drifted() -> None:
    base, same = anchored(0.5), anchored(0.51, method="same")
    assert not any("drift" in note for note in form.notes(leaderboard.rows([base, same])))
    assert "drift" not in form.comma_separated(leaderboard.rows([base, same]))
    assert compare(side(base), side(same)).notes == ()
