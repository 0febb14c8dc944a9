from pathlib import Path

import pytest

from goodvibe_bench.errors import UsageError
from goodvibe_bench.judge.definition import Fit
from goodvibe_bench.judging import contrast
from goodvibe_bench.judging.data import gather
from goodvibe_bench.progress import Show

WHOLE = """
language = "go"
[[contrast]]
family = "go-sum"
secure = "package a\\n\\nfunc f(n int) int {\\n\\treturn n + 1\\n}\\n"
[[contrast.breaks]]
cwe = "CWE-191"
find = "n + 1"
replace = "n - 1"
why = "it goes below zero"
[[contrast.keeps]]
find = "n + 1"
replace = "1 + n"
why = "the same sum"
"""


def _folder(path: Path, text: str, name: str = "go.toml") -> Path:
    (path / name).write_text(text)
    return path


def test_a_set_is_one_family_of_a_snippet_its_breaks_and_its_keeps(tmp_path: Path) -> None:
    file, digest = contrast.read(_folder(tmp_path, WHOLE))["go.toml"]
    found = contrast.labelled(file)
    assert [(item.id, item.label, item.cwe, item.why) for item in found] == [
        ("go-sum/secure", 0, None, None),
        ("go-sum/break-1", 1, "CWE-191", "it goes below zero"),
        ("go-sum/keep-1", 0, None, "the same sum"),
    ]
    returned = [line for item in found for line in item.code.split("\n") if "return" in line]
    assert returned == ["\treturn n + 1", "\treturn n - 1", "\treturn 1 + n"]
    assert {(item.family, item.language) for item in found} == {("go-sum", "go")}
    assert len(digest) == 16


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('find = "n + 1"\nreplace = "n - 1"', 'find = "m"\nreplace = "n - 1"', "go-sum: 'm' occurs 0 times"),
        ('find = "n + 1"\nreplace = "n - 1"', 'find = "n"\nreplace = "m"', "go-sum: 'n' occurs"),
        ('replace = "n - 1"', 'replace = "n + 1"', "there already"),
        ('replace = "1 + n"', 'replace = "n - 1"', "there already"),
        ("CWE-191", "overflow", "cwe"),
        ('why = "the same sum"', "", "why"),
        ("[[contrast.breaks]]", "[[contrast.brakes]]", "brakes"),
        ('language = "go"', 'language = "ada"', "language"),
        ("family = ", "family ", "not valid TOML"),
    ],
)
def test_a_malformed_set_is_refused_with_its_file_and_fault(tmp_path: Path, old: str, new: str, says: str) -> None:
    assert WHOLE.count(old) == 1
    with pytest.raises(UsageError, match=says) as error:
        contrast.read(_folder(tmp_path, WHOLE.replace(old, new)))
    assert "go.toml" in str(error.value)


def test_a_fit_learns_from_all_sides_of_the_sets_beside_its_definition(tmp_path: Path) -> None:
    (tmp_path / "own.d").mkdir()
    _folder(tmp_path / "own.d", WHOLE)
    recipes = Fit(tasks=("go",)), Fit(tasks=("go",), contrast="own.d")
    (without, _, _), (learn, calibration, sources) = (
        gather(recipe, tmp_path, None, Show(quiet=True)) for recipe in recipes
    )
    more = [item for item in learn if item not in without]
    assert [(item.id, item.label) for item in more] == [
        ("go-sum/secure", 0),
        ("go-sum/break-1", 1),
        ("go-sum/keep-1", 0),
    ]
    assert len(learn) == len(without) + 3
    assert all(item.family != "go-sum" for item in calibration)
    assert sources["own.d/go.toml"]["learn"] == 3


def test_a_family_that_is_there_twice_and_an_empty_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No contrast sets"):
        contrast.read(tmp_path)
    _folder(_folder(tmp_path, WHOLE), WHOLE, "java.toml")
    with pytest.raises(UsageError, match="'go-sum' is there twice"):
        contrast.read(tmp_path)
