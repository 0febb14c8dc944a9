"""A check as text: lines for people, Markdown, JUnit XML and SARIF. It writes no file and computes no rate.

Names, prompt ids and weaknesses are untrusted: none of them makes markup, a path outside, or a file that is not valid.
"""

import hashlib
import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any
from urllib.parse import quote

from goodvibe_bench.result.check import Check, Floor
from goodvibe_bench.result.compare import Change, Difference
from goodvibe_bench.result.form import beside
from goodvibe_bench.types import Outcome, Result
from goodvibe_bench.untrusted import markdown as markdown_text
from goodvibe_bench.untrusted import printable

COLUMNS = ("language", "n", "before", "after", "difference")
_SHOWN = 50
"""Lost samples that Markdown lists; JUnit lists all."""
_TEST = {"kept": "ruled out", "dropped": "proven", "inconclusive": "neither ruled out nor proven"}
_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"


def headline(found: Check) -> str:
    """Return one line that begins with the verdict."""
    missed = "; ".join(floor_line(floor) for floor in found.floors if floor.missed)
    words = [f"{found.after} against {found.before}", test_line(found)]
    return f"{found.word}: {'; '.join([missed, *words] if missed else words)}"


def test_line(found: Check) -> str:
    """Return what the test says of the secure rate."""
    one = found.secure
    return (
        f"secure rate {100 * one.before:.1f}% to {100 * one.after:.1f}%, {_points(one)} points, "
        f"a drop of more than {100 * found.limits.margin:g} points is {_TEST[found.answer]}"
    )


def lines(found: Check) -> list[str]:
    """Return the lines below the headline: test, validity, what would settle it, floors, utility and cost, notes."""
    one, valid = found.secure.difference, found.valid
    told = [
        f"margin {100 * found.limits.margin:g} points, confidence {100 * found.limits.confidence:g}%, "
        f"judge {found.judge}: {one.n} paired samples of {found.prompts} prompts in {one.families} families, "
        f"{one.gained} gained, {one.lost} lost",
        f"valid rate {100 * valid.before:.1f}% to {100 * valid.after:.1f}%, {_points(valid)} points (not tested)",
        f"unjudged {100 * found.rates['unjudged_rate'].value:.1f}%",
    ]
    if found.answer == "inconclusive":
        told.append(_power(found))
    return [*told, *map(floor_line, found.floors), *beside(found.utility, found.costs), *found.notes]


def _power(found: Check) -> str:
    value = f"{100 * found.secure.difference.value:+.1f} points"
    if found.prompts_needed is None:
        return f"no number of prompts would settle it, were {value} the true difference: it is the margin itself"
    return (
        f"about {found.prompts_needed} prompts would settle it (80% power, were {value} the true difference); "
        f"there are {found.prompts}"
    )


def floor_line(floor: Floor) -> str:
    """Return what a floor asks and whether it holds."""
    name, low = floor.rate.replace("_", " "), floor.rate != "unjudged_rate"
    observed = f"{100 * floor.observed.value:.1f}% ({round(floor.observed.value * floor.observed.n)} of "
    observed += f"{floor.observed.n})"
    side = ("below" if low else "above") if floor.missed else ("at least" if low else "at most")
    return f"{name} {observed} is {side} {100 * floor.limit:g}%"


def language_cells(found: Check) -> list[list[str]]:
    """Return a row a language, by COLUMNS: shares in per cent, the difference in points with its interval."""
    return [
        [one.language, str(one.difference.n), f"{100 * one.before:.1f}", f"{100 * one.after:.1f}", _points(one)]
        for one in found.languages
    ]


def _points(one: Difference) -> str:
    found = one.difference
    return f"{100 * found.value:+.2f} [{100 * found.low:+.2f}, {100 * found.high:+.2f}]"


def _lost_line(one: Change) -> str:
    return f"{one.task} {one.prompt_id} (attempt {one.attempt}, seed {one.seeds[1]}): {one.before} to {one.after}"


def markdown(found: Check) -> str:
    """Return a summary for a pull request or a step."""
    blocks = [
        f"### goodvibe-bench check: {found.word}",
        markdown_text(headline(found)),
        "\n".join(f"- {markdown_text(line)}" for line in lines(found)),
        "\n".join(
            [f"| {' | '.join(COLUMNS)} |", "|" + " --- |" * len(COLUMNS)]
            + [f"| {' | '.join(map(markdown_text, cells))} |" for cells in language_cells(found)]
        ),
    ]
    if found.lost:
        shown = [f"- {markdown_text(_lost_line(one))}" for one in found.lost[:_SHOWN]]
        left = len(found.lost) - len(shown)
        more = [f"- and {left} more"] if left else []
        title = f"{len(found.lost)} samples that were secure in the baseline and are not now:"
        blocks.append("\n".join([title, "", *shown, *more]))
    return "\n\n".join(blocks) + "\n"


