import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from goodvibe_bench.errors import UsageError
from goodvibe_bench.metric.paired import prompts_needed
from goodvibe_bench.result import store
from goodvibe_bench.result.check import Check, Limits, check
from goodvibe_bench.result.compare import Side
from goodvibe_bench.types import Outcome, Result
from tests.conftest import Call
from tests.result.builders import outcomes, result, two_judges, with_other

YES, NO = Outcome.SECURE, Outcome.INSECURE


@pytest.fixture(autouse=True)
def _no_step_summary(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)


def _side(*results: Result) -> Side:
    return Side(results[0].method, {Path(f"{place}.json"): one for place, one in enumerate(results)})


def _check(before: list[Any], after: list[Any], **limits: Any) -> Check:
    return check(_side(result(before)), _side(result(after, method="tuned")), Limits(**limits))


def _rows(secure: Any, families: Any) -> list[dict[str, Any]]:
    template = outcomes(secure=1)[0]
    return [
        template | {"prompt_id": str(place), "family": str(family), "outcome": YES if one else NO}
        for place, (one, family) in enumerate(zip(secure, families, strict=True))
    ]


def _drawn(runs: int, lost: float, gained: float) -> list[Check]:
    """Return checks of 240 prompts in families of 1 to 3, two of three secure before; a family shares its chances."""
    rng = np.random.default_rng([runs, round(1000 * lost), round(1000 * gained)])
    template, found = result(outcomes(secure=1)), []
    for _ in range(runs):
        families = np.repeat(np.arange(240), rng.integers(1, 4, 240))[:240]
        before = rng.random(240) < 2 / 3
        worse, better = (rng.beta(share * 9, (1 - share) * 9, 240)[families] for share in (lost * 1.5, gained * 3))
        after = np.where(before, rng.random(240) >= worse, rng.random(240) < better)
        old, new = (template.model_copy(update={"outcomes": _rows(one, families)}) for one in (before, after))
        found.append(check(_side(old), _side(new), Limits()))
    return found


def test_no_change_is_called_a_regression_in_at_most_5_percent_of_checks() -> None:
    found = _drawn(300, lost=0.1, gained=0.1)
    assert abs(np.mean([one.secure.difference.value for one in found])) < 0.01
    assert np.mean([one.exit_code == 3 for one in found]) <= 0.05


def test_a_true_drop_of_15_points_in_240_prompts_is_caught_in_9_of_10_checks() -> None:
    found = _drawn(300, lost=0.19, gained=0.04)
    assert np.mean([one.secure.difference.value for one in found]) == pytest.approx(-0.15, abs=0.01)
    assert np.mean([one.exit_code == 3 for one in found]) >= 0.9


def test_the_whole_interval_decides() -> None:
    for before, after, word, code in (
        (outcomes(secure=100, insecure=100), outcomes(secure=160, insecure=40), "pass", 0),
        (outcomes(secure=160, insecure=40), outcomes(secure=100, insecure=100), "regression", 3),
        (outcomes(secure=10, insecure=10), outcomes(secure=10, insecure=10), "inconclusive", 4),
    ):
        found = _check(before, after)
        assert (found.word, found.exit_code) == (word, code)


def test_an_unusable_sample_is_not_secure() -> None:
    found = _check(outcomes(secure=100), outcomes(secure=60, unusable=40))
    assert (found.word, found.secure.difference.lost, found.valid.difference.lost) == ("regression", 40, 40)
    assert {one.after for one in found.lost} == {Outcome.UNUSABLE}


def test_a_larger_margin_and_less_confidence_let_more_pass() -> None:
    rows = outcomes(secure=50, insecure=50)
    assert _check(rows, rows).word == "inconclusive"
    assert _check(rows, rows, margin=0.05).word == "pass"
    assert _check(rows, rows, confidence=0.5).word == "pass"


@pytest.mark.parametrize(("policy", "code"), [("fail", 4), ("warn", 0), ("pass", 0)])
def test_what_is_inconclusive_fails_only_where_asked(policy: str, code: int) -> None:
    rows = outcomes(secure=10, insecure=10)
    assert _check(rows, rows, on_inconclusive=policy).exit_code == code


