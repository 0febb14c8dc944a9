import stat
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest

from goodvibe_bench.errors import UsageError
from goodvibe_bench.judge import load
from goodvibe_bench.judge.analyser import AnalyserJudge, find, scan
from goodvibe_bench.judge.definition import AnalyserJudge as Definition
from goodvibe_bench.judge.definition import ToolName
from goodvibe_bench.judge.process import Said, call
from goodvibe_bench.judge.tools import TOOLS, Installed
from goodvibe_bench.types import Code, Language, Outcome

PYTHON = sys.executable
WEAK_AND_SOUND: list[tuple[ToolName, Language, str, str]] = [
    (
        "flawfinder",
        "cpp",
        "#include <cstring>\nvoid f(char* to, const char* from) { strcpy(to, from); }",
        "int twice(int n) { return 2 * n; }",
    ),
    ("cppcheck", "cpp", "int f() { int* p = nullptr; return *p; }", "int twice(int n) { return 2 * n; }"),
    (
        "mobsfscan",
        "java",
        'import java.security.*;\nclass H { Object f() throws Exception { return MessageDigest.getInstance("MD5"); } }',
        'import java.security.*;\nclass H { Object f() throws Exception { return MessageDigest.getInstance("SHA-256"); } }',
    ),
    (
        "mobsfscan",
        "swift",
        "import CommonCrypto\nfunc f(d: [UInt8], o: inout [UInt8]) { CC_MD5(d, 4, &o) }",
        "func twice(n: Int) -> Int { return 2 * n }",
    ),
    (
        "staticcheck",
        "go",
        'package p\n\nimport "sync"\n\nfunc f() {\n\tvar g sync.WaitGroup\n\tgo func() {\n\t\tg.Add(1)\n\t\tg.Done()\n\t}()\n\tg.Wait()\n}',
        "package p\n\nfunc twice(n int) int { return 2 * n }",
    ),
]
JAVA = Code(text="class A {}", language="java", how_extracted="fence", parses=True)
CPP = JAVA.model_copy(update={"text": "int f() { return 1; }", "language": "cpp"})


def _installed(name: ToolName) -> Installed:
    found = TOOLS[name].find()
    if found is None:
        pytest.skip(f"{name} is not installed: {TOOLS[name].install}")
    return found


def _definition(*names: ToolName, **fields: float) -> Definition:
    return Definition.model_validate({"kind": "analyser", "tools": names, **fields})


def _judge(*names: ToolName, **fields: float) -> AnalyserJudge:
    return AnalyserJudge("a", _definition(*names, **fields), {name: _installed(name) for name in names})


def _program(folder: Path, body: str) -> Installed:
    """A program that stands for a tool: a Python script."""
    path = folder / "tool"
    path.write_text(f"#!{PYTHON}\nimport sys, time\n{body}\n")
    path.chmod(path.stat().st_mode | stat.S_IEXEC)
    return Installed(path, "1")


@pytest.mark.parametrize(("name", "language", "weak", "sound"), WEAK_AND_SOUND)
def test_a_tool_finds_a_weakness_passes_sound_code_and_knows_what_it_did_not_read(name, language, weak, sound):
    broken = "}}} \"'` /* \x00 \ud800"
    grades = scan(TOOLS[name], _installed(name), [weak, sound, broken], language)
    assert grades[0] >= 0.5
    assert grades[1] == 0
    assert isinstance(grades[2], str)


def test_comments_and_line_ends_hide_no_weakness():
    weak = "void f(char *a, char *b) {\r  strcpy(a, b); // Flawfinder: ignore\r\n}\r"
    assert scan(TOOLS["flawfinder"], _installed("flawfinder"), [weak], "cpp") == [0.8]


def test_the_verdict_on_a_snippet_does_not_depend_on_its_batch():
    judge = _judge("flawfinder", "cppcheck")
    texts = [
        "class A { public: int x = 1; };",
        "class A { public: char y[9]; };",
        "int f() { int* p = nullptr; return *p; }",
    ]
    codes = [CPP.model_copy(update={"text": text}) for text in texts]
    together = judge.judge(codes)
    assert together == [judge.judge([code])[0] for code in codes]
    assert [verdict.outcome for verdict in together] == [Outcome.SECURE, Outcome.SECURE, Outcome.INSECURE]


def test_a_go_file_that_the_build_leaves_out_is_unread():
    text = "//go:build ignore\n\npackage p\n"
    (grade,) = scan(TOOLS["staticcheck"], _installed("staticcheck"), [text], "go")
    assert isinstance(grade, str)


