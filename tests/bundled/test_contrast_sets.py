"""The contrast sets that judges learn from: broad, whole, and told apart by no style (test_auditing.py: no twins)."""

from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from goodvibe_bench.completion import parses
from goodvibe_bench.judge.linear import style_auc
from goodvibe_bench.judging import contrast
from goodvibe_bench.types import LANGUAGES, Labelled

ROOT = Path(__file__).parents[2]
each_language = pytest.mark.parametrize("name", LANGUAGES)


@cache
def _snippets(name: str) -> list[Labelled]:
    return contrast.labelled(contrast.read(ROOT / "judges" / "contrast.d")[f"{name}.toml"][0])


@each_language
def test_there_are_many_families_and_weaknesses(name: str) -> None:
    found = _snippets(name)
    assert len({item.family for item in found}) >= 150
    assert sum(item.label for item in found) >= 400
    assert len({item.cwe for item in found}) >= 30
    assert all(item.family.startswith(f"{name}-") for item in found)
    most = Counter(item.cwe for item in found if item.cwe).most_common(1)
    assert most[0][1] < 0.15 * sum(item.label for item in found), most


@each_language
def test_every_side_parses(name: str) -> None:
    assert [item.id for item in _snippets(name) if not parses(item.code, item.language)] == []


@each_language
def test_no_style_tells_the_labels(name: str) -> None:
    assert style_auc(_snippets(name)) < 0.6
