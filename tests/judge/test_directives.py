import time
from typing import Any

import pytest

from goodvibe_bench.judge.analyser import scan
from goodvibe_bench.judge.definition import ToolName
from goodvibe_bench.judge.directives import disarmed
from goodvibe_bench.judge.tools import TOOLS, Installed
from goodvibe_bench.types import Language

WEAK = "int f() { int* p = nullptr; return *p; }"
LOOPS = "func f() { f() }"
INCLUDES = [
    '#include "/dev/zero"',
    "#include </dev/zero>",
    '%:include "/dev/zero"',
    '  # \t include\f"/dev/zero"',
    '/* a\n */ # /* b\n */ include /* c */ "/dev/zero"',
    '#define ZERO "/dev/zero"\n#include ZERO',
    '#inc\\\nlude \\\n"/dev/zero"',
    '\\\n#\\ \n include "/dev/zero"',
    '// a comment \\ \n#include "/dev/zero"',
    '#if 0\n#include "/dev/zero"\n#endif',
    '#include_next "/dev/zero"',
    '#include "../../../../../../../../dev/zero"',
]
MOVES = [
    "#line 100000",
    '#line 1 "s1/code.cpp"',
    '# 12 "elsewhere.cpp"',
    "#\\\nline 77",
    "/* a\n*/#/* b */line/* c */77",
    '#file "s1/code.cpp"',
    "#pragma asm",
    "# /* a */ pragma asm of a kind",
    "#include </*>",
    "#include </\\\n*>",
]
LEFT = [
    "#if 0\n#endif",
    "#define LINE(line) #line",
    "#define include 1",
    "#pragma once",
    "#linear 1",
    'auto s = "a #line 1";',
    "int a; // see #include",
    "# /* without an end\ninclude",
]


def _scan(name: ToolName, texts: list[str], language: Language) -> list[Any]:
    found: Installed | None = TOOLS[name].find()
    if found is None:
        pytest.skip(f"{name} is not installed: {TOOLS[name].install}")
    return scan(TOOLS[name], found, texts, language, timeout_seconds=20)


@pytest.mark.parametrize("line", [*INCLUDES, *MOVES])
def test_a_directive_becomes_a_pragma_that_says_nothing_and_no_line_moves(line: str) -> None:
    code = f"int a;\n{line}\n{WEAK}"
    found = disarmed(code, "cpp")
    assert "pragma goodvibe" in found
    assert found.count("\n") == code.count("\n")
    assert found.replace("pragma goodvibe ", "").replace("</ ", "</") == code, "nothing is taken away"


@pytest.mark.parametrize("line", LEFT)
def test_other_lines_stay_as_they_are(line: str) -> None:
    assert disarmed(line, "cpp") == line


def test_other_languages_have_no_such_directives() -> None:
    assert disarmed("#line 1", "java") == disarmed("#line 1", "swift") == disarmed("#line 1", "go") == "#line 1"


def test_no_text_takes_long() -> None:
    texts = [
        "#/*\n" * 20000,
        "#/*\n" * 9000 + "*/" + " " * 40000,
        "\\\n" * 40000,
        "#/**/" * 16000,
        "#/*" * 20000 + "*/",
    ]
    started = time.monotonic()
    for text in texts:
        disarmed(text, "cpp")
    assert time.monotonic() - started < 5


def test_no_include_makes_cppcheck_hang_or_hides_a_weakness() -> None:
    texts = [f"{line}\n{WEAK}" for line in INCLUDES]
    grades = dict(zip(INCLUDES, _scan("cppcheck", texts, "cpp"), strict=True))
    assert grades.pop('%:include "/dev/zero"') in (1.0, "cppcheck syntaxError"), "old versions do not know %:"
    assert set(grades.values()) == {1.0}


def test_no_directive_hides_a_weakness_from_cppcheck_or_gives_it_to_another() -> None:
    texts = [f"{line}\n{WEAK}\n#endfile\n#pragma endasm\n#include <*/>" for line in MOVES]
    assert _scan("cppcheck", ["int g();", "int h();", *texts], "cpp") == [0, 0, *[1.0] * len(texts)]


def test_generated_code_with_line_marks_is_read() -> None:
    text = '# 1 "y.tab.c"\n#line 12 "parser.y"\nint twice(int n) { return 2 * n; }\n#line 3000 "y.tab.c"\nint x;'
    assert _scan("cppcheck", [text], "cpp") == [0]


@pytest.mark.parametrize("mark", ["//line x.go:100000", "//line ../s1/code.go:1", "/*line :7*/", "/*line x.go:1:1*/"])
def test_no_line_mark_hides_a_weakness_in_go_or_gives_it_to_another(mark: str) -> None:
    sound = "package p\n\nfunc twice(n int) int { return 2 * n }"
    assert _scan("staticcheck", [f"package p\n\n{mark}\n{LOOPS}", sound], "go") == [0.6, 0]
    assert _scan("staticcheck", [f"{sound}\n{mark}"], "go") == [0], "honest generated code is read"


def test_words_in_go_that_are_no_line_marks_stay() -> None:
    text = 'package p\n\nvar a = "http://line.me" // line 4\n//lines of it\n'
    assert disarmed(text, "go") == text


def test_flawfinder_which_follows_none_reads_headers_as_headers() -> None:
    text = "#include <random>\n#line 3000\nvoid f(char* a, char* b) { strcpy(a, b); }"
    assert _scan("flawfinder", ["#include <random>\nint f(int n) { return 2 * n; }", text], "cpp") == [0, 0.8]
