"""Rewrites keep the code's meaning: what they may change, and what they may not."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from goodvibe_bench.completion import extract, parses
from goodvibe_bench.completion.leaves import is_comment, read, same_code, tokens, walk
from goodvibe_bench.completion.reformat import reformatted
from goodvibe_bench.completion.rename import renamed, renamed_together
from goodvibe_bench.completion.rewrite import (
    marked_reviewed,
    with_comments,
    with_dead_code,
    with_stray_tokens,
    with_unused_string,
    without_comments,
    wrapped_in_fence,
    wrapped_in_prose,
)
from goodvibe_bench.task.flags import side_flags
from goodvibe_bench.types import LANGUAGES, Completion, Language
from tests.bundled import test_compile
from tests.bundled.rows import rows, snippets

SAMPLE = 8
each_language = pytest.mark.parametrize("language", LANGUAGES)
LAYOUT: dict[str, Callable[[str, Language, int], str]] = {
    "reformatted": reformatted,
    "without_comments": lambda text, language, seed: without_comments(text, language),
    "with_comments": with_comments,
    "marked_reviewed": lambda text, language, seed: marked_reviewed(text, language),
}
ALL = LAYOUT | {"renamed": renamed, "with_dead_code": with_dead_code, "with_unused_string": with_unused_string}


def sample(language: Language, seed: int = 7) -> list[str]:
    return Random(seed).sample(sorted(snippets(language).values()), SAMPLE)


def strings(text: str, language: Language) -> list[str]:
    """Every string's own text, without what is interpolated."""
    source = read(text, language)
    assert source is not None
    parts = re.compile(r"string_(?:content|fragment)|\w*str_text|\w*literal_content|raw_string_literal")
    return [(node.text or b"").decode() for node in walk(source.root) if parts.fullmatch(node.type)]


def names(text: str, language: Language) -> list[str]:
    source = read(text, language)
    assert source is not None
    return [
        (node.text or b"").decode() for node in walk(source.root) if "identifier" in node.type and not node.children
    ]


def comments(text: str, language: Language) -> list[str]:
    source = read(text, language)
    assert source is not None
    return [(node.text or b"").decode() for node in tokens(source.root) if is_comment(node)]


@each_language
@pytest.mark.parametrize("rewrite", ALL)
def test_a_rewrite_parses_keeps_strings_and_is_the_same_again(language: Language, rewrite: str) -> None:
    changed = 0
    for seed, text in enumerate(sample(language)):
        new = ALL[rewrite](text, language, seed)
        changed += new != text
        assert parses(new, language)
        assert strings(new, language)[: len(strings(text, language))] == strings(text, language)
        assert ALL[rewrite](text, language, seed) == new
        if rewrite in LAYOUT:
            source = read(text, language)
            assert source is not None
            assert same_code(source, new, language)
    assert changed > SAMPLE / 2 or rewrite == "without_comments"


@each_language
def test_new_names_are_a_bijection_and_stand_nowhere_else(language: Language) -> None:
    for seed, text in enumerate(sample(language, 8)):
        old, new = names(text, language), names(renamed(text, language, seed), language)
        forth, back = dict(zip(old, new, strict=True)), dict(zip(new, old, strict=True))
        assert [forth[name] for name in old] == new
        assert [back[name] for name in new] == old
        assert not any(name in text for was, name in forth.items() if was != name)


@each_language
def test_both_sides_of_a_pair_get_the_same_names(language: Language) -> None:
    for pair in Random(3).sample(rows(language).pairs, 4):
        secure, insecure = renamed_together([pair.secure, pair.insecure], language, 5)
        maps = [
            dict(zip(names(text, language), names(new, language), strict=True))
            for text, new in ((pair.secure, secure), (pair.insecure, insecure))
        ]
        assert (secure, insecure) != (pair.secure, pair.insecure)
        assert all(maps[1][name] == maps[0][name] for name in maps[0].keys() & maps[1].keys())


@pytest.mark.parametrize(
    ("language", "text", "kept"),
    [
        ("java", "class A { int size; int f() { return size; } int g(int size) { return size; } }", "size"),
        ("java", "class A extends B { int f() { return count; } int g(int count) { return count; } }", "count"),
        ("java", "class A { void f(@Param String user) { g(user); } }", "user"),
        ("cpp", "#define LOG(x) print(level, x)\nvoid f(int level) { LOG(1); g(level); }", "level"),
        ("cpp", "void f(V v) { auto size = v.size(); g(size); }", "size"),
        ("cpp", "int helper(int a) { return a; }\nint f() { return helper(1); }", "helper"),
        ("swift", "func f(path: String) { g(path) }", "path"),
        ("swift", "extension A { func f() { guard let data = data else { return }; g(data) } }", "data"),
        ("swift", "class A { func f() { if let token { g(token) } } }", "token"),
        ("go", "package a\n\nfunc f(name string) T {\n\treturn T{name: name}\n}\n", "name"),
        ("go", 'package a\n\nimport "fmt"\n\nfunc Do(x int) {\n\tfmt.Println(x)\n}\n', "fmt"),
        ("go", "package a\n\nfunc f() {\n\tfor err = range g() {\n\t\th(err)\n\t}\n}\n", "err"),
    ],
)
def test_a_name_that_may_mean_something_else_stays(language: Language, text: str, kept: str) -> None:
    assert parses(text, language)
    assert names(renamed(text, language, 1), language).count(kept) == names(text, language).count(kept)