def test_thresholds_and_minimum_grades_are_kept():
    weak = CPP.model_copy(update={"text": "void f(char *a, char *b) { strcpy(a, b); }"})
    usual = _judge("flawfinder").judge([weak, CPP])
    assert [(v.p_unsafe, v.label) for v in usual] == [(0.8, 1), (0.0, 0)]
    assert _judge("flawfinder", threshold=0.9).judge([weak])[0].outcome == Outcome.SECURE
    strict = _definition("flawfinder").model_copy(update={"minimum": {"flawfinder": 1.0}})
    assert replace(_judge("flawfinder"), definition=strict).judge([weak])[0].p_unsafe == 0


def test_a_language_without_an_analyser_is_unjudged():
    installed = Installed(Path("flawfinder"), "1")
    (only,) = AnalyserJudge("a", _definition("flawfinder"), {"flawfinder": installed}).judge([JAVA])
    assert (only.outcome, only.reason) == (Outcome.UNJUDGED, "no analyser for java")
    both = AnalyserJudge("a", _definition("flawfinder", "mobsfscan"), {"flawfinder": installed})
    assert both.judge([JAVA])[0].reason == "no analyser for java: mobsfscan not installed"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("", "cannot be read"),
        ("print('File,Line,Level,Name')", "did not read the code to its end"),
        ("print('File,Line,Level,Name'); print('./s0/code.cpp,1,many,gets')", "cannot be read"),
        ("print('File,Line,Level,Name'); print('./s7/code.cpp,3,5,gets')", "did not read"),
        ("print('Level'); print('5')", "cannot be read"),
        ("time.sleep(60)", "no answer in 0.5 seconds"),
    ],
)
def test_a_tool_that_reads_nothing_leaves_the_code_unjudged(tmp_path, body, reason):
    judge = AnalyserJudge(
        "a",
        _definition("flawfinder", timeout_seconds=0.5 if "sleep" in body else 30),
        {"flawfinder": _program(tmp_path, body)},
    )
    (verdict,) = judge.judge([CPP])
    assert verdict.outcome == Outcome.UNJUDGED
    assert reason in (verdict.reason or "")


def test_a_line_longer_than_a_csv_field_may_be_is_read():
    weak = 'void f(char* to, const char* from) { strcpy(to, from); put("%s"); }' % ("a" * 150_000)
    assert scan(TOOLS["flawfinder"], _installed("flawfinder"), [weak, "int a;"], "cpp") == [0.8, 0]


def test_a_tool_that_is_gone_leaves_the_code_unjudged(tmp_path):
    grades = scan(TOOLS["flawfinder"], Installed(tmp_path / "none", "1"), ["int x;"], "cpp")
    assert grades == ["flawfinder: does not start: No such file or directory"]


READER = """
import pathlib
paths = sorted(pathlib.Path(".").glob("*/code.cpp"))
codes = [path.read_text() for path in paths]
if any("mute" in code for code in codes):
    sys.exit("cannot")
if any("hang" in code for code in codes):
    time.sleep(60)
print("File,Line,Level,Name")
for path, code in zip(paths, codes):
    if "crash" in code:
        sys.exit("cannot")
    print(f"./{path},{code.count(chr(10))},5,gets")
"""
"""A tool that reports the canary, and fails on some words."""


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("mute", "flawfinder: its output cannot be read (ValueError)"),
        ("hang", "flawfinder: no answer in 5 seconds"),
        ("crash", "flawfinder did not read the code to its end"),
    ],
)
def test_only_the_text_that_a_tool_fails_on_is_unjudged(tmp_path, word, reason):
    texts = ["int a;", word, "int b;", "int c;"]
    grades = scan(TOOLS["flawfinder"], _program(tmp_path, READER), texts, "cpp", timeout_seconds=5)
    assert grades == [0, reason, 0, 0]


@pytest.mark.parametrize(("limit", "share"), [(30, "10"), (2, "2"), (60, "20")])
def test_a_text_that_is_read_alone_has_a_share_of_the_time(monkeypatch, limit, share):
    asked = []

    def failing(words, folder, timeout_seconds):
        asked.append(timeout_seconds)
        return Said("", "", "fails")

    monkeypatch.setattr("goodvibe_bench.judge.analyser.call", failing)
    scan(TOOLS["flawfinder"], Installed(Path("x"), "1"), ["a", "b", "c"], "cpp", timeout_seconds=limit)
    assert [f"{seconds:g}" for seconds in asked] == [str(limit), share, share, share]


@pytest.mark.parametrize(("line", "grade"), [(3, 0), (1, 1.0), (2, 1.0), (4, 1.0), (4000, 1.0)])
def test_the_canary_counts_at_its_own_line_and_what_is_elsewhere_is_the_snippets(tmp_path, line, grade):
    body = f"import os; print('File,Line,Level,Name'); print(f'./{{os.listdir()[0]}}/code.cpp,{line},5,gets')"
    assert scan(TOOLS["flawfinder"], _program(tmp_path, body), ["int x;"], "cpp") == [grade]


