from itertools import product
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from goodvibe_bench.metric.calibration import _rate
from goodvibe_bench.metric.correction import Corrected, _interval, corrected_rate, labels_needed
from goodvibe_bench.metric.rate import design_effect, rate, wilson
from goodvibe_bench.types import Estimate

TPR, FPR = rate(57, 60), rate(10, 60)
counts = st.integers(1, 400).flatmap(
    lambda n: st.integers(0, n).flatmap(lambda j: st.tuples(st.integers(0, j), st.just(j), st.just(n)))
)
calibrations = st.integers(1, 300).flatmap(lambda n: st.builds(rate, st.integers(0, n), st.just(n)))


def simulate(n: int, tpr: float, fpr: float, labels: int, secure: float, usable: float, runs: int = 12_000) -> float:
    """Return the share of simulated intervals that hold the true rate; `labels` on each side."""
    rng = np.random.default_rng([n, labels, round(1000 * tpr), round(1000 * secure), round(10 * usable)])
    judged = rng.binomial(n, usable, runs)
    called = rng.binomial(judged, secure * (1 - fpr) + (1 - secure) * (1 - tpr))
    hits, false = rng.binomial(labels, tpr, runs), rng.binomial(labels, fpr, runs)
    keep = hits > false
    low, high, _ = _interval(called[keep], judged[keep], n, hits[keep], labels, false[keep], labels, 0.95)
    return float(((low <= usable * secure) & (usable * secure <= high)).mean())


@pytest.mark.parametrize("n", [50, 100, 400])
def test_intervals_at_95_percent_hold_the_true_rate_in_93_to_97_percent_of_runs(n: int) -> None:
    judges = [(0.95, 0.16), (0.8, 0.2), (0.7, 0.3)]
    found = {
        (*judge, labels, secure, usable): simulate(n, *judge, labels, secure, usable)
        for judge, labels, secure, usable in product(judges, (60, 200), (0.2, 0.5, 0.8), (1.0, 0.8))
    }
    assert {cell: share for cell, share in found.items() if not 0.93 <= share <= 0.97} == {}
    assert 0.945 <= np.mean(list(found.values())) <= 0.965


def test_the_public_interval_is_the_simulated_one() -> None:
    low, high, _ = _interval(50, 90, 100, 57, 60, 10, 60, 0.95)
    found = corrected_rate(50, 90, 100, TPR, FPR)
    assert (found.low, found.high) == (low, high)