@pytest.mark.parametrize(
    ("language", "text", "gone"),
    [
        ("cpp", "static int half(int a) { return a / 2; }\nint f(int b) { return half(b); }", "half a b"),
        ("java", "class A { private int half(int a) { return a / 2; } int f(int b) { return half(b); } }", "half a b"),
        ("swift", 'func f(_ name: String) -> String { let all = "x \\(name)"; return all }', "name all"),
        (
            "go",
            "package a\n\nfunc half(n int) int {\n\treturn n / 2\n}\n\nfunc F(k int) int {\n\treturn half(k)\n}\n",
            "half n k",
        ),
    ],
)
def test_locals_parameters_and_private_functions_get_new_names(language: Language, text: str, gone: str) -> None:
    assert parses(text, language)
    assert set(gone.split()) & set(names(renamed(text, language, 1), language)) == set()


@each_language
def test_no_comment_is_left_but_directives(language: Language) -> None:
    for text in [*sample(language), *(with_comments(text, language, 3) for text in sample(language))]:
        bare = without_comments(text, language)
        assert [found for found in comments(bare, language) if not found.startswith("//go:")] == []
        assert without_comments(bare, language) == bare


def test_stripping_keeps_strings_directives_and_line_ends() -> None:
    text = '//go:build linux\n\npackage a\n\n// F is.\nfunc F() string {\n\treturn "// no" /* a\n\tb */\n}\n'
    bare = '//go:build linux\n\npackage a\n\nfunc F() string {\n\treturn "// no"\n}\n'
    assert without_comments(text, "go") == bare
    assert without_comments("#define A 1 // one\nint f(int a /* b */, int c); // d\n", "cpp") == (
        "#define A 1 // one\nint f(int a, int c);\n"
    )


@each_language
def test_layout_is_stable_and_leaves_comments_alone(language: Language) -> None:
    for seed, text in enumerate(sample(language)):
        once = reformatted(text, language, seed)
        assert reformatted(once, language, seed) == once
        assert comments(once, language) == comments(text, language)


@each_language
def test_wrapped_code_is_extracted_again(language: Language) -> None:
    for seed, text in enumerate(sample(language)):
        for wrapped in (wrapped_in_fence(text, language), wrapped_in_prose(text, seed)):
            answer = Completion(prompt_id="", text=wrapped, stop="end", tokens=0, seconds=0)
            code = extract(answer, language)
            assert code.unusable is None
            assert code.text.strip() == text.strip()


def test_stray_tokens_are_those_that_loading_flags() -> None:
    text = "int f() {\n    g();\n    return 1;\n}\n"
    damaged = {with_stray_tokens(text, seed) for seed in range(20)}
    assert all("stray-token" in side_flags(found, "cpp") for found in damaged)
    assert len(damaged) > 5
    assert with_stray_tokens("no statement", 1) == "no statement"


@each_language
@pytest.mark.parametrize("text", ["", "I cannot help.)(", "\ud800", "\0", "// only a comment\n"])
def test_what_does_not_parse_is_left_alone(language: Language, text: str) -> None:
    assert {rewrite(text, language, 1) for rewrite in ALL.values()} == {text}
    assert renamed_together([text, "x = 1"], language, 1) == [text, "x = 1"]


def _rewritten(language: Language) -> dict[str, str]:
    found = {}
    for seed, text in enumerate(sample(language, 9)[:5]):
        bare = without_comments(renamed(text, language, seed), language)
        found[str(seed)] = reformatted(
            with_unused_string(with_dead_code(bare, language, seed), language, seed + 1), language, seed
        )
    return found


@pytest.mark.skipif(shutil.which("g++") is None, reason="g++ is not installed: make toolchains")
def test_rewritten_cpp_compiles(tmp_path: Path) -> None:
    assert [
        fault for code in _rewritten("cpp").values() if "error:" in (fault := test_compile._cpp_fault(code, tmp_path))
    ] == []


@pytest.mark.skipif(shutil.which("javac") is None, reason="javac is not installed: make toolchains")
def test_rewritten_java_compiles(tmp_path: Path) -> None:
    assert test_compile._java_faults(_rewritten("java"), tmp_path) == []


@pytest.mark.skipif(shutil.which("go") is None, reason="go is not installed: make toolchains")
def test_rewritten_go_passes_vet(tmp_path: Path) -> None:
    assert test_compile._go_faults(_rewritten("go"), tmp_path) == ""
