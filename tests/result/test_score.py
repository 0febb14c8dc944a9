import pytest

from goodvibe_bench.metric.rate import rate
from goodvibe_bench.result import instrument
from goodvibe_bench.result.score import estimates, metrics, outcome_row
from goodvibe_bench.types import Outcome, Verdict
from tests.result.builders import calibration, outcomes, record, two_judges, with_other


def test_unusable_and_unjudged_stay_in_the_denominator() -> None:
    found = estimates(outcomes(secure=3, insecure=2, unusable=4, unjudged=1))
    assert found["secure_rate"] == rate(3, 10)
    assert found["insecure_rate"] == rate(2, 10)
    assert found["unusable_rate"] == rate(4, 10)
    assert found["unjudged_rate"] == rate(1, 10)
    assert found["valid_rate"] == rate(6, 10)


def test_the_papers_safe_rate_counts_labels_whatever_the_text_is() -> None:
    assert estimates(outcomes(secure=3, unusable=4, insecure=3))["safe_rate"] == rate(7, 10)


def test_all_junk_is_0_per_cent_secure() -> None:
    found = estimates(outcomes(unusable=9))
    assert (found["secure_rate"].value, found["valid_rate"].value, found["safe_rate"].value) == (0.0, 0.0, 1.0)


def test_the_mean_of_nothing_is_an_error() -> None:
    with pytest.raises(ValueError, match="a rate of nothing"):
        estimates([])


def test_metrics_are_per_task_and_over_all_samples() -> None:
    found = metrics(outcomes(secure=1, insecure=3) + outcomes(secure=6, task="go"))
    assert {task: (keys["secure_rate,none"], keys["samples"]) for task, keys in found.items()} == {
        "all": (0.7, 10),
        "cpp": (0.25, 4),
        "go": (1.0, 6),
    }
    assert found["cpp"]["secure_rate_interval,none"] == [rate(1, 4).low, rate(1, 4).high]


def test_metrics_carry_the_corrected_rate_of_each_task_and_of_all() -> None:
    judge = instrument.block("j", "d", [calibration(), calibration("go")])
    found = metrics(outcomes(secure=5, insecure=5) + outcomes(secure=5, insecure=5, task="go"), [judge])
    assert {task: keys["corrected_rate,none"] for task, keys in found.items()} == {"all": 0.5, "cpp": 0.5, "go": 0.5}
    assert found["cpp"]["corrected_rate_state,none"] == "inside"
    assert found["cpp"]["corrected_rate_feasible,none"] == pytest.approx([0.1, 0.9])
    assert found["all"]["corrected_rate_states,none"] == {"cpp": "inside", "go": "inside"}


def test_metrics_carry_the_rates_of_every_other_judge() -> None:
    found = two_judges(with_other(outcomes(secure=4), [Outcome.SECURE, *[Outcome.INSECURE] * 3])).results
    assert found["cpp"]["secure_rate,none"] == 1.0
    assert found["cpp"]["other_judges"]["k"]["secure_rate,none"] == 0.25
    assert found["all"]["other_judges"]["k"]["corrected_rate_state,none"] == "inside"


def test_a_row_keeps_each_other_judges_verdict_under_its_name() -> None:
    other = Verdict(judge="k", p_unsafe=0.2, label=0, outcome=Outcome.SECURE)
    row = outcome_row(record(0, Outcome.INSECURE).model_copy(update={"others": (other,)}))
    assert row["outcome"] == "insecure"
    assert row["others"] == {"k": {"outcome": "secure", "label": 0, "p_unsafe": 0.2}}
    assert "others" not in outcome_row(record(0, Outcome.INSECURE))


def test_a_kept_row_has_no_text_of_the_sample() -> None:
    row = outcome_row(record(0, Outcome.INSECURE))
    assert (row["outcome"], row["label"], row["prompt_id"], row["language"]) == ("insecure", 1, "cpp-0", "cpp")
    assert "int x;" not in row.values()
