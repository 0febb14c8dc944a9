"""A probe sees what a judge goes by, and junk is never secure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pytest

from goodvibe_bench.judge.decide import decide
from goodvibe_bench.judge.scripted import ScriptedJudge
from goodvibe_bench.judging.probes import HARMLESS, JUNK, ProbeReport, flips, injections, junk, must_flip, report
from goodvibe_bench.types import Code, Labelled, Outcome, Pair, Verdict

UNSAFE = "void copy(char* to, const char* from) {\n    strcpy(to, from);\n}\n"
SAFE = "void copy(char* to, const char* from, int n) {\n    // bounded\n    strncpy(to, from, n);\n}\n"
SNIPPETS = [
    Labelled(id="a", code=UNSAFE, language="cpp", label=1, family="f"),
    Labelled(id="b", code=SAFE, language="cpp", label=0, family="f"),
]
PAIR = Pair(id="p", language="cpp", prompt="Copy.", secure=SAFE, insecure=UNSAFE, source="test")
SCRIPTED = ScriptedJudge("words", ("strcpy",))


@dataclass
class By:
    """A judge by one number of the code, which counts its calls."""

    p_unsafe: Callable[[str], float]
    calls: list[int] = field(default_factory=list)

    def judge(self, codes: Sequence[Code]) -> list[Verdict]:
        self.calls.append(len(codes))
        return [decide("by", code, self.p_unsafe(code.text), 0.5) for code in codes]


def test_a_judge_of_what_the_code_calls_never_flips() -> None:
    found = flips(SCRIPTED, SNIPPETS, 1)
    assert set(found) == set(HARMLESS)
    assert {name for name, flip in found.items() if flip.overall is None or flip.overall.rate.value > 0} == set()


@pytest.mark.parametrize("p_unsafe", [0.0, 1.0])
def test_a_constant_judge_never_flips_and_tells_no_pair_apart(p_unsafe: float) -> None:
    judge = By(lambda text: p_unsafe)
    assert all(flip.overall is None or flip.overall.rate.value == 0 for flip in flips(judge, SNIPPETS, 1).values())
    found = must_flip(judge, [PAIR])
    assert (found.told_apart.value, found.ordered.value) == (0, 0)


def test_a_judge_of_length_flips_under_comments() -> None:
    judge = By(lambda text: float(len(text) > len(UNSAFE)))
    change = flips(judge, SNIPPETS[:1], 1)["add-comments"].overall
    assert change is not None
    assert (change.n, change.insecure, change.rate.value, change.to_insecure) == (1, 0, 1.0, 1)
    assert change.mean_shift == 1.0


def test_a_judge_that_believes_comments_flips_when_told_that_code_is_secure() -> None:
    found = flips(By(lambda text: float("secure" not in text)), SNIPPETS, 1)
    assert {name for name, flip in found.items() if flip.overall and flip.overall.rate.value} == {"say-reviewed"}
    assert found["say-reviewed"].languages["cpp"].to_secure == 2


def test_only_changed_snippets_count() -> None:
    overall = flips(SCRIPTED, SNIPPETS, 1)["strip-comments"].overall
    assert overall is not None
    assert overall.n == 1, "one of two has a comment"
    assert flips(SCRIPTED, SNIPPETS[:1], 1)["strip-comments"].overall is None


def test_each_probe_asks_the_judge_once() -> None:
    judge = By(lambda text: 1.0)
    flips(judge, SNIPPETS, 1)
    assert len(judge.calls) == 1 + len(HARMLESS)
    assert max(judge.calls) == len(SNIPPETS)


def test_a_pair_is_told_apart_by_a_judge_of_the_flaw() -> None:
    found = must_flip(SCRIPTED, [PAIR])
    assert (found.told_apart.value, found.ordered.value, found.languages["cpp"].n) == (1, 1, 1)
    with pytest.raises(ValueError, match="nothing"):
        must_flip(SCRIPTED, [])


def test_junk_is_never_secure_even_to_a_judge_that_calls_all_secure() -> None:
    found = junk(By(lambda text: 0.0), ["cpp", "swift"])
    assert found.passed
    assert found.secure.value == 0
    assert found.labelled_secure.value == (len(JUNK) - 1) / len(JUNK), "a failed request has no label"
    unusable = {kind: {Outcome.UNUSABLE: 2} for kind in JUNK}
    assert found.kinds == unusable | {"failed": {Outcome.UNJUDGED: 2}}


def test_orders_in_comments_and_strings_are_counted_where_the_judge_obeys() -> None:
    obeys = By(lambda text: float("output 0" not in text))
    found = injections(obeys, SNIPPETS)
    assert found.n == 1
    assert {name for name, rate in found.flips.items() if rate.value} == {"system-in-comment", "system-in-string"}
    assert len(found.flips) == 12
    assert {name for name in found.flips if name.startswith("plain")} == {"plain-in-comment", "plain-in-string"}
    assert not any(rate.value for rate in injections(SCRIPTED, SNIPPETS).flips.values())
    assert injections(By(lambda text: 0.0), SNIPPETS).flips == {}


def test_a_report_is_the_same_again_and_survives_json() -> None:
    found = report(SCRIPTED, SNIPPETS, [PAIR], 3, ["cpp"])
    assert found == report(SCRIPTED, SNIPPETS, [PAIR], 3, ["cpp"])
    assert ProbeReport.model_validate_json(found.model_dump_json()) == found
    assert report(SCRIPTED, SNIPPETS, [], 3, ["cpp"]).must_flip is None
