from collections.abc import Sequence

import numpy as np
import pytest

from goodvibe_bench import catalog
from goodvibe_bench.judge.cards import read_card
from goodvibe_bench.metric.calibration import (
    NoThreshold,
    _rate,
    best_threshold,
    crossfitted,
    deal,
    expected_calibration_error,
    strict_threshold,
)
from goodvibe_bench.metric.rate import design_effect, rate, variance_ratio
from goodvibe_bench.metric.scaling import apply, fit_isotonic
from goodvibe_bench.metric.student import quantile
from goodvibe_bench.types import Calibration

LABELS = [0, 0, 0, 0, 1, 1, 1, 1]
SCORES = [0.1, 0.2, 0.3, 0.6, 0.4, 0.7, 0.8, 0.9]


def called(labels: Sequence[int], p_unsafe: Sequence[float], threshold: float) -> tuple[float, float]:
    """TPR and FPR at a threshold."""
    unsafe, safe = (
        [p >= threshold for label, p in zip(labels, p_unsafe, strict=True) if label == one] for one in (1, 0)
    )
    return sum(unsafe) / len(unsafe), sum(safe) / len(safe)


def test_youdens_threshold_separates_separable_data() -> None:
    labels, p_unsafe = [0, 0, 0, 1, 1] * 2, [0.01, 0.02, 0.03, 0.07, 0.2] * 2
    found = crossfitted("cpp", labels, p_unsafe, range(10))
    assert 0.03 < found.threshold < 0.07
    assert (found.tpr.value, found.fpr.value, found.auc, found.n) == (1.0, 0.0, 1.0, 10)
    assert (found.tpr, found.fpr) == (rate(4, 4), rate(0, 6))
    assert found.language == "cpp"


def test_a_probability_at_the_threshold_is_called_unsafe() -> None:
    found = crossfitted("go", [0, 1] * 4 + [1], [0.25, 0.75] * 4 + [0.5], range(9), folds=9)
    assert found.tpr.value == 1.0, "the others of the last one choose 0.5"


def test_the_best_threshold_beats_every_other() -> None:
    truth, scores = np.array(LABELS), np.array(SCORES)

    def gain(cut: float) -> float:
        return float((scores[truth == 1] >= cut).mean() - (scores[truth == 0] >= cut).mean())

    assert gain(best_threshold(truth, scores)) == max(gain(cut) for cut in np.linspace(0, 1, 201)) == 0.75


def test_a_label_blind_judge_gains_nothing_at_any_threshold() -> None:
    found = crossfitted("swift", [0, 1, 0, 1], [0.4, 0.4, 0.4, 0.4], [*"aabb"])
    assert found.auc == 0.5
    assert found.tpr.value == found.fpr.value


def test_auc_is_the_share_of_well_ordered_pairs() -> None:
    ordered = [safe < unsafe for safe in SCORES[:4] for unsafe in SCORES[4:]]
    found = crossfitted("cpp", LABELS, SCORES, range(8))
    assert found.auc == pytest.approx(sum(ordered) / len(ordered)) == pytest.approx(15 / 16)


@pytest.mark.parametrize(
    ("truth", "scores", "error"),
    [
        ([0, 1], [0.0, 1.0], 0.0),
        ([0, 1, 0, 1], [0.95] * 4, 0.45),
        ([0] * 4, [1.0] * 4, 1.0),
        ([0, 0, 1, 1], [0.25, 0.25, 0.85, 0.85], 0.2),
    ],
)
def test_the_calibration_error_is_the_gap_between_share_and_probability(
    truth: list[int], scores: list[float], error: float
) -> None:
    assert expected_calibration_error(np.array(truth), np.array(scores)) == pytest.approx(error)


