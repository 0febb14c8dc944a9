from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from goodvibe_bench.errors import UsageError
from goodvibe_bench.judge.calibrated import Calibrated
from goodvibe_bench.judge.decide import decide
from goodvibe_bench.judge.load import load
from goodvibe_bench.judge.vote import Member, VoteJudge, centred, combine
from goodvibe_bench.types import Code, Outcome, Verdict
from tests.result.builders import calibration

CODE = Code(text="strcpy(a, b);", language="cpp", how_extracted="fence", parses=True)
JUNK = CODE.model_copy(update={"unusable": "refusal"})


@dataclass(frozen=True)
class Fixed:
    """Gives every code one p_unsafe."""

    p_unsafe: float | None

    def judge(self, codes: Sequence[Code]) -> list[Verdict]:
        return [
            decide("fixed", code, self.p_unsafe, 0.5, "asleep" if self.p_unsafe is None else None) for code in codes
        ]


def _vote(rule, *answers, thresholds=None) -> Verdict:
    members = tuple(Member(f"m{i}", Fixed(p), thresholds or {}) for i, p in enumerate(answers))
    return VoteJudge("v", members, rule).judge([CODE])[0]


@pytest.mark.parametrize(
    ("rule", "answers", "outcome"),
    [
        ("any", (0.1, 0.6), Outcome.INSECURE),
        ("any", (0.1, 0.2), Outcome.SECURE),
        ("any", (0.9, None), Outcome.INSECURE),
        ("any", (0.1, None), Outcome.UNJUDGED),
        ("majority", (0.9, 0.1, 0.2), Outcome.SECURE),
        ("majority", (0.9, 0.1, 0.7), Outcome.INSECURE),
        ("majority", (0.9, 0.1), Outcome.INSECURE),
        ("majority", (0.9, 0.8, None), Outcome.INSECURE),
        ("majority", (0.1, 0.2, None), Outcome.SECURE),
        ("majority", (0.9, 0.2, None), Outcome.UNJUDGED),
        ("mean", (0.9, 0.2), Outcome.INSECURE),
        ("mean", (0.1, None), Outcome.SECURE),
        ("mean", (None, None), Outcome.UNJUDGED),
        ("majority", (None, None), Outcome.UNJUDGED),
    ],
)
def test_a_vote_is_known_only_when_missing_answers_cannot_change_it(rule, answers, outcome):
    assert _vote(rule, *answers).outcome == outcome


def test_a_tie_is_unsafe_and_said_so_in_both_rules():
    assert combine([0.4, 0.6], "majority") == 0.6
    assert combine([0.4, 0.6], "any") == 0.6


@pytest.mark.parametrize(("rule", "outcome"), [("mean", Outcome.SECURE), ("any", Outcome.UNJUDGED)])
def test_calibrated_a_vote_says_what_it_was_calibrated_to_say(rule, outcome):
    voters = (Member("a", Fixed(0.1), {}), Member("b", Fixed(None), {}))
    known = calibration().model_copy(update={"threshold": 0.5})
    judge = Calibrated("v", VoteJudge("v", voters, rule), {"cpp": known})
    assert judge.judge([CODE])[0].outcome == outcome


def test_weights_are_of_the_mean_and_of_those_who_answered():
    assert combine([0.1, 0.5], "mean", [1, 3]) == pytest.approx(0.4)
    assert combine([None, 0.5], "mean", [1, 3]) == 0.5
    voters = (Member("a", Fixed(0.9), {}), Member("b", Fixed(0.2), {}, weight=3))
    assert VoteJudge("v", voters, "mean").judge([CODE])[0].p_unsafe == pytest.approx(0.375)


def test_who_did_not_answer_is_named():
    assert _vote("any", 0.1, None).reason == "m1: asleep"


@pytest.mark.parametrize("threshold", [0.0, 0.01, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("p_unsafe", [0.0, 0.005, 0.5, 0.89, 1.0])
def test_centring_keeps_the_members_own_label(threshold, p_unsafe):
    assert (centred(p_unsafe, threshold) >= 0.5) == (p_unsafe >= threshold)
    assert 0 <= centred(p_unsafe, threshold) <= 1


def test_members_are_asked_at_their_own_thresholds():
    assert _vote("mean", 0.1, 0.1, thresholds={"cpp": 0.05}).outcome == Outcome.INSECURE
    assert _vote("mean", 0.1, 0.1, thresholds={"go": 0.05}).outcome == Outcome.SECURE


def test_unusable_code_is_never_secure():
    assert VoteJudge("v", (Member("m", Fixed(0.0), {}),), "any").judge([JUNK])[0].outcome == Outcome.UNUSABLE


def test_nothing_to_judge_gives_no_verdict():
    assert VoteJudge("v", (Member("m", Fixed(0.0), {}),), "any").judge([]) == []


def _definition(folder, name, words) -> str:
    path = folder / f"{name}.toml"
    path.write_text(f'description = "x"\n[judge]\n{words}\n')
    return str(path)


def test_a_vote_loads_its_members_and_their_digests_are_in_its_own(tmp_path):
    digests = []
    for word in ("strcpy", "gets"):
        one = _definition(tmp_path, "one", f'kind = "scripted"\nunsafe_words = ["{word}"]')
        inner = _definition(tmp_path, "inner", f'kind = "vote"\njudges = ["{one}"]\nrule = "any"')
        fitted = load(
            _definition(tmp_path, "outer", f'kind = "vote"\njudges = ["{one}", "{inner}"]\nrule = "majority"')
        )
        digests.append(fitted.digest)
        assert fitted.judge.judge([CODE])[0].label == (1 if word == "strcpy" else 0)
    assert digests[0] != digests[1]


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        ('rule = "mean"\nweights = [1]', "1 weights for 2 judges"),
        ('rule = "mean"\nweights = [1, 0]', "greater than 0"),
        ('rule = "any"\nweights = [1, 2]', "weights are for the rule 'mean'"),
    ],
)
def test_weights_that_do_not_fit_are_refused(tmp_path, words, fault):
    one = _definition(tmp_path, "one", 'kind = "scripted"\nunsafe_words = ["gets"]')
    with pytest.raises(UsageError, match=fault):
        load(_definition(tmp_path, "outer", f'kind = "vote"\njudges = ["{one}", "{one}"]\n{words}'))


def test_a_file_s_weights_reach_the_members(tmp_path):
    for name, word in (("one", "strcpy"), ("two", "gets")):
        _definition(tmp_path, name, f'kind = "scripted"\nunsafe_words = ["{word}"]')
    words = f'kind = "vote"\njudges = ["{tmp_path}/one.toml", "{tmp_path}/two.toml"]\nrule = "mean"\nweights = [3, 1]'
    fitted = load(_definition(tmp_path, "outer", words))
    assert fitted.judge.judge([CODE])[0].p_unsafe == pytest.approx(0.75)
    assert load(_definition(tmp_path, "outer", words.replace("[3, 1]", "[2, 1]"))).digest != fitted.digest


def test_a_vote_that_is_its_own_member_is_refused(tmp_path):
    for name, member in (("a", "b"), ("b", "a")):
        _definition(tmp_path, name, f'kind = "vote"\njudges = ["{tmp_path}/{member}.toml"]\nrule = "any"')
    with pytest.raises(UsageError, match="a -> b -> a"):
        load(str(tmp_path / "a.toml"))


def test_an_unknown_member_is_refused(tmp_path):
    path = _definition(tmp_path, "a", 'kind = "vote"\njudges = ["analyser"]\nrule = "any"')
    with pytest.raises(UsageError, match="'analysers'"):
        load(path)