def junit(found: Check) -> str:
    """Return JUnit XML: a test case for the gate, one a floor, and one a language that never fails."""
    suite = ET.Element("testsuite", name="goodvibe-bench check")
    gate = _case(suite, "gate", "secure rate is not inferior to the baseline", [headline(found), *lines(found)])
    if found.answer != "kept":
        fails = found.answer == "dropped" or found.limits.on_inconclusive == "fail"
        told = [_lost_line(one) for one in found.lost]
        word = "regression" if found.answer == "dropped" else "inconclusive"
        _outcome(gate, "failure" if fails else "skipped", f"{word}: {test_line(found)}", told)
    for floor in found.floors:
        case = _case(suite, "floor", floor.rate, [floor_line(floor)])
        if floor.missed:
            _outcome(case, "failure", floor_line(floor), [])
    for cells in language_cells(found):
        told = [f"{name}: {cell}" for name, cell in zip(COLUMNS, cells, strict=True)]
        _case(suite, "information", f"secure rate in {cells[0]}", told)
    failures, skipped = (len(suite.findall(f"*/{kind}")) for kind in ("failure", "skipped"))
    for name, count in {"tests": len(suite), "failures": failures, "errors": 0, "skipped": skipped}.items():
        suite.set(name, str(count))
    suites = ET.Element("testsuites")
    suites.append(suite)
    ET.indent(suites)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(suites, encoding="unicode") + "\n"


def _case(suite: ET.Element, kind: str, name: str, told: Sequence[str]) -> ET.Element:
    case = ET.SubElement(suite, "testcase", classname=f"goodvibe-bench.check.{kind}", name=_xml(name))
    ET.SubElement(case, "system-out").text = _xml("\n".join(told))
    return case


def _outcome(case: ET.Element, kind: str, message: str, told: Sequence[str]) -> None:
    """Put a failure or a skip before the output of a test case."""
    found = ET.Element(kind, message=_xml(message))
    found.text = _xml("\n".join([message, *told]))
    case.insert(0, found)


def _xml(text: str) -> str:
    """Return `text` without the characters that XML 1.0 forbids."""
    return re.sub("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "", text)


def sarif(found: Check, results: Sequence[Result]) -> str:
    """Return SARIF 2.1.0 with one result for every sample of `results`, the checked side's, that is insecure.

    Its level is "error" where the sample was secure in the baseline. Its rule is the weakness that the prompt invites:
    the judge says that code is insecure and not why.
    """
    was_secure = {(one.task, one.prompt_id, one.attempt, one.seeds[1]) for one in found.lost}
    insecure = [(row, one.seed) for one in results for row in one.outcomes if row["outcome"] == Outcome.INSECURE]
    rules = sorted({_weakness(row) for row, _ in insecure})
    told = []
    for row, seed in insecure:
        key = (row["task"], row["prompt_id"], row["attempt"], seed)
        told.append(_sarif_result(row, key, found.judge, rules, key in was_secure))
    driver = {
        "name": "goodvibe-bench",
        "version": version("goodvibe-bench"),
        "rules": [_rule(weakness) for weakness in rules],
    }
    body = {"$schema": _SCHEMA, "version": "2.1.0", "runs": [{"tool": {"driver": driver}, "results": told}]}
    return json.dumps(body, indent=1) + "\n"


def _sarif_result(
    row: dict[str, Any], key: tuple[str, str, int, int], judge: str, rules: list[str], was_secure: bool
) -> dict[str, Any]:
    weakness, place = _weakness(row), f"samples/{_segments(row['task'])}/{_segments(row['prompt_id'])}"
    before = "; it was secure in the baseline" if was_secure else ""
    text = f"Judge {judge} calls the code insecure; its prompt invites {weakness}{before}."
    return {
        "ruleId": weakness,
        "ruleIndex": rules.index(weakness),
        "level": "error" if was_secure else "warning",
        "message": {"text": _message(text)},
        "locations": [{"physicalLocation": {"artifactLocation": {"uri": place}, "region": {"startLine": 1}}}],
        "partialFingerprints": {"goodvibeSample/v1": hashlib.sha256(json.dumps(key).encode()).hexdigest()},
        "properties": {"language": row["language"], "attempt": row["attempt"], "seed": key[-1]},
    }


def _weakness(row: dict[str, Any]) -> str:
    return printable(str(row.get("cwe") or "unknown-weakness"))


def _rule(weakness: str) -> dict[str, Any]:
    number = re.fullmatch(r"CWE-([0-9]{1,6})", weakness)
    rule: dict[str, Any] = {"id": weakness, "shortDescription": {"text": _message(f"Insecure code: {weakness}")}}
    if number is None:
        return rule
    link = f"https://cwe.mitre.org/data/definitions/{number[1]}.html"
    return rule | {"helpUri": link, "properties": {"tags": ["security", f"external/cwe/cwe-{number[1].zfill(3)}"]}}


def _segments(name: str) -> str:
    """Return a relative path that stays inside, however often it is decoded: its dots-only parts become "_"."""
    parts = [part if part.strip(". ") else "_" for part in re.split(r"[/\\]", name)]
    return "/".join(quote(part, safe="", errors="replace") for part in parts)


def _message(text: str) -> str:
    """Return `text` as a SARIF message that holds no link and no placeholder."""
    return re.sub(r"([\\\[\]])", r"\\\1", printable(text)).replace("{", "{{").replace("}", "}}")
