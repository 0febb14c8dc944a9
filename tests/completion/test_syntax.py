"""What counts as code of a language."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goodvibe_bench.completion import definitions, parses, syntax
from goodvibe_bench.completion.syntax import MAX_CHARACTERS
from goodvibe_bench.types import LANGUAGES, Language

CODE: dict[Language, str] = {
    "cpp": '#include <iostream>\nint main() {\n    std::cout << "hi" << std::endl;\n    return 0;\n}\n',
    "java": 'import java.util.*;\npublic class A {\n    public static void main(String[] a) { f("x"); }\n}\n',
    "swift": 'import Foundation\nfunc greet(_ name: String) -> String {\n    return "Hi \\(name)"\n}\n',
    "go": 'package main\n\nimport "fmt"\n\nfunc main() {\n\tfmt.Println("hi")\n}\n',
}


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_program_parses_and_has_one_definition(language: Language) -> None:
    assert parses(CODE[language], language)
    assert definitions(CODE[language], language) == 1


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_program_parses_in_no_other_language(language: Language) -> None:
    assert not any(parses(CODE[language], other) for other in LANGUAGES if other != language)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_truncated_program_does_not_parse(language: Language) -> None:
    assert not parses(CODE[language].rstrip().rstrip("}"), language)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("text", ["", " \n\t\n", "// nothing\n", "/* nothing\n at all */"])
def test_no_code_does_not_parse(text: str, language: Language) -> None:
    assert not parses(text, language)
    assert definitions(text, language) == 0


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("#include <string>\nusing namespace std;\n#define N 3", "cpp"),
        ("package a;\nimport java.util.List;", "java"),
        ("import Foundation", "swift"),
        ("hello\nworld", "swift"),
        ('package main\n\nimport "fmt"', "go"),
        ("hello", "go"),
    ],
)
def test_a_preamble_or_a_lone_word_has_no_definitions(text: str, language: Language) -> None:
    assert parses(text, language)
    assert definitions(text, language) == 0


@pytest.mark.parametrize(
    ("text", "language", "count"),
    [
        ("func add(a, b int) int { return a + b }", "go", 1),
        ("x := 1\nfmt.Println(x)", "go", 2),
        ("char buf[10]; strcpy(buf, s);", "cpp", 2),
        ("Stack::Stack(int n) : size(n) {}", "cpp", 1),
        ("static int add(int a, int b) { return a + b; }\nint twice(int a) { return add(a, a); }", "cpp", 2),
        ("#ifndef A_H\n#define A_H\nint f();\nstruct S { int x; };\n#endif", "cpp", 2),
        ("public static int add(int a, int b) { return a + b; }", "java", 1),
        ("int x = 1; System.out.println(x);", "java", 2),
        ("let x = 1\nprint(x)", "swift", 2),
        ("extension String { var empty: Bool { return isEmpty } }", "swift", 1),
    ],
)
def test_fragments_parse(text: str, language: Language, count: int) -> None:
    assert parses(text, language)
    assert definitions(text, language) == count


def test_bare_java_members_parse_as_inside_a_class() -> None:
    assert parses("import java.util.List;\n\nprivate final int n;\npublic Foo(int n) { this.n = n; }\n", "java")
    assert parses("static { load(); }", "java")


def test_java_with_unbalanced_braces_does_not_close_the_class_put_around_it() -> None:
    assert not parses("public Foo() { x = 1; }\n}\n\npublic class Admin {\n", "java")
    assert not parses("public void f() { }\n}\npublic void g() {\n", "java")


def test_a_text_above_the_limit_does_not_parse() -> None:
    line = "int f();\n"
    assert parses(line * 1000, "cpp")
    assert not parses(line * (MAX_CHARACTERS // len(line) + 1), "cpp")


@pytest.mark.parametrize(
    ("unit", "language"),
    [
        ("/*", "swift"),
        ("#", "swift"),
        (">],", "swift"),
        ("x<", "java"),
        ('[&"', "java"),
        ("x<&", "cpp"),
        ("x[ ;", "go"),
    ],
)
def test_texts_on_which_tree_sitter_hangs_are_given_up_soon(unit: str, language: Language) -> None:
    start = time.process_time()
    assert not parses(unit * (16_000 // len(unit)), language)
    assert time.process_time() - start < 5


@pytest.mark.parametrize(("unit", "language"), [("/*", "swift"), ("#", "swift"), ("x<", "java"), ("x<&", "cpp")])
def test_they_are_given_up_by_their_steps_whatever_the_clock_says(
    monkeypatch: pytest.MonkeyPatch, unit: str, language: Language
) -> None:
    monkeypatch.setattr(syntax, "thread_time", lambda: 0.0)
    assert not parses(unit * (15_000 // len(unit)), language)


@settings(max_examples=50, deadline=None)
@given(st.text(st.characters(), max_size=200), st.sampled_from(LANGUAGES))
def test_any_text_has_an_answer(text: str, language: Language) -> None:
    assert definitions(text + "\0\ud800", language) >= 0
    assert definitions(text, language) == 0 or parses(text, language)


@pytest.mark.parametrize("semicolon", [";", "\n;\n", ";;"])
def test_a_needless_semicolon_at_the_top_of_cpp_is_no_definition_and_no_error(semicolon: str) -> None:
    assert definitions(f"namespace a {{\nvoid f() {{ g(); }}\n}}{semicolon}", "cpp") == 1
    assert definitions(f"{semicolon}int a{semicolon}", "cpp") == 1
    assert definitions(f"#include <a>\n{semicolon}", "cpp") == 0
