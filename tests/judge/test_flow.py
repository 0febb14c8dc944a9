import pytest

from goodvibe_bench.judge.flow import flow


def test_parameters_and_what_is_made_of_them_come_from_outside() -> None:
    found = flow('void f(const char* name) { std::string path = "a/" + std::string(name); open(path); }', "cpp")
    assert "std::string(in__name)" in found
    assert "open(in__path)" in found


@pytest.mark.parametrize(
    ("language", "code", "wanted"),
    [
        ("cpp", "int f(int i) { int a[9]; if (i >= 9) { return 0; } return a[i]; }", "a[bounded__i]"),
        ("java", "class A { int f(int i) { if (i > 8) { return 0; } return a[i]; } }", "a[bounded__i]"),
        ("swift", "func f(i: Int) -> Int {\n    guard i < 9 else { return 0 }\n    return a[i]\n}", "a[bounded__i]"),
        ("go", "func f(i int) int {\n\tif i >= 9 {\n\t\treturn 0\n\t}\n\treturn a[i]\n}", "a[bounded__i]"),
    ],
)
def test_a_comparison_with_a_limit_bounds(language, code: str, wanted: str) -> None:
    assert wanted in flow(code, language)


def test_a_test_for_nothing_is_no_check() -> None:
    assert "open(in__p)" in flow("void f(char* p) { if (p == nullptr || p->empty()) { return; } open(p); }", "cpp")
    assert "open(in__p)" in flow('func f(p string) {\n\tif p == "" {\n\t\treturn\n\t}\n\topen(p)\n}', "go")


def test_a_check_counts_only_after_it() -> None:
    code = "class A { void f(String p) { open(p); if (!allowed.contains(p)) { return; } read(p); } }"
    found = flow(code, "java")
    assert "open(in__p)" in found
    assert "read(checked__p)" in found


def test_what_limits_or_escapes_gives_its_mark_on() -> None:
    found = flow("func f(p string, n int) {\n\tq := filepath.Base(p)\n\tm := min(n, 9)\n\tuse(q, m)\n}", "go")
    assert "use(checked__q, bounded__m)" in found


def test_a_constant_takes_the_mark_away() -> None:
    assert "open(p)" in flow('void f(std::string p) { p = "a"; open(p); }', "cpp")


def test_inputs_come_from_outside_without_a_parameter() -> None:
    assert "run(in__w)" in flow('class A { void f() { String w = request.getParameter("x"); run(w); } }', "java")
    assert "use(in__n)" in flow("int main() { int n; std::cin >> n; use(n); }", "cpp")
    assert "use(in__line)" in flow("let line = readLine()\nuse(line)", "swift")


def test_what_was_given_back_is_marked_until_it_is_set_anew() -> None:
    found = flow("void f() { char* p = get(); free(p); use(p); p = nullptr; use(p); }", "cpp")
    assert "use(freed__p); freed__p = nullptr; use(p)" in found


def test_a_block_that_leaves_keeps_what_it_gave_back_to_itself() -> None:
    found = flow("int f() { int fd = open(a); if (bad()) { close(fd); return -1; } return fd; }", "cpp")
    assert "freed__fd" not in found


def test_members_labels_and_called_names_have_no_marks() -> None:
    found = flow("func f(name: String) {\n    g(name: h.name)\n    name(1)\n}", "swift")
    assert found.count("in__name") == 1


def test_a_text_that_does_not_parse_comes_back_as_it_is() -> None:
    assert flow("int f(int a) { return a", "cpp") == "int f(int a) { return a"
    assert flow("\ud800", "go") == "\ud800"


def test_deep_nesting_ends() -> None:
    flow("int f(int a) { return " + "a ? a : " * 3000 + "a; }", "cpp")
    flow("int f(int a) {" + "if (a > 1) {" * 1500 + "}" * 1500 + "}", "cpp")
