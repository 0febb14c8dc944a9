import json
from pathlib import Path
from typing import Any

import pytest

from goodvibe_bench.errors import UsageError
from goodvibe_bench.result import store
from goodvibe_bench.result.compare import ALL, Comparison, codes, compare, seed_differences, side
from goodvibe_bench.types import Outcome, Result
from tests.conftest import Call
from tests.result.builders import outcomes, record, result, training, two_judges, with_other


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "results"


def _write(folder: Path, one: Result) -> Path:
    path = folder / f"{one.method}-{one.seed}-{one.model.id}.json"
    folder.mkdir(exist_ok=True)
    store.write_result(one, path)
    return path


def _compare(folder: Path, before: Result, after: Result) -> Comparison:
    return compare(*(side(str(_write(folder, one)), folder) for one in (before, after)))


def test_the_difference_is_paired_on_the_same_prompts(folder: Path) -> None:
    found = _compare(folder, result(outcomes(insecure=20)), result(outcomes(secure=12, unusable=8), method="tuned"))
    secure, valid = found.differences
    assert (secure.rate, secure.before, secure.after, secure.difference.gained) == ("secure", 0.0, 0.6, 12)
    assert secure.difference.low > 0.3
    assert (valid.rate, valid.before, valid.after, valid.difference.lost) == ("valid", 1.0, 0.6, 8)
    assert [one.prompt_id for one in found.changes] == sorted(f"cpp-{number}" for number in range(12))
    assert {(one.before, one.after) for one in found.changes} == {(Outcome.INSECURE, Outcome.SECURE)}


def test_prompts_that_only_one_side_has_are_left_out(folder: Path) -> None:
    found = _compare(folder, result(outcomes(secure=5)), result(outcomes(secure=5, insecure=5), method="tuned"))
    assert found.differences[0].difference.n == 5
    assert not found.changes


def test_languages_are_adjusted_for_their_number(folder: Path) -> None:
    hashes: dict[str, Any] = {"task_hashes": {"cpp": "0", "java": "0"}}
    before = result(outcomes(insecure=8) + outcomes(insecure=8, task="java"), **hashes)
    after = result(outcomes(secure=8) + outcomes(secure=1, insecure=7, task="java"), method="tuned", **hashes)
    found = {one.language: one for one in _compare(folder, before, after).differences if one.rate == "secure"}
    assert list(found) == [ALL, "cpp", "java"]
    assert found[ALL].p_holm is None
    assert found["cpp"].p_holm == pytest.approx(2 * found["cpp"].difference.p_families)
    assert found["cpp"].after == 1.0
    assert found["java"].after == 1 / 8


def test_seeds_of_a_method_are_pooled_and_stay_in_one_family(folder: Path) -> None:
    for seed in range(3):
        _write(folder, result(outcomes(secure=6, insecure=4), method="a[x=1]", seed=seed))
        _write(folder, result(outcomes(secure=8, insecure=2), method="b", seed=seed))
    found = compare(side("a", folder), side("b", folder)).differences[0].difference
    assert (found.n, found.families, found.gained) == (30, 10, 6)


def test_what_other_training_seeds_would_give_is_told(folder: Path, call: Call) -> None:
    for seed, secure in enumerate((2, 6, 7)):
        _write(folder, result(outcomes(secure=5, insecure=5), method="a", seed=seed))
        _write(folder, result(outcomes(secure=secure, insecure=10 - secure), method="b", seed=seed))
    sides = side("a", folder), side("b", folder)
    secure, valid = compare(*sides).differences
    assert secure.seeds is not None
    assert secure.seeds.differences == pytest.approx((-0.3, 0.1, 0.2))
    assert secure.seeds.value == pytest.approx(secure.difference.value) == pytest.approx(0.0)
    assert secure.seeds.high == pytest.approx(0.657, abs=0.001), "2 degrees of freedom"
    assert valid.seeds is not None
    assert valid.seeds.low == valid.seeds.high == 0.0
    each = seed_differences(*sides, "j", "secure")
    assert tuple(each.values()) == secure.seeds.differences
    assert list(each) == [(0, 0), (1, 1), (2, 2)]
    with pytest.raises(UsageError, match="not both judged by 'k'"):
        seed_differences(*sides, "k", "secure")
    code, out, _ = call("compare", "a", "b", "--results", str(folder))
    assert code == 0
    assert "- j, secure: +0.0 [-65.7, +65.7], from -30.0, +10.0, +20.0" in out


