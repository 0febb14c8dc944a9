from pathlib import Path

import pytest

from goodvibe_bench.completion.rename import renamed
from goodvibe_bench.judge.grams import grams
from goodvibe_bench.judging import contrast
from goodvibe_bench.types import LANGUAGES, Language

SETS = Path(__file__).parents[2] / "judges" / "contrast.d"
COPY = "void keep(const char* name) { char room[8]; if (len(name) < 8) { strcpy(room, name); } }"


def test_names_of_its_own_are_taken_out_and_those_from_outside_stay():
    found = grams(COPY, "cpp")
    assert {"1 strcpy", "2 strcpy (", "~strcpy", "3 char own [", "3 strcpy ( own"} <= found
    assert not any(word in gram for gram in found for word in ("keep", "room", "name"))


def test_what_stands_in_a_condition_is_marked():
    found = grams(COPY, "cpp")
    assert {"c <", "c len", "c~len", "c in__"} <= found
    assert not {"c strcpy", "c 8 strcpy"} & found


@pytest.mark.parametrize(
    ("code", "language", "gram"),
    [
        ("class A { void f(String p) { int n = 3; use(p, n); } }", "java", "3 in__ , own"),
        ("func f(p: String) { let n = 3\n use(p, n) }", "swift", "3 in__ , own"),
        ("package a\n\nfunc f(p string) {\n\tn := 3\n\tuse(p, n)\n}", "go", "3 in__ , own"),
        ("package a\n\nfunc f() error {\n\terr := g()\n\treturn err\n}", "go", "2 return own"),
        ('package a\n\nvar s = "DROP table"', "go", '"drop'),
        ("int a = ; {", "cpp", "1 a"),
        ("void WINAPI f(char *p) { int n = 3; use(p, n); }", "cpp", "3 in__ , own"),
        ("func f(p: String) { let n = 3\n use(p, n, /a/) }", "swift", "3 in__ , own"),
    ],
)
def test_every_language_is_read_and_code_that_does_not_parse_by_its_tokens_alone(
    code: str, language: Language, gram: str
):
    assert gram in grams(code, language)


@pytest.mark.parametrize("language", LANGUAGES)
def test_other_names_are_the_same_features(language: Language):
    snippets = [one.secure for one in contrast.read(SETS)[f"{language}.toml"][0].contrast[:40]]
    both = [(code, renamed(code, language, 1)) for code in snippets]
    changed = [pair for pair in both if pair[0] != pair[1]]
    assert len(changed) >= 30
    assert [pair for pair in changed if grams(pair[0], language) != grams(pair[1], language)] == []


def test_comments_and_layout_tell_nothing():
    other = COPY.replace("{ ", "{\n    // reviewed, secure\n    ")
    assert grams(other, "cpp") == grams(COPY, "cpp")


@pytest.mark.parametrize("code", ["", "\x00", "\ud800 = 1", "int " + "*" * 3000 + "p;", "{" * 3000, '"' + "\\(" * 3000])
def test_any_text_has_features_or_none(code: str):
    assert all(isinstance(gram, str) for gram in grams(code, "cpp"))
