import math

import pytest

from goodvibe_bench.metric.correction import corrected_rate
from goodvibe_bench.result.correct import corrected, keys
from tests.result.builders import calibration, outcomes

GOOD, USELESS = calibration(), calibration(tpr=51, fpr=50)
CPP = outcomes(secure=30, insecure=20, unusable=10)
GO = outcomes(secure=5, insecure=15, task="go")


def test_one_languages_rate_is_the_metrics() -> None:
    found, expected = corrected(CPP, {"cpp": GOOD}), corrected_rate(30, 50, 60, GOOD.tpr, GOOD.fpr)
    assert (found.value, found.low, found.high) == (expected.value, expected.low, expected.high)
    assert (found.n, found.state, found.feasible) == (60, "inside", expected.feasible)


def test_several_languages_are_weighted_by_n_and_half_widths_add_in_quadrature() -> None:
    found = corrected(CPP + GO, {"cpp": GOOD, "go": calibration("go", tpr=80, fpr=5)})
    cpp = corrected(CPP, {"cpp": GOOD})
    go = corrected(GO, {"go": calibration("go", tpr=80, fpr=5)})
    assert found.value is not None
    assert found.low is not None
    assert (cpp.value, go.value) != (None, None)
    assert found.value == pytest.approx(0.75 * (cpp.value or 0) + 0.25 * (go.value or 0))
    half = math.hypot(0.75 * ((cpp.value or 0) - (cpp.low or 0)), 0.25 * ((go.value or 0) - (go.low or 0)))
    assert found.value - found.low == pytest.approx(half)
    assert found.feasible is None


def test_a_language_without_calibration_gives_no_rate_and_no_guess() -> None:
    found = corrected(CPP + GO, {"cpp": GOOD})
    assert (found.value, found.low, found.high, found.state) == (None, None, None, "uncalibrated")
    assert found.states == {"cpp": "inside", "go": "uncalibrated"}
    assert keys(found)["corrected_rate_interval,none"] is None


def test_a_useless_language_leaves_no_value_and_adds_its_whole_range() -> None:
    alone, found = corrected(CPP, {"cpp": GOOD}), corrected(CPP + GO, {"cpp": GOOD, "go": USELESS})
    assert (found.value, found.state) == (None, "useless")
    assert found.low == pytest.approx(0.75 * (alone.low or 0))
    assert found.high == pytest.approx(0.75 * (alone.high or 0) + 0.25)


def test_a_rate_that_no_truth_explains_is_refuted() -> None:
    found = corrected(outcomes(secure=100), {"cpp": calibration(tpr=99, fpr=60)})
    assert (found.value, found.state) == (None, "refuted")


def test_samples_of_one_prompt_count_all_and_widen_nothing_away() -> None:
    same = corrected([*CPP, *(row | {"attempt": 1} for row in CPP)], {"cpp": GOOD})
    alone = corrected(CPP, {"cpp": GOOD})
    assert (same.value, same.n) == (pytest.approx(alone.value), 2 * alone.n)
    assert (same.low, same.high) == pytest.approx((alone.low, alone.high), abs=0.002)
    turned = corrected([*CPP, *(row | {"attempt": 1, "outcome": "insecure"} for row in CPP)], {"cpp": GOOD})
    assert turned.value is not None
    assert alone.value is not None
    assert turned.value < alone.value


def test_the_mean_of_nothing_is_an_error() -> None:
    with pytest.raises(ValueError, match="a rate of nothing"):
        corrected([], {})