def test_a_single_seed_says_nothing_of_others(folder: Path, call: Call) -> None:
    found = _compare(folder, result(outcomes(insecure=2)), result(outcomes(secure=2), method="tuned"))
    assert [one.seeds for one in found.differences] == [None, None]
    assert "training seeds" not in call("compare", "none", "tuned", "--results", str(folder))[1]


def test_a_lone_base_is_paired_with_every_seed(folder: Path) -> None:
    _write(folder, result(outcomes(insecure=10)))
    for seed in range(2):
        _write(folder, result(outcomes(secure=1, insecure=9), method="b", seed=seed))
    found = compare(side("none", folder), side("b", folder))
    assert found.differences[0].difference.n == 20
    assert {one.seeds for one in found.changes} == {(0, 0), (0, 1)}


def test_each_judge_sees_a_difference_of_its_own(folder: Path) -> None:
    yes, no = Outcome.SECURE, Outcome.INSECURE
    before = two_judges(with_other(outcomes(insecure=4), [no] * 4))
    after = two_judges(with_other(outcomes(insecure=4), [yes, yes, no, no]), method="tuned")
    found = {(one.judge, one.rate): one.after - one.before for one in _compare(folder, before, after).differences}
    assert found == {("j", "secure"): 0.0, ("j", "valid"): 0.0, ("k", "secure"): 0.5}


def test_unequal_judges_tasks_and_samples_are_refused(folder: Path) -> None:
    before = result(outcomes(secure=2))
    for words, said in (
        ({"judge": {"name": "j", "digest": "other"}}, "not judged alike"),
        ({"task_hashes": {"cpp": "1"}}, "cpp changed in between"),
        ({"task_hashes": {"java": "0"}}, "share no task"),
    ):
        with pytest.raises(UsageError, match=said):
            _compare(folder, before, result(outcomes(secure=2), method="tuned", **words))
    with pytest.raises(UsageError, match="share no sample"):
        _compare(folder, before, result(outcomes(secure=2, task="java"), method="tuned"))


def test_other_settings_and_models_are_told(folder: Path) -> None:
    before = result(outcomes(secure=2), config={"model": "tiny", "dtype": "float32"})
    after = result(outcomes(secure=2), model="big", config={"model": "big", "dtype": "bfloat16"})
    assert _compare(folder, before, after).notes == (
        "models differ: tiny and big",
        "settings differ: dtype float32 and bfloat16",
    )


def test_a_name_that_says_too_little_is_refused(folder: Path) -> None:
    for method in ("a[x=1]", "a[x=2]"):
        _write(folder, result(outcomes(secure=2), method=method))
    with pytest.raises(UsageError, match=r"several methods.*a\[x=1\], a\[x=2\]"):
        side("a", folder)
    with pytest.raises(UsageError, match=r"no method in .*Did you mean"):
        side("a[x=3]", folder)
    _write(folder, result(outcomes(secure=2), method="a[x=1]", model="other"))
    with pytest.raises(UsageError, match="several models"):
        side("a[x=1]", folder)


def test_the_code_of_a_change_is_read_from_the_records(folder: Path) -> None:
    found = _compare(folder, result(outcomes(insecure=1)), result(outcomes(secure=1), method="tuned"))
    after = side("tuned", folder)
    with pytest.raises(UsageError, match="beside the result"):
        codes(after, found.changes[0], 0)
    (folder / "records").mkdir()
    path = folder / "records" / f"{next(iter(after.results)).stem}.jsonl"
    path.write_text(record(0, Outcome.SECURE).model_dump_json() + "\n")
    assert codes(after, found.changes[0], 0) == "int x;"


