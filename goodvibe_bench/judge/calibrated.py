"""A judge whose p_unsafe is scaled and compared with a threshold, both per language. It fits and measures nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from goodvibe_bench.judge.decide import decide
from goodvibe_bench.metric.scaling import apply
from goodvibe_bench.types import Calibration, Code, Judge, Language, Outcome, Verdict


@dataclass(frozen=True)
class Calibrated:
    """`raw`, whose verdicts carry unscaled p_unsafe, with a scaling and a threshold for each language.

    A verdict on usable code with both p_unsafe and a reason comes from a judge (an analyser, a vote) part of which did
    not answer: it can make code insecure, never secure.
    """

    name: str
    raw: Judge
    calibrations: Mapping[Language, Calibration]

    def judge(self, codes: Sequence[Code]) -> list[Verdict]:
        """Return one verdict for each code, in order; in a language without calibration the raw judge's own."""
        return [self._decide(code, found) for code, found in zip(codes, self.raw.judge(codes), strict=True)]

    def _decide(self, code: Code, found: Verdict) -> Verdict:
        calibration = self.calibrations.get(code.language)
        if calibration is None:
            return found
        p_unsafe = None if found.p_unsafe is None else float(apply(calibration.scaling, [found.p_unsafe])[0])
        verdict = decide(self.name, code, p_unsafe, calibration.threshold, found.reason)
        if verdict.outcome is Outcome.SECURE and found.reason is not None:  # not all was read: that proves no safety
            return decide(self.name, code, None, calibration.threshold, found.reason)
        return verdict