def test_an_inconclusive_answer_says_how_many_prompts_would_settle_it() -> None:
    rows = outcomes(secure=10, insecure=10)
    one = _check(rows, rows)
    assert one.prompts == 20
    assert one.prompts_needed is not None
    assert one.prompts_needed > 20
    three = _side(*(result(rows, seed=seed) for seed in range(3)))
    seeds = check(three, three, Limits())
    assert (seeds.prompts, seeds.secure.difference.n) == (20, 60)
    assert seeds.prompts_needed is not None
    samples = prompts_needed(seeds.secure.difference, 0.02)
    assert samples is not None
    assert samples / 3 <= seeds.prompts_needed < samples / 3 + 1, "prompts, each with three samples"
    assert _check(rows, rows, margin=0.0).prompts_needed is None
    assert _check(outcomes(insecure=100), outcomes(secure=100)).prompts_needed is None


def test_a_missed_floor_fails_whatever_the_test_says() -> None:
    before, after = outcomes(secure=50, insecure=50), outcomes(secure=80, insecure=10, unusable=5, unjudged=5)
    for limits in ({"min_secure_rate": 0.81}, {"min_valid_rate": 0.96}, {"max_unjudged": 0.04}):
        found = _check(before, after, **limits)
        assert (found.answer, found.word, found.exit_code) == ("kept", "floor missed", 3)
        assert [floor.missed for floor in found.floors] == [True]
    found = _check(before, after, min_secure_rate=0.8, min_valid_rate=0.95, max_unjudged=0.05)
    assert (found.word, [floor.missed for floor in found.floors]) == ("pass", [False] * 3)
    assert _check(after, before, min_secure_rate=0.9).word == "regression"
    rows = outcomes(secure=2)
    assert _check(rows, rows, min_valid_rate=1.0, on_inconclusive="pass").exit_code == 0
    assert _check(rows, outcomes(secure=1, unjudged=1), max_unjudged=0.0, on_inconclusive="pass").exit_code == 3


def test_languages_are_told_and_never_decide() -> None:
    hashes: dict[str, Any] = {"task_hashes": {"cpp": "0", "java": "0"}}
    before = result(outcomes(insecure=100) + outcomes(secure=20, task="java"), **hashes)
    after = result(outcomes(secure=100) + outcomes(insecure=20, task="java"), method="tuned", **hashes)
    found = check(_side(before), _side(after), Limits())
    assert [(one.language, one.difference.value) for one in found.languages] == [("cpp", 1.0), ("java", -1.0)]
    assert found.word == "pass"
    assert [one.language for one in _check(outcomes(secure=2), outcomes(secure=2)).languages] == ["cpp"]


def test_all_unequal_settings_are_refused_together_and_models_and_seeds_are_not() -> None:
    settings = {"dtype": "bfloat16", "limit": 8, "sampling": {"temperature": 0.0, "seed": 0}}
    other = {"dtype": "float32", "limit": 9, "sampling": {"temperature": 0.0, "seed": 1}}
    before, after = result(outcomes(secure=2), config=settings), result(outcomes(secure=2), model="big", config=other)
    with pytest.raises(UsageError, match=r"dtype bfloat16 and float32; .*limit 8 and 9\. Run") as caught:
        check(_side(before), _side(after), Limits())
    assert "sampling" not in str(caught.value)
    after = after.model_copy(update={"config": settings | {"sampling": other["sampling"]}, "seed": 1})
    assert check(_side(before), _side(after), Limits()).notes[0] == "models differ: tiny and big"


def test_every_seed_of_a_side_must_be_made_alike() -> None:
    rows = outcomes(secure=2)
    base = [result(rows, seed=seed) for seed in range(2)]
    cases: list[tuple[dict[str, Any], str]] = [
        ({"config": {"dtype": "float32"}}, "settings differ: dtype None and float32"),
        ({"judge": {"name": "j", "digest": "other"}}, "judges differ"),
        ({"task_hashes": {"cpp": "1"}}, "tasks differ"),
    ]
    for words, said in cases:
        odd = [result(rows, method="tuned"), result(rows, method="tuned", seed=1, **words)]
        with pytest.raises(UsageError, match=said):
            check(_side(*base), _side(*odd), Limits())
        with pytest.raises(UsageError, match=said):
            check(_side(*odd), _side(*base), Limits())


def test_a_result_cannot_pass_by_leaving_out_what_is_insecure() -> None:
    with pytest.raises(UsageError, match=r"samples differ: 50 only in the baseline \(seed 0\), 0 only in seed 0"):
        _check(outcomes(secure=50, insecure=50), outcomes(secure=50))
    with pytest.raises(UsageError, match=r"0 only in the baseline .*, 2 only in"):
        _check(outcomes(secure=2), outcomes(secure=2) * 2)
    hashes: dict[str, Any] = {"task_hashes": {"cpp": "0", "java": "0"}}
    whole = result(outcomes(secure=5) + outcomes(insecure=5, task="java"), **hashes)
    with pytest.raises(UsageError, match="tasks differ: cpp 0, java 0 and cpp 0"):
        check(_side(whole), _side(result(outcomes(secure=5))), Limits())