def test_the_command_prints_differences_and_changes_and_both_codes(call: Call, tmp_path: Path) -> None:
    folder = tmp_path / "results"
    hostile = record(0, Outcome.SECURE)
    hostile = hostile.model_copy(update={"code": hostile.code.model_copy(update={"text": "int \x1b[31my; // [bold]"})})
    for one, sample in (
        (result(outcomes(insecure=1)), record(0, Outcome.INSECURE)),
        (result(outcomes(secure=1), method="tuned"), hostile),
    ):
        path = _write(folder, one)
        (folder / "records").mkdir(exist_ok=True)
        (folder / "records" / f"{path.stem}.jsonl").write_text(sample.model_dump_json() + "\n")
    code, out, _ = call("compare", "none", "tuned", "--show")
    assert code == 0
    assert "tuned minus none" in out
    assert "+100.0" in out
    assert "cpp-0" in out
    assert "int x;" in out
    assert "[bold]" in out
    assert "\x1b[31my" not in out
    code, out, _ = call("compare", "none", "tuned", "--json")
    assert json.loads(out)["differences"][0]["difference"]["gained"] == 1
    code, _, err = call("compare", "none", "nothing")
    assert code == 2
    assert "no method" in err


def _tuned(folder: Path, seed: int) -> Path:
    report = training(training_seconds=9.0 + seed)
    rows = [row | {"asked": False} for row in outcomes(secure=4)]
    return _write(folder, result(rows, method="tuned", seed=seed, training=(report,), utility=answers("1000")))


def answers(right: str) -> dict[str, Any]:
    tasks = {"mmlu": {"results": {}, "samples": {"a": {"docs": "d", "correct": {"acc,none": right}}}}}
    model = {"digest": "d", "languages": ["cpp"], "tasks": tasks, "forgetting": {}}
    return {"settings": {"margin": 0.02}, "models": [model]}


def test_utility_and_cost_stand_beside_security_with_seeds_pooled(folder: Path, call: Call) -> None:
    rows = [row | {"asked": True} for row in outcomes(insecure=4)]
    _write(folder, result(rows, utility=answers("1110")))
    paths = [_tuned(folder, seed) for seed in (0, 1)]
    found = compare(side("none", folder), side("tuned", folder))
    mmlu, asked = found.utility
    assert (mmlu.task, mmlu.before, mmlu.after, mmlu.difference.n, mmlu.difference.families) == (
        "mmlu",
        0.75,
        0.25,
        8,
        4,
    )
    assert (asked.task, asked.before, asked.after) == ("asked", 1.0, 0.0)
    before, after = found.costs
    assert (before.trainable_parameters, before.flops, before.training_seconds) == (0, 0, 0)
    assert (after.trainable_parameters, after.flops, after.training_seconds) == (300, 4 * 10**15, 10.5)
    code, out, _ = call("compare", "none", "tuned", "--results", str(folder))
    assert code == 0
    assert "utility: mmlu acc,none 75.0% -> 25.0%" in out
    assert "cost: trained parameters 0 -> 300, training PFLOP 0 -> 4" in out
    code, out, _ = call("check", str(paths[0]), "--baseline", "none", "--results", str(folder), "--margin", "50")
    assert "cost: trained parameters 0 -> 300" in out


def test_utility_that_one_side_did_not_measure_is_said_to_be_unknown(folder: Path, call: Call) -> None:
    for method, found in (("none", {}), ("tuned", answers("10"))):
        _write(folder, result(outcomes(secure=2), method=method, utility=found, config={"model": "m", "source": {}}))
    _, out, _ = call("compare", "none", "tuned", "--results", str(folder))
    assert "utility: not measured on both sides" in out
    assert "cost: trained parameters ? -> ?" in out


def test_one_training_against_several_seeds_says_nothing_of_others(folder: Path) -> None:
    for seed in range(2):
        _write(folder, result(outcomes(secure=seed, insecure=4 - seed), method="b", seed=seed))
    untrained, trained = _write(folder, result(outcomes(insecure=4))), _tuned(folder, 0)
    several = side("b", folder)
    assert compare(side(str(untrained), folder), several).differences[0].seeds is not None
    assert compare(side(str(trained), folder), several).differences[0].seeds is None
    assert seed_differences(several, side(str(trained), folder), "j", "secure") == {}
