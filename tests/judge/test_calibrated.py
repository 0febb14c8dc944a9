import math
from collections.abc import Sequence

import pytest

from goodvibe_bench.judge.calibrated import Calibrated
from goodvibe_bench.metric.calibration import crossfitted
from goodvibe_bench.types import Calibration, Code, Language, Outcome, Scaling, Verdict


class Fixed:
    """Gives the probability that the code's text says, with a reason after "+"; none for "?"."""

    def judge(self, codes: Sequence[Code]) -> list[Verdict]:
        return [
            Verdict(judge="raw", outcome=Outcome.UNJUDGED, reason="off the menu")
            if code.text == "?"
            else Verdict(
                judge="raw",
                p_unsafe=float(code.text.rstrip("+")),
                outcome=Outcome.SECURE,
                reason="one tool read nothing" if code.text.endswith("+") else None,
            )
            for code in codes
        ]


def _code(text: str, language: Language = "cpp", unusable: str | None = None) -> Code:
    return Code(text=text, language=language, how_extracted="fence", parses=unusable is None, unusable=unusable)


def _calibrations(threshold: float, scaling: Scaling | None) -> dict[Language, Calibration]:
    found = crossfitted("cpp", [0, 1, 0, 1], [0.1, 0.9, 0.1, 0.9], [*"aabb"])
    return {"cpp": found.model_copy(update={"threshold": threshold, "scaling": scaling})}


HALVED = Scaling(kind="temperature", temperature=2.0)


def test_the_scaled_probability_meets_the_threshold() -> None:
    judge = Calibrated("j", Fixed(), _calibrations(0.75, HALVED))
    found = judge.judge([_code("0.9"), _code("0.89")])
    assert found[0].p_unsafe == pytest.approx(0.75)
    assert [verdict.outcome for verdict in found] == [Outcome.INSECURE, Outcome.SECURE]
    assert {verdict.judge for verdict in found} == {"j"}


def test_a_language_without_calibration_keeps_the_verdict_of_the_raw_judge() -> None:
    codes = [_code("0.6", "go"), _code("?", "go")]
    assert Calibrated("j", Fixed(), _calibrations(0.1, HALVED)).judge(codes) == Fixed().judge(codes)


def test_what_the_raw_judge_could_not_judge_stays_unjudged_with_its_reason() -> None:
    (found,) = Calibrated("j", Fixed(), _calibrations(0.5, HALVED)).judge([_code("?")])
    assert (found.outcome, found.p_unsafe, found.reason) == (Outcome.UNJUDGED, None, "off the menu")


def test_a_partial_answer_can_make_code_insecure_and_never_secure() -> None:
    judge = Calibrated("j", Fixed(), _calibrations(0.75, None))
    found = judge.judge([_code("0.8+"), _code("0.6+"), _code("0.6")])
    assert [verdict.outcome for verdict in found] == [Outcome.INSECURE, Outcome.UNJUDGED, Outcome.SECURE]
    assert (found[1].p_unsafe, found[1].label, found[1].reason) == (None, None, "one tool read nothing")


def test_unusable_code_stays_unusable() -> None:
    (found,) = Calibrated("j", Fixed(), _calibrations(0.5, HALVED)).judge([_code("0.0", unusable="refusal")])
    assert (found.outcome, found.reason) == (Outcome.UNUSABLE, "refusal")


@pytest.mark.parametrize("p", ["0.0", "1.0"])
@pytest.mark.parametrize("scaling", [None, HALVED, Scaling(kind="isotonic", x=(0.2, 0.8), y=(0.1, 0.7))])
def test_certain_probabilities_stay_finite(p: str, scaling: Scaling | None) -> None:
    (found,) = Calibrated("j", Fixed(), _calibrations(0.5, scaling)).judge([_code(p)])
    assert found.p_unsafe is not None
    assert math.isfinite(found.p_unsafe)
