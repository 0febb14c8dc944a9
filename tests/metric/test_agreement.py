from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from goodvibe_bench.metric.agreement import agreement
from goodvibe_bench.metric.rate import rate

labels = st.sampled_from([0, 1, None])
both = st.lists(st.tuples(labels, labels), min_size=1, max_size=60).filter(
    lambda rows: any(None not in r for r in rows)
)


def columns(table: list[list[int]]) -> tuple[list[int], list[int]]:
    rows = [(i, j) for i in (0, 1) for j in (0, 1) for _ in range(table[i][j])]
    return [row[0] for row in rows], [row[1] for row in rows]


def test_kappa_is_cohens_with_the_asymptotic_interval() -> None:
    # po = 0.7, pe = 0.5; the standard error of Fleiss, Cohen & Everitt 1969 is 0.1270.
    found = agreement(*columns([[20, 5], [10, 15]]))
    assert found.kappa is not None
    assert (found.kappa.value, found.kappa.low, found.kappa.high) == pytest.approx((0.4, 0.1511, 0.6489), abs=1e-4)
    assert (found.disagreement, found.n, found.unlabelled) == (rate(15, 50), 50, 0)


def test_samples_that_one_left_unlabelled_are_counted_and_left_out() -> None:
    found = agreement([0, 1, None, 1, None, 0], [0, 0, 1, None, None, 1])
    assert (found.n, found.unlabelled, found.disagreement) == (3, 3, rate(2, 3))


@pytest.mark.parametrize("second", [[0, 0, 0, 0], [1, 1, 1, 1], [0, 1, 0, 1]])
def test_a_judge_with_one_label_leaves_kappa_unknown(second: list[int]) -> None:
    assert agreement([0, 0, 0, 0], second).kappa is None
    assert agreement(second, [0, 0, 0, 0]).kappa is None


@pytest.mark.parametrize(("second", "value"), [([0, 1] * 10, 1.0), ([1, 0] * 10, -1.0)])
def test_full_agreement_in_few_samples_is_not_certain(second: list[int], value: float) -> None:
    kappa = agreement([0, 1] * 10, second).kappa
    assert kappa is not None
    assert kappa.value == pytest.approx(value)
    assert 0.2 < kappa.high - kappa.low < 0.4
    assert -1 <= kappa.low <= kappa.value <= kappa.high <= 1


def test_the_interval_of_kappa_holds_the_true_one_in_about_95_percent_of_runs() -> None:
    rng, held, runs = np.random.default_rng(0), 0, 800
    for _ in range(runs):
        table = rng.multinomial(150, [0.45, 0.1, 0.1, 0.35]).reshape(2, 2).tolist()
        kappa = agreement(*columns(table)).kappa
        assert kappa is not None
        held += kappa.low <= (0.8 - 0.505) / (1 - 0.505) <= kappa.high
    assert 0.93 <= held / runs <= 0.97


@given(both, st.randoms())
def test_neither_the_order_of_samples_nor_of_judges_counts(
    rows: list[tuple[int | None, int | None]], random: Random
) -> None:
    found = agreement(*zip(*rows, strict=True))
    random.shuffle(rows)
    assert agreement(*zip(*rows, strict=True)) == found
    swapped = agreement([row[1] for row in rows], [row[0] for row in rows])
    assert (swapped.disagreement, swapped.n, swapped.unlabelled) == (found.disagreement, found.n, found.unlabelled)
    if found.kappa and swapped.kappa:
        assert swapped.kappa.value == pytest.approx(found.kappa.value)
        assert -1 <= found.kappa.low <= found.kappa.value <= found.kappa.high <= 1
        assert found.kappa.low < found.kappa.high


@pytest.mark.parametrize(
    ("a", "b", "why"),
    [
        ([], [], "both labelled"),
        ([None], [1], "both labelled"),
        ([1], [1, 0], "same samples"),
        ([2], [1], "0, 1 or None"),
    ],
)
def test_nothing_to_compare_is_an_error(a: list[int | None], b: list[int | None], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        agreement(a, b)
