"""Student's t by hand is scipy's."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import stdtrit

from goodvibe_bench.metric.rate import wilson
from goodvibe_bench.metric.student import quantile


@given(st.floats(0.1, 1e6), st.floats(0.5, 0.9999))
def test_quantiles_are_scipys(freedom: float, p: float) -> None:
    assert quantile(freedom, p) == pytest.approx(float(stdtrit(freedom, p)), rel=1e-8, abs=1e-9)


def test_quantiles_are_those_of_the_printed_tables() -> None:
    found = [round(quantile(freedom, 0.975), 3) for freedom in (1, 2, 10, 30, 120)]
    assert found == [12.706, 4.303, 2.228, 2.042, 1.980]


def test_hardly_any_degree_of_freedom_says_nothing() -> None:
    assert 1e125 < quantile(0.001, 0.975) < 1e135
    assert wilson(1, 2, quantile(0.001, 0.975)) == pytest.approx((0, 1))


@pytest.mark.parametrize(("freedom", "p"), [(0, 0.9), (-1, 0.9), (math.nan, 0.9), (3, 0.4), (3, 1)])
def test_what_has_no_quantile_is_refused(freedom: float, p: float) -> None:
    with pytest.raises(ValueError, match="no quantile"):
        quantile(freedom, p)
