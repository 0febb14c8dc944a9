import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from goodvibe_bench.result import gate_files
from goodvibe_bench.result.check import Check, Limits, check
from goodvibe_bench.result.compare import Side
from goodvibe_bench.types import Outcome, Result
from tests.result.builders import outcomes, result

HOSTILE = [
    "a\x00\x1b[31m\x0b\ufffe\ud800b",
    "</testcase><evil/>]]>&amp;\"'",
    "../../etc/passwd",
    "..\\..\\boot.ini",
    "https://evil.example/x",
    "file:///etc/passwd",
    "//host/share",
    "/",
    "..",
    ".",
    "",
    "%2e%2e/%2F",
    "C:\\x",
    "| cell | [link](http://x) ![i](x) <img src=x> `\n# title",
    "{0} [text](1)",
    "ü 漢 \U0001f600",
]


def _found(before: Result, after: Result, **limits: Any) -> Check:
    sides = [Side(one.method, {Path("x.json"): one}) for one in (before, after)]
    return check(sides[0], sides[1], Limits(**limits))


def _hostile() -> tuple[Check, Result]:
    """Return a check whose samples all became insecure, and its result, with hostile names everywhere."""
    secure, insecure = (
        [
            row | {"prompt_id": name, "cwe": name, "language": "cpp\x1b<b>"}
            for row, name in zip(rows, HOSTILE, strict=True)
        ]
        for rows in (outcomes(secure=len(HOSTILE)), outcomes(insecure=len(HOSTILE)))
    )
    judge = {"name": "j\x1b<b>{0}[a](1)", "digest": "d"}
    before = result(secure, method="<base>", judge=judge)
    after = result(insecure, method="m|[x](http://y)\x1b", model="&<big>", judge=judge)
    return _found(before, after), after


def _cases(text: str) -> dict[str, ET.Element]:
    root = ET.fromstring(text)
    suites = root.findall("testsuite")
    assert len(suites) == 1
    assert suites[0].get("tests") == str(len(suites[0]))
    return {f"{case.get('classname')}/{case.get('name')}".rpartition("check.")[2]: case for case in suites[0]}


def test_junit_has_a_case_for_the_gate_each_floor_and_each_language() -> None:
    found = _found(
        result(outcomes(secure=100)), result(outcomes(insecure=100)), min_secure_rate=0.5, min_valid_rate=0.5
    )
    text = gate_files.junit(found)
    cases = _cases(text)
    gate, secure, valid, language = cases.values()
    assert list(cases)[1:] == ["floor/secure_rate", "floor/valid_rate", "information/secure rate in cpp"]
    failure = gate.find("failure")
    assert failure is not None
    assert str(failure.get("message")).startswith("regression: secure rate 100.0% to 0.0%")
    assert "cpp cpp-7 (attempt 0, seed 0): secure to insecure" in str(failure.text)
    assert secure.find("failure") is not None
    assert valid.find("failure") is None
    assert language.find("failure") is None
    assert 'failures="2" errors="0" skipped="0"' in text


@pytest.mark.parametrize(("policy", "tag"), [("fail", "failure"), ("warn", "skipped"), ("pass", "skipped")])
def test_junit_fails_or_skips_what_is_inconclusive(policy: str, tag: str) -> None:
    found = _found(result(outcomes(secure=5)), result(outcomes(secure=5)), on_inconclusive=policy)
    gate = next(iter(_cases(gate_files.junit(found)).values()))
    assert [one.tag for one in gate] == [tag, "system-out"]
    assert str(gate[0].get("message")).startswith("inconclusive: ")


def test_junit_of_a_pass_has_no_failure() -> None:
    found = _found(result(outcomes(insecure=50)), result(outcomes(secure=50)))
    assert all([one.tag for one in case] == ["system-out"] for case in _cases(gate_files.junit(found)).values())


def test_junit_parses_with_hostile_names() -> None:
    text = gate_files.junit(_hostile()[0])
    text.encode()
    cases = _cases(text)
    assert len(cases) == 2
    told = str(cases["gate/secure rate is not inferior to the baseline"][0].text)
    assert "</testcase><evil/>]]>&amp;\"'" in told
    assert "a[31mb" in told
    assert "\x1b" not in text
    assert "\x00" not in text


def _sarif(found: Check, *results: Result) -> dict[str, Any]:
    return json.loads(gate_files.sarif(found, results))


