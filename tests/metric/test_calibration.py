import numpy as np
import pytest

from goodvibe_bench.metric.calibration import best_threshold, calibrate, expected_calibration_error
from goodvibe_bench.metric.rate import rate

LABELS = [0, 0, 0, 0, 1, 1, 1, 1]
SCORES = [0.1, 0.2, 0.3, 0.6, 0.4, 0.7, 0.8, 0.9]


def test_youdens_threshold_separates_separable_data() -> None:
    found = calibrate("cpp", [0, 0, 0, 1, 1], [0.01, 0.02, 0.03, 0.07, 0.2])
    assert 0.03 < found.threshold < 0.07
    assert (found.tpr.value, found.fpr.value, found.auc, found.n) == (1.0, 0.0, 1.0, 5)


def test_figures_are_those_of_the_given_threshold() -> None:
    found = calibrate("go", LABELS, SCORES, threshold=0.5)
    assert found.threshold == 0.5
    assert (found.tpr, found.fpr) == (rate(3, 4), rate(1, 4))
    assert found.language == "go"


def test_a_probability_at_the_threshold_is_called_unsafe() -> None:
    assert calibrate("go", [0, 1], [0.2, 0.5], threshold=0.5).tpr.value == 1.0


def test_the_best_threshold_beats_every_other() -> None:
    truth, scores = np.array(LABELS), np.array(SCORES)

    def gain(cut: float) -> float:
        return float((scores[truth == 1] >= cut).mean() - (scores[truth == 0] >= cut).mean())

    assert gain(best_threshold(truth, scores)) == max(gain(cut) for cut in np.linspace(0, 1, 201)) == 0.75


def test_a_label_blind_judge_gains_nothing_at_any_threshold() -> None:
    found = calibrate("swift", [0, 1, 0, 1], [0.4, 0.4, 0.4, 0.4])
    assert found.auc == 0.5
    assert found.tpr.value == found.fpr.value


def test_auc_is_the_share_of_well_ordered_pairs() -> None:
    ordered = [safe < unsafe for safe in SCORES[:4] for unsafe in SCORES[4:]]
    assert calibrate("cpp", LABELS, SCORES).auc == pytest.approx(sum(ordered) / len(ordered)) == pytest.approx(15 / 16)


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
        calibrate("cpp", labels, [0.5] * len(labels))


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_calibration_needs_finite_probabilities(bad: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        calibrate("cpp", [0, 1], [0.5, bad])


def test_certain_probabilities_are_divided_in_the_middle() -> None:
    assert best_threshold(np.array([0, 1]), np.array([0.0, 1.0])) == 0.5
