import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from goodvibe_bench.metric.rate import clustered_rate, design_effect, rate, rate_of


@pytest.mark.parametrize(
    ("hits", "n", "low", "high"),
    # Newcombe 1998, table I, method 3 (Wilson without continuity correction).
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_the_interval_is_wilsons(hits: int, n: int, low: float, high: float) -> None:
    found = rate(hits, n)
    assert found.value == hits / n
    assert (found.low, found.high) == pytest.approx((low, high), abs=5e-5)
    assert (found.n, found.method, found.confidence) == (n, "wilson", 0.95)


def test_more_confidence_is_wider() -> None:
    assert rate(5, 10, 0.99).low < rate(5, 10).low < rate(5, 10, 0.8).low


def test_a_rate_of_nothing_is_an_error() -> None:
    with pytest.raises(ValueError, match="a rate of nothing"):
        rate(0, 0)
    with pytest.raises(ValueError, match="a rate of nothing"):
        rate_of([])


@pytest.mark.parametrize("hits", [-1, 4])
def test_more_hits_than_tries_are_an_error(hits: int) -> None:
    with pytest.raises(ValueError, match="is no rate"):
        rate(hits, 3)


def test_the_rate_of_flags_counts_the_true_ones() -> None:
    assert rate_of([True, False, True, True]) == rate(3, 4)


@given(st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_interval_holds_the_rate_and_stays_within_0_and_1(counts: tuple[int, int]) -> None:
    found = rate(*counts)
    assert 0 <= found.low <= found.value <= found.high <= 1
    assert found.low < found.high


def test_families_of_one_sample_give_wilsons_interval() -> None:
    assert clustered_rate([(str(one), one < 3) for one in range(10)]) == rate(3, 10)


def test_a_copy_of_every_sample_adds_nothing() -> None:
    single = [(str(one), one < 6) for one in range(20)]
    found, alone = clustered_rate(single * 3), rate(6, 20)
    assert (found.value, found.n, found.method) == (0.3, 60, "wilson, design effect")
    assert design_effect([(3 * yes, 3) for _, yes in single]) == pytest.approx(3.0, rel=0.06)
    assert found.low < alone.low < alone.high < found.high, "19 degrees of freedom, not normal"


def test_what_cannot_be_seen_is_taken_as_the_worst() -> None:
    assert design_effect([(2, 2), (2, 2)]) == 2.0
    one = clustered_rate([("a", True)] * 9)
    assert (one.value, one.low, one.high) == (1.0, 0.0, 1.0)
    with pytest.raises(ValueError, match="a rate of nothing"):
        clustered_rate([])


@pytest.mark.parametrize(("families", "share"), [(20, 0.1), (20, 0.5), (60, 0.2), (120, 0.7)])
def test_the_clustered_interval_holds_the_truth_in_over_92_of_100_runs(families: int, share: float) -> None:
    rng = np.random.default_rng([families, round(100 * share)])
    held = 0
    for _ in range(400):
        names = np.repeat(np.arange(families), rng.integers(1, 4, families) * 3)  # three seeds of 1 to 3 prompts
        chances = rng.beta(share * 1.5, (1 - share) * 1.5, families)[names]
        found = clustered_rate(list(zip(map(str, names), rng.random(len(names)) < chances, strict=True)))
        held += found.low <= share <= found.high
    assert held / 400 > 0.92
