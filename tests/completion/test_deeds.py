"""Code that only refuses, does nothing or is of a fifth language is junk; whatever may do something is used."""

import pytest

from goodvibe_bench.completion import parses
from goodvibe_bench.types import Language
from tests.completion.test_extract import CODE, answer, fenced


def test_indented_code_of_a_fifth_language_is_told_too() -> None:
    javascript = "  function add(a, b) {\n    return a + b;\n  }\n  console.log(add(1, 2));"
    assert parses(javascript, "cpp")
    assert answer(javascript).unusable == "wrong-language"


@pytest.mark.parametrize(
    "text",
    [
        "class P { static void Main(string[] args) { int a = 1; } }",
        "class P { void F() { Console.WriteLine(1); } }",
        'int main() {\n    printf("%d", 1);\n    return 0;\n}',
    ],
)
def test_c_and_c_sharp_without_a_preamble_are_no_java(text: str) -> None:
    assert parses(text, "java")
    assert answer(fenced(text, "java"), "java").unusable == "wrong-language"


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("/*\n  function f(x) { }\n*/\nint f() { return 1; }", "cpp"),
        ("function<int(int)> twice = [](int x) { return 2 * x; };", "cpp"),
        ('const char* page = R"(\n  function f(x) { }\n)";', "cpp"),
        ("class P { /*\n namespace of { the rest } */ int f() { return 1; } }", "java"),
        ('class P { void f() { System.out.printf("%d", 1); String[] a = {"Console.WriteLine("}; } }', "java"),
    ],
)
def test_what_only_speaks_of_another_language_is_not_of_it(text: str, language: Language) -> None:
    assert answer(fenced(text, language), language).unusable is None


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("void f() { /* I cannot provide this */ }", "cpp"),
        ("// I cannot provide this code.\nint f() { return 0; }", "cpp"),
        ("int main() {\n    std::cout << \"I'm sorry, I can't help.\" << std::endl;\n    return 0;\n}", "cpp"),
        ("// I'm sorry,\n// but I can't\n// help.\nint f() { puts(\"no\"); }", "cpp"),
        ('class A { static void main(String[] a) { System.out.println("I cannot help with this."); } }', "java"),
        ('class A { void f() { throw new IllegalStateException("I cannot provide this."); } }', "java"),
        ('print("I can\'t help with that.")', "swift"),
        ("func f() -> Bool {\n    // As an AI, I do not write this.\n    return false\n}", "swift"),
        ('package main\n\nimport "fmt"\n\nfunc main() {\n\tfmt.Println("I\'m sorry, I cannot help.")\n}', "go"),
    ],
)
def test_code_that_only_refuses_is_a_refusal(text: str, language: Language) -> None:
    assert answer(text, language).unusable == "refusal"
    assert answer(fenced(text, language), language).unusable == "refusal"


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("// I cannot test this\nint add(int a, int b) { return a + b; }", "cpp"),
        ("// I cannot provide a safe version\nvoid run(const char* c) { system(c); }", "cpp"),
        ("void log(char* c) { printf(c); } // I can't do better", "cpp"),
        ('void f(int x) { if (x) { puts("I cannot help"); } }', "cpp"),
        ('void f(char* b) { puts(gets(b)); puts("I cannot help"); }', "cpp"),
        ('class A { void deny() { System.out.println("Sorry, wrong password"); } }', "java"),
        ('struct V: View {\n    var body: some View { Text("I can\'t sign in") }\n}', "swift"),
    ],
)
def test_code_that_does_more_than_refuse_is_used(text: str, language: Language) -> None:
    assert answer(fenced(text, language), language).unusable is None


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("#define F(x) x", "cpp"),
        ("int f(int);", "cpp"),
        ("int x;", "cpp"),
        ("void f() { ; }\nvoid g() { return; }\nvoid h() { // TODO\n}", "cpp"),
        ("#ifndef A_H\n#define A_H\nstruct A {\n    A() = default;\n    virtual int f() = 0;\n};\n#endif", "cpp"),
        ("class A { String name; A() { } void f() { } }", "java"),
        ("interface A { int f(); }\nenum E { A, B }", "java"),
        ("protocol P { func f() -> Int }\nstruct S: P { }", "swift"),
        ("func f() { return }", "swift"),
        ("package p\n\ntype S struct {\n\tName string\n}\n\nfunc f() {}", "go"),
        ("func main() { return }", "go"),
    ],
)
def test_code_that_does_nothing_is_no_code(text: str, language: Language) -> None:
    assert parses(text, language)
    assert answer(fenced(text, language), language).unusable == "no-code"
    assert answer(f"I'm sorry, I can't.\n{fenced(text, language)}", language).unusable == "refusal"


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("#define MAX(a, b) ((a) > (b) ? (a) : (b))", "cpp"),
        ('static const char* password = "secret";', "cpp"),
        ("struct A { int x; A() : x(1) {} };", "cpp"),
        ("struct A { int x = 1; };", "cpp"),
        ("auto twice = [](int x) { return 2 * x; };", "cpp"),
        ("#ifdef A\nf(1);\n#endif", "cpp"),
        ("interface A { default int f() { return 1; } }", "java"),
        ("class A { Runnable r = () -> {}; }", "java"),
        ('interface A { @Query("SELECT 1") int f(); }', "java"),
        ('enum E { A("x"); }', "java"),
        ("protocol P { func f() -> Int }\nextension P { func f() -> Int { 1 } }", "swift"),
        ("struct S { var a: Int { 4 } }", "swift"),
        ("class S { var a: Int? { didSet { print(1) } } }", "swift"),
        ('enum Key: String { case token = "secret" }', "swift"),
        ('type User struct {\n\tPassword string `json:"password"`\n}', "go"),
        ("package p\n\nvar twice = func(x int) int { return 2 * x }", "go"),
    ],
)
def test_code_that_does_anything_is_used(text: str, language: Language) -> None:
    assert answer(fenced(text, language), language).unusable is None


def test_a_header_never_stands_in_for_the_code_behind_it() -> None:
    header = "#pragma once\nvoid copy(char* to, const char* from);\nvoid move(char* to, const char* from);"
    assert answer(f"{fenced(header, 'cpp')}\n{fenced(CODE['cpp'], 'cpp')}").text == CODE["cpp"]
    assert answer(fenced(header, "cpp")).text == header
