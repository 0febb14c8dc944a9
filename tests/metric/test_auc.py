import itertools

import pytest
from sklearn.metrics import roc_auc_score

from goodvibe_bench.metric.auc import auc_interval, mean_of, pair_order
from goodvibe_bench.metric.rate import rate

LABELS = [0, 0, 0, 0, 1, 1, 1, 1] * 5
SCORES = [0.1, 0.2, 0.3, 0.6, 0.3, 0.7, 0.8, 0.9] * 5
EACH = [str(i) for i in range(40)]


def test_the_value_is_the_share_of_well_ordered_pairs_with_ties_half() -> None:
    sides = itertools.product(
        [s for s, y in zip(SCORES, LABELS, strict=True) if not y], [s for s, y in zip(SCORES, LABELS, strict=True) if y]
    )
    shares = [1.0 if safe < unsafe else 0.5 if safe == unsafe else 0.0 for safe, unsafe in sides]
    found = auc_interval(LABELS, SCORES, EACH)
    assert found.value == pytest.approx(sum(shares) / len(shares)) == pytest.approx(roc_auc_score(LABELS, SCORES))
    assert 0 < found.low < found.value < found.high <= 1
    assert found.n == 40


def test_the_same_seed_gives_the_same_interval() -> None:
    assert auc_interval(LABELS, SCORES, EACH) == auc_interval(LABELS, SCORES, EACH, seed=0)
    assert auc_interval(LABELS, SCORES, EACH) != auc_interval(LABELS, SCORES, EACH, seed=1)


def test_copies_in_one_family_add_no_certainty() -> None:
    families = [str(i % 8) for i in range(40)]
    copied, apart = auc_interval(LABELS, SCORES, families), auc_interval(LABELS, SCORES, EACH)
    assert copied.high - copied.low > 1.5 * (apart.high - apart.low)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_perfect_order_of_a_few_proves_little(value: float) -> None:
    labels = [0] * 5 + [1] * 5
    found = auc_interval(labels, [label if value else 1 - label for label in labels], [str(i) for i in range(10)])
    assert (found.value, found.method) == (value, "score")
    assert found.high - found.low > 0.2
    assert value in {found.low, found.high}


def test_more_snippets_narrow_the_score_interval() -> None:
    few, many = (auc_interval([0, 1] * n, [0, 1] * n, [str(i) for i in range(2 * n)]) for n in (5, 100))
    assert few.low < 0.8 < 0.97 < many.low


def test_a_constant_score_is_chance() -> None:
    found = auc_interval([0, 1] * 10, [0.3] * 20, [str(i) for i in range(20)])
    assert found.value == 0.5
    assert found.low < 0.4 < 0.6 < found.high


def test_one_family_has_an_interval() -> None:
    found = auc_interval([0, 1, 0, 1], [0.1, 0.9, 0.6, 0.4], ["a"] * 4)
    assert 0 <= found.low < found.value < found.high <= 1


@pytest.mark.parametrize(("labels", "scores"), [([1, 1], [0.1, 0.2]), ([], []), ([0, 1], [0.1, float("nan")])])
def test_an_auc_needs_both_labels_and_finite_scores(labels: list[int], scores: list[float]) -> None:
    with pytest.raises(ValueError, match="both labels"):
        auc_interval(labels, scores, ["a"] * len(labels))


def test_ties_count_half_and_unknown_is_not_ordered() -> None:
    found = pair_order([0.4, 0.0, -0.1, None])
    assert (found.value, found.n) == (0.375, 4)
    assert found.low < 0.375 < found.high


def test_the_order_of_no_pairs_is_an_error() -> None:
    with pytest.raises(ValueError, match="no pairs"):
        pair_order([])


def test_the_mean_is_unweighted_and_narrower_than_its_parts() -> None:
    parts = [rate(8, 10), rate(30, 100)]
    found = mean_of(parts)
    assert found.value == pytest.approx(0.55)
    assert found.n == 110
    assert max(p.high - p.low for p in parts) > found.high - found.low > 0
    assert found.low < found.value < found.high


def test_the_mean_of_one_is_itself() -> None:
    one = rate(8, 10)
    found = mean_of([one])
    assert (found.value, found.low, found.high) == pytest.approx((one.value, one.low, one.high))


def test_the_mean_of_nothing_is_an_error() -> None:
    with pytest.raises(ValueError, match="nothing"):
        mean_of([])
