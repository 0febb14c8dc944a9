import pytest
from hypothesis import given
from hypothesis import strategies as st

from goodvibe_bench.metric.rate import rate, rate_of


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