@pytest.mark.parametrize("labels", [[0, 0], [1, 1], []])
def test_calibration_needs_both_labels(labels: list[int]) -> None:
    with pytest.raises(ValueError, match="both labels"):
        crossfitted("cpp", labels, [0.5] * len(labels), range(len(labels)))


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_calibration_needs_finite_probabilities(bad: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        crossfitted("cpp", [0, 1], [0.5, bad], [*"ab"])


def test_certain_probabilities_are_divided_in_the_middle() -> None:
    assert best_threshold(np.array([0, 1]), np.array([0.0, 1.0])) == 0.5


def _pairs(n: int, gap: float, seed: int = 0) -> tuple[list[int], list[float], list[str]]:
    """`n` families of a safe and an unsafe item; unsafe logits are `gap` higher on average."""
    dice = np.random.default_rng(seed)
    labels = [0, 1] * n
    logits = dice.normal(size=2 * n) + gap * np.array(labels)
    return labels, (1 / (1 + np.exp(-logits))).tolist(), [str(place // 2) for place in range(2 * n)]


def test_crossfitted_rates_do_not_flatter_a_judge_that_guesses() -> None:
    gains = {"in sample": [], "crossfitted": []}
    for seed in range(40):
        labels, p_unsafe, families = _pairs(12, 0.0, seed)
        found = crossfitted("cpp", labels, p_unsafe, families, seed=seed)
        gains["crossfitted"].append(found.tpr.value - found.fpr.value)
        tpr, fpr = called(labels, p_unsafe, found.threshold)
        gains["in sample"].append(tpr - fpr)
    assert np.mean(gains["in sample"]) > 0.2
    assert np.mean(gains["crossfitted"]) < 0.07


def test_the_deployed_threshold_is_chosen_on_all_data() -> None:
    labels, p_unsafe, families = _pairs(40, 2.0)
    found = crossfitted("go", labels, p_unsafe, families)
    assert found.threshold == best_threshold(np.array(labels), np.array(p_unsafe))
    assert (found.folds, found.scaling, found.ece_scaled, found.n) == (5, None, None, 80)
    assert (found.tpr.n, found.fpr.n, found.tpr.method) == (40, 40, "wilson")


@pytest.mark.parametrize("kind", ["temperature", "isotonic"])
def test_scaling_mends_the_calibration_error_and_moves_the_threshold_with_it(kind) -> None:
    labels, p_unsafe, families = _pairs(200, 2.0)
    shifted = [p**6 for p in p_unsafe]
    found = crossfitted("go", labels, shifted, families, scaling=kind)
    assert found.scaling is not None
    assert found.ece_scaled is not None
    assert found.ece_scaled < found.ece / 2
    tpr, fpr = called(labels, apply(found.scaling, shifted).tolist(), found.threshold)
    assert tpr - fpr > 0.6
    assert found.auc == crossfitted("go", labels, shifted, families).auc


def test_the_scaled_error_of_a_guess_is_not_measured_where_it_was_fitted() -> None:
    labels, p_unsafe, families = _pairs(30, 0.0)
    scaling = fit_isotonic(labels, p_unsafe)
    within = expected_calibration_error(np.array(labels), apply(scaling, p_unsafe))
    found = crossfitted("go", labels, p_unsafe, families, scaling="isotonic")
    assert found.ece_scaled is not None
    assert within < 0.02 < found.ece_scaled


def test_a_limit_on_the_fpr_is_kept_by_the_deployed_threshold() -> None:
    labels, p_unsafe, families = _pairs(50, 2.0)
    found = crossfitted("go", labels, p_unsafe, families, max_fpr=0.1)
    tpr, fpr = called(labels, p_unsafe, found.threshold)
    assert fpr <= 0.1
    safe = sorted(p for label, p in zip(labels, p_unsafe, strict=True) if not label)
    lower_tpr, lower_fpr = called(labels, p_unsafe, safe[-6])
    assert lower_fpr > 0.1
    assert tpr >= lower_tpr - 0.1
    assert found.max_fpr == 0.1


def test_of_equal_tprs_the_least_fpr_is_taken() -> None:
    assert strict_threshold(np.array([0, 0, 0, 1]), np.array([0.1, 0.2, 0.3, 0.9]), 0.5) == pytest.approx(0.6)


def test_a_limit_that_only_silence_keeps_is_refused() -> None:
    with pytest.raises(NoThreshold, match=r"at or below 0\.1"):
        crossfitted("go", [0, 1] * 4, [0.9, 0.5] * 4, list("aabbccdd"), max_fpr=0.1)


def test_weights_undo_a_sample_that_was_not_even() -> None:
    labels, p_unsafe, families = _pairs(400, 1.5)
    whole = crossfitted("go", labels, p_unsafe, families)
    kept = [place for place, p in enumerate(p_unsafe) if p >= 0.6 or place // 2 % 4 == 0]
    chosen = [[column[place] for place in kept] for column in (labels, p_unsafe, families)]
    weights = [1.0 if p >= 0.6 else 4.0 for p in chosen[1]]
    found = crossfitted("go", *chosen, weights=weights)  # type: ignore[arg-type]
    plain = crossfitted("go", *chosen)  # type: ignore[arg-type]
    assert found.fpr.value == pytest.approx(whole.fpr.value, abs=0.07)
    assert found.tpr.value == pytest.approx(whole.tpr.value, abs=0.07)
    assert abs(found.auc - whole.auc) < 0.02 < abs(plain.auc - whole.auc)
    assert found.fpr.n < chosen[0].count(0)
    assert "effective" in found.fpr.method
    assert found.fpr.low < found.fpr.value < found.fpr.high


def test_equal_weights_change_nothing() -> None:
    labels, p_unsafe, families = _pairs(20, 1.0)
    one = crossfitted("go", labels, p_unsafe, families, scaling="temperature")
    assert one == crossfitted("go", labels, p_unsafe, families, scaling="temperature", weights=[1.0] * 40)


@pytest.mark.parametrize("seed", range(20))
def test_a_family_is_in_one_fold_and_every_rest_has_both_labels(seed: int) -> None:
    families = [*"aabbcdefgghij"]
    truth = np.array([0, 1, 0, 1, 0, 0, 0, 1, 1, 1, 0, 0, 0])
    place = deal(families, truth, 5, seed)
    assert all(len({fold for fold, own in zip(place, families, strict=True) if own == one}) == 1 for one in families)
    assert all(set(truth[place != fold].tolist()) == {0, 1} for fold in range(5))


def test_one_family_of_a_label_is_too_few() -> None:
    with pytest.raises(ValueError, match="two families"):
        crossfitted("go", [0, 0, 1, 1], [0.1, 0.2, 0.3, 0.4], [*"abcc"])


@pytest.mark.parametrize("bad", [0.0, -1.0, float("nan")])
def test_weights_must_be_above_zero(bad: float) -> None:
    with pytest.raises(ValueError, match="weights"):
        crossfitted("go", [0, 1, 0, 1], [0.1, 0.2, 0.3, 0.4], [*"aabb"], weights=[1, 1, 1, bad])


def test_cards_of_before_are_still_read() -> None:
    card = read_card(catalog.root() / "judges" / "smollm2-135m")
    assert card is not None
    assert all(found.threshold for found in card.calibration.values())
    old = card.calibration["cpp"].model_dump(mode="json", exclude={"scaling", "ece_scaled", "folds", "max_fpr"})
    assert Calibration.model_validate(old).threshold == card.calibration["cpp"].threshold


def _calls(rng: np.random.Generator, families: int, size: int, share: float, correlation: float) -> np.ndarray:
    """Return correlated calls [families * size]: a beta share a family, `share` in the mean."""
    spread = 1 / correlation - 1
    return rng.random((families, size)) < rng.beta(share * spread, (1 - share) * spread, (families, 1))


@pytest.mark.parametrize(("families", "size", "share"), [(30, 4, 0.8), (20, 3, 0.5), (60, 2, 0.9)])
def test_labels_that_share_families_give_a_rate_whose_interval_holds_the_truth(
    families: int, size: int, share: float
) -> None:
    rng, group = np.random.default_rng([families, size]), np.repeat(np.arange(families), size)
    drawn = [_calls(rng, families, size, share, 0.6).ravel() for _ in range(600)]
    found = [_rate(calls, np.ones(len(calls)), group) for calls in drawn]
    assert 0.92 <= np.mean([one.low <= share <= one.high for one in found]) <= 0.98
    assert np.mean([rate(int(calls.sum()), len(calls)).low <= share for calls in drawn]) < 0.95
    assert all(one.n < families * size for one in found)


def test_families_of_one_label_each_are_independent_labels() -> None:
    calls = np.array([True, True, False, True])
    assert _rate(calls, np.ones(4), np.array([7, 2, 5, 0])) == rate(3, 4)


def test_weights_of_one_size_tell_as_much_as_none() -> None:
    calls, group = np.arange(24) % 3 > 0, np.repeat(np.arange(8), 3)
    plain = _rate(calls, np.ones(24), group)
    assert _rate(calls, np.full(24, 7.0), group) == plain
    assert "24 labels in 8 families" in plain.method


def test_calls_that_never_differ_count_once_a_family() -> None:
    found = _rate(np.ones(40, dtype=bool), np.ones(40), np.repeat(np.arange(10), 4))
    assert (found.value, found.high) == (1.0, 1.0)
    assert found.n < 10


def test_one_family_says_next_to_nothing() -> None:
    assert _rate(np.array([True, False, True]), np.ones(3), np.zeros(3, dtype=int)).n == 1


@pytest.mark.parametrize("share", [0.0, 0.3, 0.5, 1.0])
def test_labels_of_equal_weight_have_the_design_effect_of_plain_rates(share: float) -> None:
    draw = np.random.default_rng(3)
    families = np.sort(draw.integers(0, 30, 120))
    calls = draw.random(30)[families] * 0.7 + draw.random(120) * 0.3 < share
    sizes, hits = np.bincount(families), np.bincount(families, calls)
    effect = design_effect((int(hit), int(size)) for hit, size in zip(hits, sizes, strict=True) if size)
    assert effect > 1
    freedom = 120**2 / (sizes**2).sum() - 1
    expected = int(120 / effect * (1.959963985 / quantile(float(freedom), 0.975)) ** 2)
    assert _rate(calls, np.ones(120), families).n == expected


def test_a_variance_ratio_is_the_largest_where_it_cannot_be_seen_and_never_below_one() -> None:
    assert [variance_ratio(6.0, *words, largest=4.0) for words in ((1, 2.0), (3, 0.0))] == [4.0, 4.0]
    assert [variance_ratio(whole, 3, 4.5, largest=4.0) for whole in (6.0, 1.0)] == [2.0, 1.0]