def test_other_judges_and_tasks_are_refused() -> None:
    unlike: list[dict[str, Any]] = [{"judge": {"name": "j", "digest": "other"}}, {"task_hashes": {"cpp": "1"}}]
    for words in unlike:
        with pytest.raises(UsageError):
            check(_side(result(outcomes(secure=2))), _side(result(outcomes(secure=2), **words)), Limits())


def test_the_headline_judge_decides() -> None:
    before = two_judges(with_other(outcomes(secure=100), [YES] * 100))
    after = two_judges(with_other(outcomes(secure=100), [NO] * 100))
    found = check(_side(before), _side(after), Limits(margin=0.05))
    assert (found.judge, found.word, found.rates["secure_rate"].value) == ("j", "pass", 1.0)
    swapped = {"judge": after.other_judges[0], "other_judges": (after.judge,), "seed": 1}
    with pytest.raises(UsageError, match=r"judges differ: j \(digest j\) did not label none \(seed 1\)"):
        check(_side(before), _side(after, after.model_copy(update=swapped)), Limits())


def test_only_what_was_secure_is_lost() -> None:
    found = _check(outcomes(secure=2, insecure=1), outcomes(secure=1, unjudged=2))
    assert [(one.prompt_id, one.after) for one in found.lost] == [("cpp-1", Outcome.UNJUDGED)]
    found = _check(outcomes(insecure=3), outcomes(secure=3))
    assert (found.secure.difference.gained, found.lost) == (3, ())


def test_seeds_that_only_one_side_has_are_told() -> None:
    rows = outcomes(secure=3)
    before, after = ([result(rows, seed=seed) for seed in seeds] for seeds in ((0, 1, 2), (0, 1)))
    assert "seeds 2 left out" in check(_side(*before), _side(*after), Limits()).notes[0]


def _anchored(p_unsafe: dict[str, float | None], digest: str = "a", **words: Any) -> Result:
    anchor = {"digest": digest, "p_unsafe": p_unsafe}
    return result(outcomes(secure=2), judge={"name": "j", "digest": "d", "anchor": anchor}, **words)


def test_a_judge_that_drifted_under_one_digest_is_refused() -> None:
    before = _anchored({"x": 0.5, "y": None})
    same = _anchored({"x": 0.519, "y": None}, method="tuned")
    assert check(_side(before), _side(same), Limits()).notes == ()
    cases: list[tuple[Result, str]] = [
        (
            _anchored({"x": 0.53, "y": None}),
            r"scores 1 of 2 anchor snippets otherwise in none \(seed 0\), by up to 0.03",
        ),
        (_anchored({"x": 0.5, "y": 0.5}), "scores 1 of 2 .* an answer on one side only"),
        (_anchored({"x": 0.5, "y": None}, digest="b"), "anchored on other snippets"),
    ]
    for after, said in cases:
        with pytest.raises(UsageError, match=said):
            check(_side(before), _side(after), Limits())
    with pytest.raises(UsageError, match=r"tuned \(seed 1\), by up to 0.40"):
        check(_side(before), _side(same, _anchored({"x": 0.9, "y": None}, method="tuned", seed=1)), Limits())


def test_results_without_anchor_scores_are_said_in_one_note() -> None:
    old = [result(outcomes(secure=2), seed=seed) for seed in range(2)]
    (note,) = check(_side(*old), _side(_anchored({"x": 0.5})), Limits()).notes
    assert note == "whether judge j drifted is not known: no anchor scores in none (seed 0), none (seed 1)"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "results"
    made.mkdir()
    for method, secure in (("none", 100), ("better", 160), ("worse", 40)):
        one = result(outcomes(secure=secure, insecure=200 - secure), method=method)
        store.write_result(one, made / f"{method}.json")
    return made


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("better",), 0, "pass: better against none"),
        (("results/better.json",), 0, "pass: better (seed 0) against none"),
        (("worse",), 3, "regression: worse against none"),
        (("better", "--min-secure-rate", "0.9"), 3, "floor missed: secure rate 80.0% (160 of 200) is below 90%"),
        (("none", "--margin", "0.5pp"), 4, "inconclusive: none against none"),
        (("none", "--margin", "0.5%", "--on-inconclusive", "warn"), 0, "inconclusive:"),
        (("none", "--margin", "0.5", "--on-inconclusive", "pass"), 0, "inconclusive:"),
    ],
)
def test_the_exit_code_and_the_first_line_tell_the_verdict(
    call: Call, folder: Path, words: tuple[str, ...], code: int, said: str
) -> None:
    ended, out, err = call("check", *words, "--baseline", "none")
    assert ended == code
    assert out.startswith(said)
    assert err.startswith("goodvibe-bench: warning: inconclusive") if "warn" in words else err == ""
    assert "margin" in out
    assert "cpp" in out
    assert ("prompts would settle it" in out) == ("inconclusive" in said)


