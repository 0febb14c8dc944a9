"""The vote: several judges asked about the same code, and one answer from theirs. It loads none of them (load.py)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median_high

from goodvibe_bench.judge.decide import decide
from goodvibe_bench.judge.definition import Rule
from goodvibe_bench.types import Code, Judge, Language, Verdict

COUNTS: dict[str, Callable[[Sequence[float]], float]] = {"any": max, "majority": median_high}
"""Upper median: at least 0.5 when half of the members or more call the code unsafe, so a tie is unsafe."""


@dataclass(frozen=True)
class Member:
    """A judge that votes, and the thresholds at which it calls code unsafe (0.5 for a language without one)."""

    name: str
    judge: Judge
    thresholds: Mapping[Language, float]
    weight: float = 1.0
    """In the mean, relative to the other members'."""
    digest: str = ""
    """Of the member as it is loaded; the vote's own covers it."""


@dataclass(frozen=True)
class VoteJudge:
    """A judge whose p_unsafe is its members' p_unsafe combined by `rule`, each centred on its threshold first."""

    name: str
    members: tuple[Member, ...]
    rule: Rule

    def judge(self, codes: Sequence[Code]) -> list[Verdict]:
        """Return one verdict for each code, in order. Every member sees all codes in one call."""
        ballots = [member.judge.judge(codes) for member in self.members]
        return [self._decide(code, votes) for code, *votes in zip(codes, *ballots, strict=True)]

    def _decide(self, code: Code, votes: Sequence[Verdict]) -> Verdict:
        answers = [
            None if vote.p_unsafe is None else centred(vote.p_unsafe, member.thresholds.get(code.language, 0.5))
            for member, vote in zip(self.members, votes, strict=True)
        ]
        weights = [member.weight for member in self.members]
        silent = [
            f"{member.name}: {vote.reason or 'no answer'}"
            for member, vote in zip(self.members, votes, strict=True)
            if vote.p_unsafe is None
        ]
        p_unsafe = combine(answers, self.rule, weights)
        whole = self.rule == "mean" and p_unsafe is not None  # by definition of those who answered: nothing is missing
        return decide(self.name, code, p_unsafe, 0.5, None if whole else "; ".join(silent) or None)


def centred(p_unsafe: float, threshold: float) -> float:
    """Return `p_unsafe` stretched so that `threshold` becomes 0.5, by two straight lines; 0 and 1 stay."""
    if p_unsafe < threshold:
        return 0.5 * p_unsafe / threshold
    return 0.5 + 0.5 * (p_unsafe - threshold) / (1 - threshold) if threshold < 1 else 1.0


def combine(answers: Sequence[float | None], rule: Rule, weights: Sequence[float] | None = None) -> float | None:
    """Return the members' answers as one probability, or None where it is not known.

    `mean` asks only those who answered, by their `weights` (all alike when None). `any` and `majority` are known when
    the answers that are missing could not have changed the side of 0.5; each missing answer then counts against the
    side that won.
    """
    known = [answer for answer in answers if answer is not None]
    if not known:
        return None
    if rule == "mean":
        heard = zip(weights or [1.0] * len(answers), answers, strict=True)
        return fmean(known, [weight for weight, answer in heard if answer is not None])
    count, missing = COUNTS[rule], len(answers) - len(known)
    low, high = count([*known, *[0.0] * missing]), count([*known, *[1.0] * missing])
    if (low >= 0.5) != (high >= 0.5):
        return None
    return low if low >= 0.5 else high
