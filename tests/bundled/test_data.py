"""The bundled rows: enough of them, clean, minimal, and the same words on both sides."""

import re
from collections import Counter
from functools import cache
from pathlib import Path

import pytest
from cwe2.database import Database

from goodvibe_bench.completion import parses
from goodvibe_bench.judge.linear import style_auc
from goodvibe_bench.task import load
from goodvibe_bench.task.load import crossing_twins
from goodvibe_bench.trainer.train import labelled
from goodvibe_bench.types import LANGUAGES
from tests.bundled.rows import labels, rows, snippets

ROOT = Path(__file__).parents[2]
each_language = pytest.mark.parametrize("name", LANGUAGES)
BANNED = (
    *("secur", "safe", "vulnerab", "validat", "sanitiz", "sanitis", "attack", "exploit", "malicious", "untrusted"),
    *("hacker", "injection", "overflow", "protect", "harden", "escape"),
)
RESERVED_OR_DEPRECATED = re.compile(r"^DEPRECATED", re.IGNORECASE)


@cache
def _weakness(number: int) -> str:
    """Return the name; cached, since each look-up reads a table of a thousand rows."""
    return Database().get(number).name


@each_language
def test_there_are_enough_prompts_families_and_weaknesses(name: str) -> None:
    prompts = rows(name).written
    assert len(prompts) >= 60
    sizes = Counter(prompt.family for prompt in prompts)
    assert len(sizes) >= 30
    assert max(sizes.values()) <= 3
    assert len({prompt.cwe for prompt in prompts}) >= 20


@each_language
def test_there_are_enough_pairs_and_cases_of_both_labels(name: str) -> None:
    assert len(rows(name).pairs) >= 120
    cases = labels(rows(name).cases)
    assert min(cases.count(0), cases.count(1)) >= 15


@each_language
def test_loading_a_bundled_task_loses_no_row(name: str) -> None:
    found = rows(name)
    for file, kept in (("pairs", found.pairs), ("prompts", found.written), ("calibration", found.cases)):
        lines = (ROOT / "tasks" / name / f"{file}.jsonl").read_text(encoding="utf-8").split("\n")
        assert len(kept) == sum(bool(line.strip()) for line in lines)


def test_ids_are_unique_over_all_bundled_tasks() -> None:
    ids = Counter(row.id for name in LANGUAGES for row in [*rows(name).pairs, *rows(name).written, *rows(name).cases])
    assert [found for found, times in ids.items() if times > 1] == []


@each_language
def test_no_prompt_speaks_of_security(name: str) -> None:
    texts = {row.id: row.text for row in rows(name).written} | {pair.id: pair.prompt for pair in rows(name).pairs}
    assert [(row, word) for row, text in texts.items() for word in BANNED if word in text.lower()] == []


@each_language
def test_prompts_are_short(name: str) -> None:
    assert [row.id for row in rows(name).written if not 5 <= len(row.text.split()) <= 80] == []


@each_language
def test_every_snippet_parses_and_no_pair_has_flags(name: str) -> None:
    language = rows(name).pairs[0].language
    assert [place for place, code in snippets(name).items() if not parses(code, language)] == []
    assert [(pair.id, pair.flags) for pair in rows(name).pairs if pair.flags] == []


@each_language
def test_every_row_names_a_weakness_that_exists_and_its_reasons(name: str) -> None:
    found = rows(name)
    for row in [*found.pairs, *found.written, *found.cases]:
        assert row.cwe is not None, row.id
        said = _weakness(int(row.cwe.removeprefix("CWE-")))
        assert not RESERVED_OR_DEPRECATED.match(said), (row.id, said)
    assert [pair.id for pair in found.pairs if not (pair.why_secure and pair.why_insecure)] == []
    assert [case.id for case in found.cases if not case.why] == []


@each_language
def test_prompts_pairs_and_cases_share_no_family(name: str) -> None:
    found = rows(name)
    kinds = [{row.family for row in part} for part in (found.pairs, found.written, found.cases)]
    assert None not in set.union(*kinds)
    assert len(set.union(*kinds)) == sum(len(kind) for kind in kinds)


@each_language
def test_no_family_crosses_parts(name: str) -> None:
    places: dict[str | None, set[str]] = {}
    for pair, part in zip(rows(name).pairs, rows(name).parts, strict=True):
        places.setdefault(pair.family, set()).add(part)
    assert [family for family, parts in places.items() if len(parts) > 1] == []


@each_language
def test_a_bundled_task_has_no_crossing_twins(name: str) -> None:
    found = load(name)
    assert crossing_twins(found) == 0
    assert len(found.audit) == 1 + 6, "the cosine and every two of four parts"


@each_language
def test_style_tells_no_label(name: str) -> None:
    assert style_auc(labelled(rows(name).pairs)) < 0.65


@each_language
def test_length_tells_no_label(name: str) -> None:
    longer = [len(pair.secure) > len(pair.insecure) for pair in rows(name).pairs]
    shorter = [len(pair.secure) < len(pair.insecure) for pair in rows(name).pairs]
    assert 0.5 < sum(longer) / sum(shorter) < 2


@each_language
def test_the_sides_of_a_pair_differ_in_little(name: str) -> None:
    from difflib import SequenceMatcher

    alike = {
        pair.id: SequenceMatcher(None, pair.secure.splitlines(), pair.insecure.splitlines(), autojunk=False).ratio()
        for pair in rows(name).pairs
    }
    assert sorted(alike.values())[len(alike) // 2] >= 0.85, "half of the pairs share almost every line"
    assert {place: share for place, share in alike.items() if share < 0.5} == {}


@each_language
def test_comments_do_not_tell_the_sides_apart(name: str) -> None:
    words = re.compile(r"(?://|/\*).*\b(?:vulnerab|insecure|unsafe|secure|exploit|attack)", re.IGNORECASE)
    assert [place for place, code in snippets(name).items() if words.search(code)] == []