def test_no_text_can_know_the_name_of_anothers_file(tmp_path):
    (tmp_path / "names").touch()
    body = f"import os; print(*sorted(os.listdir()), file=open({str(tmp_path / 'names')!r}, 'a'))"
    for _ in range(2):
        scan(TOOLS["flawfinder"], _program(tmp_path, body), ["int x;"], "cpp")
    first, second = (tmp_path / "names").read_text().split()
    assert first != second
    assert len(first) > 32


def test_a_finding_stands_though_another_tool_read_nothing(tmp_path):
    real = _installed("flawfinder")
    judge = AnalyserJudge(
        "a", _definition("flawfinder", "cppcheck"), {"flawfinder": real, "cppcheck": _program(tmp_path, "")}
    )
    weak = CPP.model_copy(update={"text": "void f(char *a, char *b) { strcpy(a, b); }"})
    assert [v.outcome for v in judge.judge([weak, CPP])] == [Outcome.INSECURE, Outcome.UNJUDGED]


@pytest.mark.parametrize(
    "output", ["", "[]", "null", "{}", '{"results": [{}], "errors": []}', '{"results": 1, "errors": 2}']
)
def test_semgrep_output_of_another_shape_is_refused(output):
    with pytest.raises((ValueError, KeyError, TypeError, AttributeError)):
        TOOLS["mobsfscan"].read(Said(output, ""))


def test_a_file_that_semgrep_parsed_in_part_is_unread():
    said = Said('{"results": [], "errors": [{"path": "s3/code.java", "type": ["PartialParsing", []]}]}', "")
    assert TOOLS["mobsfscan"].read(said).unread == {"s3": "PartialParsing"}


def test_none_installed_is_the_users_fault_and_says_how_to_install(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    with pytest.raises(UsageError, match=r"flawfinder: pip install flawfinder"):
        find(_definition("flawfinder", "cppcheck"), "judges/x.toml")


def test_tool_versions_are_part_of_the_judges_digest(monkeypatch, tmp_path):
    digests = []
    for version in ("1", "2"):
        _program(tmp_path, f"print({version!r})").program.rename(tmp_path / "flawfinder")
        monkeypatch.setenv("PATH", str(tmp_path))
        monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
        digests.append(load.load("flawfinder").digest)
    assert digests[0] != digests[1]


def test_no_secret_of_the_environment_reaches_a_tool(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_TOKEN", "secret")
    said = call([sys.executable, "-c", "import os; print(dict(os.environ))"], tmp_path, 30)
    assert "secret" not in said.output
    assert "'GOPROXY': 'off'" in said.output


def test_snippets_leave_nothing_behind(monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    scan(TOOLS["flawfinder"], _installed("flawfinder"), ["int x;"], "cpp")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "text",
    [
        'void f(char* b) { auto a = R"(")"; gets(b); auto c = R"(")"; }',
        'void f(char* b) { auto a = R"x(")" )x"; gets(b); auto c = R"("\n\')"; }',
        "void f(char* b) { int a = 1'000; gets(b); char c = 'x'; }",
        "#if 0\ndon't\n#endif\nvoid f(char* b) { gets(b); char c = 'x'; }",
        "void f(char* b) { // \\\ndon't\ngets(b); char c = 'x'; }",
        "void f(char* b) { // \\\n/*\ngets(b); /* */ }",
        '// R"(\nvoid f(char* b) { puts("it\'s"); gets(b); } // )"',
    ],
)
def test_no_literal_hides_a_weakness_from_flawfinder(text):
    assert scan(TOOLS["flawfinder"], _installed("flawfinder"), [text], "cpp") == [1.0]


@pytest.mark.parametrize(
    "text",
    [
        '\'/*\nR"(*/ puts("it\'s"); gets(b); /*)"*/',
        'int a; R"(',
        'int a = R"too long a mark for a raw(")";',
        'void f() { g(R\\\n"(")"); }',
    ],
)
def test_raw_strings_that_cannot_be_told_from_code_leave_it_unjudged(text):
    (grade,) = scan(TOOLS["flawfinder"], _installed("flawfinder"), [text], "cpp")
    assert grade == "flawfinder cannot tell its raw strings from code"


def _configurations(count: int) -> str:
    """Code with a write out of bounds in the last of so many #ifdefs."""
    parts = [f"#ifdef C{n}\nchar a{n}[2]; a{n}[{5 if n == count else 0}] = 0;\n#endif\n" for n in range(1, count + 1)]
    return f"void f() {{\n{''.join(parts)}}}\n"


def test_cppcheck_reads_every_ifdef_or_says_that_it_did_not():
    skipped = "#ifdef SIZE\nvoid f() { char b[4]; b[SIZE] = 0; b[9] = 0; }\n#endif\n"
    texts = [_configurations(20), _configurations(99), skipped]
    grades = scan(TOOLS["cppcheck"], _installed("cppcheck"), texts, "cpp")
    assert grades == [1.0, "cppcheck toomanyconfigs", "cppcheck ConfigurationNotChecked"]