@pytest.mark.parametrize(
    "words",
    [
        ("nothing",),
        ("better", "--margin", "-1"),
        ("better", "--margin", "two"),
        ("better", "--margin", "nan"),
        ("better", "--margin", "100"),
        ("better", "--margin", ""),
        ("better", "--confidence", "1"),
        ("better", "--confidence", "40"),
        ("better", "--confidence", "0.4"),
        ("better", "--confidence", "inf"),
        ("better", "--confidence", "nan"),
        ("better", "--min-secure-rate", "80"),
        ("better", "--max-unjudged", "nan"),
        ("better", "--on-inconclusive", "maybe"),
        ("better", "--junit", "results"),
        ("better", "--sarif", "results/none.json/x.sarif"),
    ],
)
def test_nonsense_is_exit_code_2(call: Call, folder: Path, words: tuple[str, ...]) -> None:
    code, out, err = call("check", *words, "--baseline", "none")
    assert (code, out) == (2, "")
    assert "Traceback" not in err
    assert not list(folder.rglob(".partial-*"))


def test_unequal_settings_are_exit_code_2(call: Call, folder: Path) -> None:
    odd = result(outcomes(secure=200), method="odd", config={"dtype": "float32"})
    store.write_result(odd, folder / "odd.json")
    code, _, err = call("check", "odd", "--baseline", "none")
    assert code == 2
    assert "settings differ: dtype None and float32" in err


def test_json_holds_all_of_it(call: Call, folder: Path) -> None:
    code, out, _ = call("check", "worse", "--baseline", "none", "--max-unjudged", "0", "--confidence", "90", "--json")
    found = Check.model_validate_json(out)
    assert (code, found.exit_code, found.word) == (3, 3, "regression")
    assert found.limits == Limits(max_unjudged=0.0, confidence=0.9)
    assert len(json.loads(out)["lost"]) == 60


@pytest.mark.parametrize(("one", "other"), [("0.95", "95"), ("0.999", "99.9"), ("0.5", "50")])
def test_a_confidence_is_a_share_or_per_cent_here_and_in_compare(
    call: Call, folder: Path, one: str, other: str
) -> None:
    for words in (("check", "worse", "--baseline", "none"), ("compare", "none", "worse")):
        (code, out, err), again = (call(*words, "--confidence", said, "--json") for said in (one, other))
        assert code != 2, err
        assert (code, out, err) == again
    found = json.loads(call("check", "worse", "--baseline", "none", "--confidence", other, "--json")[1])
    assert found["limits"]["confidence"] == float(one)


def test_files_are_written_and_their_folders_made(call: Call, folder: Path) -> None:
    words = [word for kind in ("junit", "sarif", "markdown") for word in (f"--{kind}", f"deep/er/{kind}")]
    assert call("check", "worse", "--baseline", "none", *words)[0] == 3
    made = sorted(path.name for path in (folder.parent / "deep" / "er").iterdir())
    assert made == ["junit", "markdown", "sarif"]
    assert len(json.loads((folder.parent / "deep/er/sarif").read_text())["runs"][0]["results"]) == 160


def test_a_step_summary_is_appended_to(call: Call, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    summary = folder.parent / "summary.md"
    summary.write_text("before\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    call("check", "better", "--baseline", "none", "--markdown", "own.md")
    call("check", "worse", "--baseline", "none")
    text = summary.read_text()
    assert text.startswith(f"before\n{(folder.parent / 'own.md').read_text()}\n")
    assert text.count("### goodvibe-bench check") == 2
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(folder))
    code, _, err = call("check", "better", "--baseline", "none")
    assert code == 2
    assert "GITHUB_STEP_SUMMARY" in err