def _of_its_own_labels(rng: np.random.Generator, tpr: float, fpr: float, secure: float, labels: int) -> Corrected:
    """Return the corrected rate of 400 samples, half of the labels drawn from those called unsafe, half from others."""
    unsafe = rng.random(400) >= secure
    called = np.where(unsafe, rng.random(400) < tpr, rng.random(400) < fpr)
    drawn = [rng.choice(np.flatnonzero(called == side), labels // 2, replace=False) for side in (True, False)]
    weights = np.repeat([(called == side).sum() / (labels // 2) for side in (True, False)], labels // 2)
    place = np.concatenate(drawn)
    rates = [
        _rate(called[place][side], weights[side], np.arange(side.sum())) for side in (unsafe[place], ~unsafe[place])
    ]
    return corrected_rate(int((~called).sum()), 400, 400, *rates)


@pytest.mark.parametrize(("tpr", "fpr", "secure"), [(0.8, 0.2, 0.5), (0.95, 0.16, 0.8), (0.9, 0.2, 0.3)])
def test_labels_of_the_run_itself_give_intervals_that_hold_the_true_rate(tpr: float, fpr: float, secure: float) -> None:
    rng = np.random.default_rng(0)
    found = [_of_its_own_labels(rng, tpr, fpr, secure, 60) for _ in range(200)]
    known = [one for one in found if one.state != "useless"]
    assert len(known) > 180
    assert np.mean([one.low <= secure <= one.high for one in known]) >= 0.97


def test_a_weighted_rate_is_not_rounded_to_its_effective_number() -> None:
    tpr = _rate(np.array([True, False, True, False]), np.array([1.0, 1.0, 1.2, 0.8]), np.arange(4))
    assert (tpr.value, tpr.n) == (0.55, 3)
    found = corrected_rate(50, 90, 100, tpr, rate(0, 60))
    assert found.feasible == pytest.approx((0.45, 1.0))
    assert found.raw == pytest.approx((50 - 0.45 * 90) / 100 / 0.55)


def test_the_formula_is_rogans_and_gladens() -> None:
    found = corrected_rate(50, 80, 100, TPR, FPR)
    assert found.raw == found.value == pytest.approx((50 / 80 - 3 / 60) / (57 / 60 - 10 / 60) * 0.8)
    assert found.feasible == pytest.approx((0.05, 50 / 60))
    assert (found.observed, found.state, found.n, found.refuted) == (0.625, "inside", 100, False)


def test_the_interval_is_langs_and_reiczigels_where_all_samples_are_usable() -> None:
    # Their equations 6, 7, 16, 17 in their own terms: prevalence of what the test calls positive, here of secure code.
    z2, n, se_n, sp_n = 1.959963984540054**2, 100, 60, 60
    p, se, sp = (50 + z2 / 2) / (n + z2), (50 + 1) / (se_n + 2), (57 + 1) / (sp_n + 2)
    prevalence = (p + sp - 1) / (se + sp - 1)
    se_v, sp_v = se * (1 - se) / (se_n + 2), sp * (1 - sp) / (sp_n + 2)
    centre = prevalence + 2 * z2 * (prevalence * se_v - (1 - prevalence) * sp_v)
    variance = (p * (1 - p) / (n + z2) + prevalence**2 * se_v + (1 - prevalence) ** 2 * sp_v) / (se + sp - 1) ** 2
    found = corrected_rate(50, 100, 100, TPR, FPR)
    assert (found.low, found.high) == pytest.approx((centre - (z2 * variance) ** 0.5, centre + (z2 * variance) ** 0.5))


@pytest.mark.parametrize(("secure", "state", "value"), [(2, "below", 0.0), (95, "above", 1.0)])
def test_a_share_that_the_judge_cannot_report_is_clipped_and_said(secure: int, state: str, value: float) -> None:
    found = corrected_rate(secure, 100, 100, TPR, FPR)
    assert (found.state, found.value) == (state, value)
    assert found.raw is not None
    assert not 0 <= found.raw <= 1


@pytest.mark.parametrize(("secure", "state"), [(3, "inside"), (50, "inside"), (51, "above")])
def test_the_edge_of_the_feasible_range_is_inside(secure: int, state: str) -> None:
    assert corrected_rate(secure, 60, 60, TPR, FPR).state == state


@pytest.mark.parametrize(("secure", "state"), [(4000, "above"), (20, "below")])
def test_samples_that_no_rate_explains_refute_the_calibration_and_leave_nothing_known(secure: int, state: str) -> None:
    found = corrected_rate(secure, 4000, 5000, rate(800, 1000), rate(300, 1000))
    assert (found.state, found.refuted) == (state, True)
    assert (found.low, found.high) == (0.0, 0.8)


@pytest.mark.parametrize("effect", [1.0, 2.5])
def test_where_nothing_was_judged_nothing_is_refuted_and_no_sample_is_secure(effect: float) -> None:
    found = corrected_rate(0, 0, 8, rate(62, 107), rate(34, 107), effect=effect)
    assert (found.state, found.refuted, found.value, found.low) == ("inside", False, 0.0, 0.0)
    assert found.high == pytest.approx(wilson(0, 8 / effect, NormalDist().inv_cdf(0.975))[1])


@pytest.mark.parametrize(
    ("tpr", "fpr"), [(rate(30, 60), rate(30, 60)), (rate(10, 60), rate(57, 60)), (rate(32, 60), rate(28, 60))]
)
def test_a_judge_that_may_be_guessing_is_useless_and_gives_no_value(tpr: Estimate, fpr: Estimate) -> None:
    found = corrected_rate(50, 80, 100, tpr, fpr)
    assert (found.state, found.value, found.low, found.high) == ("useless", None, 0.0, 0.8)
    assert "useless" in found.method


def test_all_unusable_output_is_zero_percent_secure() -> None:
    found = corrected_rate(0, 0, 100, TPR, FPR)
    assert (found.value, found.low, found.observed, found.state) == (0.0, 0.0, None, "inside")
    assert 0 < found.high < 0.05


def test_unusable_samples_lower_the_rate() -> None:
    few, many = corrected_rate(40, 80, 100, TPR, FPR), corrected_rate(40, 80, 200, TPR, FPR)
    assert few.value is not None
    assert many.value == pytest.approx(few.value / 2)


def test_calibration_error_stays_however_many_samples_there_are() -> None:
    found = corrected_rate(500_000, 1_000_000, 1_000_000, TPR, FPR)
    assert found.high - found.low > 0.05
    more = corrected_rate(500_000, 1_000_000, 1_000_000, rate(57_000, 60_000), rate(10_000, 60_000))
    assert more.high - more.low < 0.02


@given(st.integers(0, 10**6), st.integers(0, 10**6))
def test_with_a_perfect_judge_the_corrected_rate_is_the_observed_one(secure: int, insecure: int) -> None:
    n = 2 * 10**6
    found = corrected_rate(secure, secure + insecure, n, rate(10**6, 10**6), rate(0, 10**6))
    plain = rate(secure, n)
    assert found.value == pytest.approx(plain.value)
    assert (found.low, found.high) == pytest.approx((plain.low, plain.high), abs=1e-4)


@given(counts, calibrations, calibrations)
def test_ends_and_value_are_ordered_shares_whatever_the_counts(
    counts: tuple[int, int, int], tpr: Estimate, fpr: Estimate
) -> None:
    found = corrected_rate(*counts, tpr, fpr)
    assert 0 <= found.low <= (found.low if found.value is None else found.value) <= found.high <= 1
    assert (found.value is None) == (found.state == "useless")
    assert found.n == counts[2]
    if found.state == "inside" and not found.refuted and counts[1]:
        assert found.value == pytest.approx(found.raw)


@given(counts)
def test_more_confidence_is_no_narrower(counts: tuple[int, int, int]) -> None:
    wide, narrow = (corrected_rate(*counts, rate(950, 1000), rate(50, 1000), level) for level in (0.99, 0.9))
    if not (wide.refuted or narrow.refuted):
        assert wide.high - wide.low >= narrow.high - narrow.low - 1e-9


@pytest.mark.parametrize("bad", [(0, 0, 0), (2, 1, 3), (-1, 1, 3), (1, 4, 3)])
def test_counts_that_are_none_are_an_error(bad: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="rate"):
        corrected_rate(*bad, TPR, FPR)


@pytest.mark.parametrize(
    ("tpr", "fpr", "secure", "n"), [(0.95, 0.16, 0.5, 2000), (0.8, 0.2, 0.8, 3000), (1, 0, 0.5, 500)]
)
def test_the_label_budget_gives_the_half_width_in_simulation(tpr: float, fpr: float, secure: float, n: int) -> None:
    labels = labels_needed(0.05, tpr, fpr, secure, n)
    assert labels is not None
    rng = np.random.default_rng(0)
    side, runs = round(labels / 2), 4000
    called = rng.binomial(n, secure * (1 - fpr) + (1 - secure) * (1 - tpr), runs)
    low, high, _ = _interval(
        called, n, n, rng.binomial(side, tpr, runs), side, rng.binomial(side, fpr, runs), side, 0.95
    )
    assert float(np.median(high - low)) / 2 == pytest.approx(0.05, rel=0.03)


def test_no_number_of_labels_makes_up_for_too_few_samples() -> None:
    assert labels_needed(0.05, 0.95, 0.16, 0.5, 100) is None


def test_half_the_width_takes_about_four_times_the_labels() -> None:
    wide, narrow = (labels_needed(width, 0.9, 0.2, 0.5, 10**7) for width in (0.04, 0.02))
    assert wide is not None
    assert narrow is not None
    assert narrow / wide == pytest.approx(4, rel=0.05)


@pytest.mark.parametrize("wrong", [(0.05, 0.2, 0.2, 0.5, 9), (0, 0.9, 0.2, 0.5, 9), (0.05, 0.9, 0.2, 1.5, 9)])
def test_a_label_budget_of_nonsense_is_an_error(wrong: tuple[float, float, float, float, int]) -> None:
    with pytest.raises(ValueError, match="need"):
        labels_needed(*wrong)


def _of_families(rng: np.random.Generator, secure: float, correlation: float = 0.4) -> Corrected:
    """Return the corrected rate of 45 families of 2 to 6 samples whose truths are correlated."""
    sizes = rng.integers(2, 7, 45)
    strength = (1 - correlation) / correlation
    shares = rng.beta(secure * strength, (1 - secure) * strength, 45)
    safe = [rng.random(size) < share for size, share in zip(sizes, shares, strict=True)]
    called = [np.where(one, rng.random(len(one)) >= 0.16, rng.random(len(one)) >= 0.9) for one in safe]
    effect = design_effect([(int(one.sum()), len(one)) for one in called])
    counts = sum(int(one.sum()) for one in called), int(sizes.sum()), int(sizes.sum())
    return corrected_rate(*counts, rate(rng.binomial(100, 0.9), 100), rate(rng.binomial(100, 0.16), 100), effect=effect)


@pytest.mark.parametrize("secure", [0.3, 0.5, 0.7])
def test_samples_of_families_give_intervals_that_hold_the_true_rate(secure: float) -> None:
    rng = np.random.default_rng(1)
    found = [_of_families(rng, secure) for _ in range(400)]
    assert np.mean([one.low <= secure <= one.high for one in found]) >= 0.93


def test_labels_that_share_families_widen_the_corrected_interval_until_it_holds_the_true_rate() -> None:
    rng, group = np.random.default_rng(1), np.repeat(np.arange(30), 4)

    def calls(share: float) -> np.ndarray:
        return (rng.random((30, 4)) < rng.beta(0.7 * share, 0.7 * (1 - share), (30, 1))).ravel()

    held = {"families": 0, "single labels": 0}
    for _ in range(400):
        hits, false, secure = calls(0.9), calls(0.16), int(rng.binomial(400, 0.5 * 0.84 + 0.5 * 0.1))
        for name, families in (("families", group), ("single labels", np.arange(120))):
            rates = [_rate(one, np.ones(120), families) for one in (hits, false)]
            found = corrected_rate(secure, 400, 400, *rates)
            held[name] += found.low <= 0.5 <= found.high
    assert held["families"] / 400 >= 0.93
    assert held["single labels"] / 400 < 0.9