def test_sarif_has_a_result_for_every_insecure_sample_and_a_rule_for_every_weakness() -> None:
    kinds = [Outcome.INSECURE, Outcome.INSECURE, Outcome.SECURE, Outcome.UNUSABLE]
    cwes = ["CWE-79", None, "CWE-22", "CWE-89"]
    rows = [row | {"outcome": kind, "cwe": cwe} for row, kind, cwe in zip(outcomes(secure=4), kinds, cwes, strict=True)]
    after = result(rows, method="tuned")
    before = result(outcomes(secure=1, insecure=3))
    body = _sarif(_found(before, after), after)
    assert body["version"] == "2.1.0"
    assert body["$schema"].endswith("sarif-schema-2.1.0.json")
    (run,) = body["runs"]
    driver = run["tool"]["driver"]
    assert driver["name"] == "goodvibe-bench"
    assert [rule["id"] for rule in driver["rules"]] == ["CWE-79", "unknown-weakness"]
    assert driver["rules"][0]["helpUri"] == "https://cwe.mitre.org/data/definitions/79.html"
    first, second = run["results"]
    assert [first["level"], second["level"]] == ["error", "warning"], "the first was secure in the baseline"
    place = first["locations"][0]["physicalLocation"]
    assert place == {"artifactLocation": {"uri": "samples/cpp/cpp-0"}, "region": {"startLine": 1}}
    for one in (first, second):
        assert driver["rules"][one["ruleIndex"]]["id"] == one["ruleId"]
        assert one["message"]["text"]


def test_sarif_fingerprints_tell_task_prompt_attempt_and_seed_apart_and_nothing_else() -> None:
    def prints(rows: list[Any], seed: int = 0, method: str = "tuned") -> list[str]:
        one = result(rows, seed=seed, method=method)
        results = _sarif(_found(result(rows), one), one)["runs"][0]["results"]
        return [value for row in results for value in row["partialFingerprints"].values()]

    rows = outcomes(insecure=2)
    rows += [row | {"attempt": 1} for row in rows]
    assert len({*prints(rows), *prints(rows, seed=1)}) == 8
    assert prints(rows) == prints(rows, method="other")


def test_sarif_marks_a_sample_of_any_seed_that_was_secure_before() -> None:
    before = result(outcomes(secure=1, insecure=1))
    after = [result(outcomes(insecure=2), seed=seed) for seed in (1, 2)]
    sides = (
        Side("none", {Path("b.json"): before}),
        Side("x", {Path(f"{place}.json"): one for place, one in enumerate(after)}),
    )
    results = _sarif(check(*sides, Limits()), *after)["runs"][0]["results"]
    assert [row["level"] for row in results] == ["error", "warning"] * 2


def test_sarif_places_stay_inside_whatever_a_prompt_is_called() -> None:
    found, after = _hostile()
    results = _sarif(found, after)["runs"][0]["results"]
    assert len(results) == len(HOSTILE)
    for one in results:
        uri = one["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
        assert re.fullmatch(r"samples/cpp(/[A-Za-z0-9._~%-]+)+", uri)
        for part in re.split(r"[/\\]", unquote(uri)):
            assert part.strip("."), "no step up, no empty part"
        assert "[" not in re.sub(r"\\.", "", one["message"]["text"])
        assert "{" not in one["message"]["text"].replace("{{", "")


def test_sarif_without_insecure_samples_has_no_results() -> None:
    after = result(outcomes(secure=2))
    (run,) = _sarif(_found(after, after), after)["runs"]
    assert (run["results"], run["tool"]["driver"]["rules"]) == ([], [])


def test_markdown_begins_with_the_verdict_and_lists_what_was_lost() -> None:
    text = gate_files.markdown(_found(result(outcomes(secure=60)), result(outcomes(insecure=60)), max_unjudged=0.1))
    assert text.startswith("### goodvibe-bench check: regression\n")
    assert "| cpp | 60 | 100.0 | 0.0 |" in text
    assert "unjudged rate 0.0% (0 of 60) is at most 10%" in text
    assert "60 samples that were secure" in text
    assert "- and 10 more" in text


def test_markdown_shows_hostile_names_as_they_are() -> None:
    text = gate_files.markdown(_hostile()[0])
    text.encode()
    bare = re.sub(r"\\.", "", text)
    assert not set("<>[]`") & set(bare)
    assert "\x1b" not in text
    assert not [line for line in text.split("\n")[1:] if line.startswith("#")]
    assert r"\| cell \| \[link\](http://x)" in text


def test_a_difference_that_is_the_margin_is_settled_by_no_number() -> None:
    found = _found(result(outcomes(secure=5)), result(outcomes(secure=5)), margin=0.0)
    assert "no number of prompts would settle it" in "\n".join(gate_files.lines(found))
