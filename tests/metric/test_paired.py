import gc
from collections.abc import Iterator
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.stats import binomtest
from statsmodels.stats.multitest import multipletests

from goodvibe_bench.metric.paired import (
    PairedDifference,
    _interval,
    holm,
    non_inferior,
    over_seeds,
    paired_difference,
    prompts_needed,
    sign_flip,
    sign_flip_bounds,
)

Pairs = list[tuple[str, bool, bool]]
some_pairs = st.lists(st.tuples(st.sampled_from("abcdefgh"), st.booleans(), st.booleans()), min_size=1, max_size=40)


def alone(gained: int, lost: int, both: int, neither: int) -> Pairs:
    """Prompts of one family each."""
    rows = [(False, True)] * gained + [(True, False)] * lost + [(True, True)] * both + [(False, False)] * neither
    return [(str(index), *row) for index, row in enumerate(rows)]


def simulated(
    families: int, size: int, gain: float, loss: float, correlation: float, runs: int = 8000
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return low, high and design effect of `runs` data sets whose families share their chances of change."""
    rng = np.random.default_rng([families, size, round(1000 * gain), round(1000 * loss), round(100 * correlation)])
    chances = np.array([gain, loss, 1 - gain - loss])
    shares = np.broadcast_to(chances, (runs, families, 3))
    if correlation:
        weights = rng.gamma(shares * (1 - correlation) / correlation) + 1e-300
        shares = weights / weights.sum(-1, keepdims=True)
    drawn = rng.random((runs, families, size))
    up = drawn < shares[..., :1]
    down = ~up & (drawn < shares[..., :2].sum(-1, keepdims=True))
    net = up.sum(-1) - down.sum(-1)
    return _interval(net, np.full(families, size), up.sum((-1, -2)), down.sum((-1, -2)), 0.95)


@pytest.mark.parametrize(
    ("families", "size", "correlation"), [(240, 1, 0.0), (60, 4, 0.0), (60, 4, 0.2), (80, 3, 0.4), (20, 3, 0.1)]
)
def test_no_change_is_called_a_drop_in_at_most_two_and_a_half_percent(
    families: int, size: int, correlation: float
) -> None:
    low, high, _ = simulated(families, size, 0.125, 0.125, correlation)
    assert (high < 0).mean() <= 0.025 + 0.0036, "two Monte Carlo errors beyond 2.5%"
    assert (low > 0).mean() <= 0.025 + 0.0036


@pytest.mark.parametrize(
    ("families", "size", "correlation", "caught"), [(240, 1, 0.0, 0.97), (80, 3, 0.1, 0.94), (60, 4, 0.15, 0.9)]
)
def test_a_drop_of_15_points_in_240_prompts_is_caught(
    families: int, size: int, correlation: float, caught: float
) -> None:
    _, high, _ = simulated(families, size, 0.05, 0.2, correlation)
    assert (high < -0.02).mean() >= caught


@pytest.mark.parametrize(("gain", "loss"), [(0.0125, 0.0125), (0.05, 0.2), (0.0, 0.1), (0.02, 0.3)])
@pytest.mark.parametrize(("families", "size", "correlation"), [(240, 1, 0.0), (60, 4, 0.1), (20, 3, 0.1), (10, 4, 0.2)])
def test_intervals_at_95_percent_hold_the_true_difference(
    gain: float, loss: float, families: int, size: int, correlation: float
) -> None:
    low, high, _ = simulated(families, size, gain, loss, correlation, runs=4000)
    assert ((low <= gain - loss) & (gain - loss <= high)).mean() >= 0.935


def test_the_interval_of_single_prompts_is_tangos() -> None:
    # The score at each end, with the likelihood under that end maximised by search and not by Tango's formula.
    found = paired_difference(alone(12, 2, 20, 16))
    assert (found.value, found.method, found.design_effect) == (0.2, "tango", 1.0)
    for end in (found.low, found.high):
        q = _root_of_the_constrained_likelihood(12, 2, 50, end)
        assert abs(12 - 2 - 50 * end) / (50 * (2 * q + end * (1 - end))) ** 0.5 == pytest.approx(1.959964, abs=1e-6)


def _root_of_the_constrained_likelihood(gained: int, lost: int, n: int, difference: float) -> float:
    """Return the share lost that maximises the likelihood under `difference`, by search."""
    q = np.linspace(max(0, -difference) + 1e-9, (1 - difference) / 2 - 1e-9, 2_000_001)
    same = np.maximum(1 - 2 * q - difference, 1e-12)
    return float(q[np.argmax(gained * np.log(q + difference) + lost * np.log(q) + (n - gained - lost) * np.log(same))])


def test_no_change_at_all_is_not_certain() -> None:
    z2 = 1.959963984540054**2
    found = paired_difference(alone(0, 0, 30, 70))
    assert (found.low, found.high) == pytest.approx((-z2 / (100 + z2), z2 / (100 + z2)))
    assert (found.p_mcnemar, found.p_families) == (1.0, 1.0)
    grouped = paired_difference([(str(index // 4), True, True) for index in range(100)])
    assert grouped.high > found.high, "families of four are fewer facts"


def test_families_that_change_together_count_less() -> None:
    pairs = alone(5, 15, 20, 20)
    together = [(str(index // 5), before, after) for index, (_, before, after) in enumerate(pairs)]
    one, many = paired_difference(together), paired_difference(pairs)
    assert (one.value, one.families, one.n) == (many.value, 12, 60)
    assert one.design_effect > 3
    assert one.high > many.high
    assert one.p_families > many.p_families
    assert one.p_mcnemar == many.p_mcnemar


def test_one_family_of_several_prompts_says_nothing() -> None:
    found = paired_difference([("a", True, False)] * 10)
    assert (found.low, found.high, found.p_families, found.value) == (-1.0, 1.0, 1.0, -1.0)


def test_one_dominant_family_says_little() -> None:
    found = paired_difference([("a", True, False)] * 500 + [("b", True, True)])
    assert (found.low, found.high) == pytest.approx((-1.0, 1.0), abs=0.01)


def test_the_sign_flip_test_counts_every_flip() -> None:
    sums = np.array([3, 0, 2, 1, 1, 4])
    signs = np.array(np.meshgrid(*[[-1, 1]] * 6)).reshape(6, -1).T
    for flips in signs:
        observed = abs(flips @ sums)
        assert sign_flip(flips * sums) == pytest.approx((np.abs(signs @ sums) >= observed).mean())
    assert sign_flip(np.array([0, 0])) == 1.0


@given(st.lists(st.integers(-9, 9), min_size=1, max_size=40))
def test_the_sign_flip_test_lies_between_its_bounds(sums: list[int]) -> None:
    low, high = sign_flip_bounds(np.array(sums))
    assert low <= sign_flip(np.array(sums)) <= high


@given(st.integers(0, 30), st.integers(0, 30), st.integers(0, 30))
def test_single_prompts_give_mcnemars_p_twice(gained: int, lost: int, same: int) -> None:
    found = paired_difference(alone(gained, lost, same, 1))
    changed = gained + lost
    assert found.p_families == pytest.approx(found.p_mcnemar)
    assert found.p_mcnemar == pytest.approx(binomtest(gained, changed).pvalue if changed else 1.0)


@given(some_pairs, st.randoms())
def test_order_does_not_count_and_swapping_the_methods_flips_the_sign(pairs: Pairs, random: Random) -> None:
    found = paired_difference(pairs)
    random.shuffle(pairs)
    assert paired_difference(pairs) == found
    back = paired_difference([(family, after, before) for family, before, after in pairs])
    assert (back.value, back.gained, back.lost) == (-found.value, found.lost, found.gained)
    assert (back.low, back.high) == pytest.approx((-found.high, -found.low), abs=1e-9)
    assert back.p_families == pytest.approx(found.p_families)
    assert -1 <= found.low <= found.value <= found.high <= 1
    assert found.low < found.high
    assert 0 < found.p_families <= 1
    assert found.design_effect >= 1


@pytest.mark.parametrize("confidence", [0.0, 1.0])
def test_a_difference_of_nothing_is_an_error(confidence: float) -> None:
    with pytest.raises(ValueError, match="a difference of nothing"):
        paired_difference([])
    with pytest.raises(ValueError, match="confidence"):
        paired_difference([("a", True, True)], confidence)


def test_holm_multiplies_the_smallest_most_and_keeps_the_names() -> None:
    # Holm 1979: 3 * 0.01, then 2 * 0.02, then 0.03, never less than the one before.
    found = holm({"java": 0.03, "cpp": 0.01, "go": 0.02})
    assert list(found) == ["java", "cpp", "go"]
    assert list(found.values()) == pytest.approx([0.04, 0.03, 0.04])


@pytest.mark.parametrize("wrong", [{}, {"cpp": 1.5}, {"cpp": float("nan")}])
def test_holm_needs_probabilities(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"p-values|probabilities"):
        holm(wrong)


def between(low: float, high: float) -> PairedDifference:
    found = paired_difference(alone(5, 5, 20, 20))
    return found.model_copy(update={"value": (low + high) / 2, "low": low, "high": high})


@pytest.mark.parametrize(
    ("low", "high", "margin", "answer"),
    [
        (-0.20, -0.03, 0.02, "dropped"),
        (-0.20, -0.02, 0.02, "inconclusive"),
        (-0.02, 0.10, 0.02, "inconclusive"),
        (-0.019, 0.10, 0.02, "kept"),
        (-0.019, -0.001, 0.02, "kept"),
        (-0.20, -0.001, 0.0, "dropped"),
        (-0.10, 0.10, 0.0, "inconclusive"),
        (0.001, 0.10, 0.0, "kept"),
    ],
)
def test_an_answer_needs_the_whole_interval_on_one_side_of_the_margin(
    low: float, high: float, margin: float, answer: str
) -> None:
    assert non_inferior(between(low, high), margin) == answer


@pytest.mark.parametrize("margin", [-0.02, 1.0])
def test_a_margin_is_a_share(margin: float) -> None:
    with pytest.raises(ValueError, match="margin"):
        non_inferior(between(-0.1, 0.1), margin)


def test_the_prompts_needed_make_the_answer_conclusive_as_often_as_asked() -> None:
    found = paired_difference(alone(5, 10, 25, 20))
    needed = prompts_needed(found, 0.0)
    assert needed is not None
    rng, runs = np.random.default_rng(0), 4000
    gained, lost, _ = rng.multinomial(needed, [5 / 60, 10 / 60, 45 / 60], runs).T
    _, high, _ = _interval(np.zeros((runs, needed)), np.ones(needed, dtype=int), gained, lost, 0.95)
    assert (high < 0).mean() == pytest.approx(0.8, abs=0.04)


def test_a_conclusive_answer_needs_no_more_prompts() -> None:
    assert prompts_needed(paired_difference(alone(0, 30, 20, 10)), 0.02) == 60


def test_a_difference_on_the_margin_is_settled_by_no_number_of_prompts() -> None:
    assert prompts_needed(paired_difference(alone(9, 9, 20, 20)), 0.0) is None


def test_prompts_needed_are_more_than_there_are() -> None:
    needed = prompts_needed(paired_difference(alone(0, 0, 5, 5)), 0.02)
    assert needed is not None
    assert needed > 10
    with pytest.raises(ValueError, match="power"):
        prompts_needed(paired_difference(alone(0, 0, 5, 5)), 0.02, power=1.0)


@pytest.fixture(scope="module")
def little_garbage() -> Iterator[None]:
    """Leaves what is there to no collector: statsmodels collects at every call, through all that other tests loaded."""
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.mark.usefixtures("little_garbage")
@given(st.lists(st.floats(0, 1), min_size=1, max_size=40))
def test_holm_is_statsmodels(p_values: list[float]) -> None:
    expected = multipletests(p_values, method="holm")[1]
    found = holm({str(place): p for place, p in enumerate(p_values)})
    assert list(found.values()) == pytest.approx(list(expected), abs=1e-12)


@given(st.lists(st.floats(-0.5, 0.5), min_size=2, max_size=8), st.sampled_from([0.8, 0.95]))
def test_seeds_get_students_interval(differences: list[float], confidence: float) -> None:
    found = over_seeds(differences, confidence)
    assert found is not None
    assert found.differences == tuple(differences)
    error = float(stats.sem(differences))
    ends = (
        stats.t.interval(confidence, len(differences) - 1, np.mean(differences), error) if error else [found.value] * 2
    )
    assert (found.low, found.high) == pytest.approx((max(-1.0, ends[0]), min(1.0, ends[1])), abs=1e-9)


def test_one_seed_says_nothing_of_others() -> None:
    assert over_seeds([0.1]) is None
    assert over_seeds([]) is None
