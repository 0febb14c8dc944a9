from typing import Any

from goodvibe_bench.result import instrument
from goodvibe_bench.result.pool import base_of, entries
from goodvibe_bench.result.side_by_side import View, flag, views
from goodvibe_bench.types import Outcome, Result
from tests.result.builders import outcomes, result, two_judges, with_other

NO, YES = Outcome.INSECURE, Outcome.SECURE
BEFORE = two_judges(with_other(outcomes(insecure=20), [NO] * 20))


def _after(first: int, second: int, **words: Any) -> Result:
    rows = with_other(outcomes(secure=first, insecure=20 - first), [YES] * second + [NO] * (20 - second))
    return two_judges(rows, method="tuned", **words)


def _views(after: Result, before: Result | None = None) -> list[View]:
    pairs = list(zip(before.outcomes, after.outcomes, strict=True)) if before else []
    return views(instrument.judges(after), after.outcomes, pairs)


def _flag(after: Result, before: Result = BEFORE) -> str:
    return flag(_views(after, before))


def _base(after: Result, known: list[Result]) -> list[Result]:
    pools = entries([*known, after])
    own = next(pool for pool in pools if after in pool.results)
    base = base_of(own, pools)
    return list(base.results) if base else []


def test_a_gain_that_one_judge_sees_is_flagged_and_one_that_all_or_none_see_is_not() -> None:
    assert _flag(_after(15, 0)) == "gain seen by j only"
    assert _flag(_after(0, 15)) == "gain seen by k only"
    assert _flag(_after(15, 15)) == ""
    assert _flag(_after(1, 1)) == ""


def test_a_judge_that_cannot_read_the_language_is_no_witness_against_a_gain() -> None:
    blind = with_other(outcomes(insecure=20), [Outcome.UNJUDGED] * 20)
    after = with_other(outcomes(secure=15, insecure=5), [Outcome.UNJUDGED] * 20)
    seen, other = _views(two_judges(after, method="tuned"), two_judges(blind))
    assert seen.gain is not None
    assert (other.gain, other.harm) == (None, None)
    assert flag([seen, other]) == ""


def test_prompts_of_one_family_are_not_independent() -> None:
    families = [row | {"family": "one"} for row in _after(15, 0).outcomes]
    after = _after(15, 0).model_copy(update={"outcomes": families})
    assert _flag(after) == ""


def test_agreement_is_over_usable_samples() -> None:
    rows = with_other(outcomes(secure=4, insecure=4, unusable=8), [YES] * 3 + [NO] * 5 + [Outcome.UNUSABLE] * 8)
    _, second = _views(two_judges(rows))
    assert second.agreement is not None
    assert (second.agreement.n, second.agreement.disagreement.value) == (8, 1 / 8)


def test_no_usable_sample_gives_no_agreement() -> None:
    rows = with_other(outcomes(unusable=2), [Outcome.UNUSABLE] * 2)
    assert _views(two_judges(rows))[1].agreement is None


def test_a_lone_judge_has_no_views() -> None:
    rows = outcomes(secure=1)
    assert _views(result(rows)) == []


def test_the_base_has_the_same_model_tasks_and_judges() -> None:
    after = _after(15, 0, seed=1)
    same_seed = BEFORE.model_copy(update={"seed": 1})
    assert _base(after, [BEFORE, same_seed]) == [BEFORE, same_seed]
    assert _base(BEFORE, [same_seed]) == []
    other = [
        BEFORE.model_copy(update={"task_hashes": {"cpp": "1"}}),
        BEFORE.model_copy(update={"other_judges": ({"name": "k", "digest": "new"},)}),
        BEFORE.model_copy(update={"model": BEFORE.model.model_copy(update={"id": "larger"})}),
    ]
    assert _base(after, other) == []


def test_a_base_with_other_settings_will_do_where_there_is_none_with_the_same() -> None:
    after = _after(15, 0, config={"limit": 20})
    assert _base(after, [BEFORE]) == [BEFORE]
    exact = BEFORE.model_copy(update={"config": {"limit": 20}})
    assert _base(after, [BEFORE, exact]) == [exact]


def test_a_gain_that_comes_with_more_insecure_code_is_flagged() -> None:
    unusable = outcomes(unusable=30)
    before = two_judges(with_other(unusable, [Outcome.UNUSABLE] * 30))
    rows = with_other(outcomes(secure=30), [YES] * 15 + [NO] * 15)
    assert _flag(two_judges(rows, method="tuned"), before) == "more insecure code too, by k"
