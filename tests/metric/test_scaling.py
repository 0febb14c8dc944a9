import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goodvibe_bench.metric.scaling import apply, fit, fit_isotonic, fit_temperature
from goodvibe_bench.types import Scaling

KINDS = ["temperature", "isotonic"]
GRID = np.linspace(0, 1, 501)


def _drawn(slope: float, bias: float, n: int = 4000) -> tuple[np.ndarray, np.ndarray]:
    """Raw probabilities, and labels that follow sigmoid(slope * logit(p) + bias)."""
    dice = np.random.default_rng(0)
    raw = dice.uniform(0.02, 0.98, n)
    true = 1 / (1 + np.exp(-(slope * np.log(raw / (1 - raw)) + bias)))
    return (dice.uniform(size=n) < true).astype(int), raw


def test_the_temperature_and_the_bias_of_made_labels_are_found() -> None:
    found = fit_temperature(*_drawn(0.5, -1.0))
    assert (1 / found.temperature, found.bias) == (pytest.approx(0.5, abs=0.08), pytest.approx(-1.0, abs=0.12))


@pytest.mark.parametrize("kind", KINDS)
def test_a_scaling_brings_the_mean_to_the_share(kind) -> None:
    labels, raw = _drawn(2.0, 1.0)
    assert apply(fit(kind, labels, raw), raw).mean() == pytest.approx(labels.mean(), abs=0.01)


@pytest.mark.parametrize("kind", KINDS)
@given(
    rows=st.lists(st.tuples(st.integers(0, 1), st.floats(0, 1)), min_size=2, max_size=30).filter(
        lambda rows: {label for label, _ in rows} == {0, 1}
    )
)
@settings(max_examples=40, deadline=None)
def test_order_is_never_reversed_and_all_stays_a_probability(kind, rows) -> None:
    labels, raw = zip(*rows, strict=True)
    scaled = apply(fit(kind, labels, raw), np.sort(np.concatenate([GRID, raw])))
    assert np.isfinite(scaled).all()
    assert (np.diff(scaled) >= 0).all()
    assert scaled.min() >= 0
    assert scaled.max() <= 1


@pytest.mark.parametrize("kind", KINDS)
def test_certain_and_separable_probabilities_give_a_finite_scaling(kind) -> None:
    found = fit(kind, [0, 0, 1, 1], [0.0, 0.0, 1.0, 1.0])
    low, high = apply(found, [0.0, 1.0])
    assert 0 <= low < 0.5 < high <= 1


def test_a_judge_worse_than_chance_is_not_turned_round() -> None:
    found = fit_temperature([1, 1, 1, 0, 0, 0], [0.1, 0.2, 0.3, 0.7, 0.8, 0.9])
    assert found.temperature > 0
    assert np.ptp(apply(found, [0.1, 0.9])) < 0.01


def test_equal_probabilities_share_the_mean_of_their_labels() -> None:
    assert apply(fit_isotonic([0, 1, 1, 0], [0.4, 0.4, 0.4, 0.4]), [0.0, 0.4, 1.0]).tolist() == [0.5] * 3


@pytest.mark.parametrize("kind", KINDS)
def test_a_weight_of_two_is_two_rows(kind) -> None:
    once = fit(kind, [0, 1, 0, 1] * 100, [0.2, 0.3, 0.5, 0.9] * 100, [1, 2, 1, 1] * 100)
    twice = fit(kind, [0, 1, 1, 0, 1] * 100, [0.2, 0.3, 0.3, 0.5, 0.9] * 100)
    assert apply(once, GRID) == pytest.approx(apply(twice, GRID), abs=5e-3)


def test_no_scaling_changes_nothing() -> None:
    assert fit("none", [0, 1], [0.1, 0.2]) is None
    assert apply(None, [0.1, 1.0]).tolist() == [0.1, 1.0]


@pytest.mark.parametrize("kind", KINDS)
def test_one_label_alone_fits_no_scaling(kind) -> None:
    with pytest.raises(ValueError, match="both labels"):
        fit(kind, [1, 1], [0.1, 0.2])


def test_a_scaling_survives_json() -> None:
    found = fit_isotonic([0, 1, 0, 1], [0.2, 0.3, 0.5, 0.9])
    assert Scaling.model_validate_json(found.model_dump_json()) == found
