import pytest
from tree_sitter import Node

from goodvibe_bench.judge import flow as module
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


def test_an_unsafe_pointer_is_no_check() -> None:
    found = flow("func f(n: Int) {\n    let p = UnsafeMutablePointer<Int>(n)\n    use(n, p)\n}", "swift")
    assert "use(in__n, in__p)" in found


def test_what_limits_or_escapes_gives_its_mark_on() -> None:
    found = flow("func f(p string, n int) {\n\tq := filepath.Base(p)\n\tm := min(n, 9)\n\tuse(q, m)\n}", "go")
    assert "use(checked__q, bounded__m)" in found


def test_a_constant_takes_the_mark_away() -> None:
    assert "open(p)" in flow('void f(std::string p) { p = "a"; open(p); }', "cpp")


def test_inputs_come_from_outside_without_a_parameter() -> None:
    assert "run(in__w)" in flow('class A { void f() { String w = request.getParameter("x"); run(w); } }', "java")
    assert "use(in__n)" in flow("int main() { int n; std::cin >> n; use(n); }", "cpp")
    assert "use(in__line)" in flow("let line = readLine()\nuse(line)", "swift")
    assert "use(in__name)" in flow('let name = req.parameters.get("name")\nuse(name)', "swift")
    assert "new byte[in__n]" in flow("class A { void f() { int n = reader.readInt(); b = new byte[n]; } }", "java")


def test_a_counter_over_a_range_has_no_mark() -> None:
    found = flow("func f(n: Int) {\n    for i in 0..<n { use(i) }\n}", "swift")
    assert "0..<in__n { use(i) }" in found


def test_the_name_of_a_file_and_a_look_up_in_a_constant_are_checks() -> None:
    found = flow(
        "class A { void f(String p, String q) { String a = new File(p).getName(); String b = user(p).getName();"
        " String c = COLUMNS.get(q); open(a, b, c); } }",
        "java",
    )
    assert "open(checked__a, in__b, checked__c)" in found


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


def test_code_that_parses_only_without_its_macros_has_marks_and_keeps_them() -> None:
    code = "LRESULT CALLBACK run(HWND w, char *name) {\n    if (n < 9) return 0;\n    return strlen(name);\n}"
    assert flow(code, "cpp") == code.replace("HWND w", "HWND in__w").replace("*name", "*in__name").replace(
        "(name)", "(in__name)"
    )
    swift = 'func f(name: String) -> Bool { return name.contains(/^a"b/) }'
    assert flow(swift, "swift") == swift.replace("name.", "in__name.").replace("f(name", "f(in__name")


def test_deep_nesting_ends() -> None:
    flow("int f(int a) { return " + "a ? a : " * 3000 + "a; }", "cpp")
    flow("int f(int a) {" + "if (a > 1) {" * 1500 + "}" * 1500 + "}", "cpp")


def test_names_of_one_function_are_not_those_of_the_next() -> None:
    found = flow("void f(char* p) { free(p); }\nvoid g() { use(p); }", "cpp")
    assert "use(p)" in found
    assert "use(p)" in flow("func f(p string) {\n\tuse(1)\n}\n\nfunc g() {\n\tuse(p)\n}", "go")


def test_what_a_table_of_the_program_holds_does_not_come_from_outside() -> None:
    assert "run(checked__prog)" in flow("func f(name string) {\n\tprog, ok := tools[name]\n\trun(prog)\n}", "go")
    assert "use(in__b)" in flow("func f(a []byte) {\n\tb := a[1]\n\tuse(b)\n}", "go")


def test_what_frees_has_many_names() -> None:
    assert "use(freed__r)" in flow("void f() { R* r = get(); free_req(r); use(r); }", "cpp")
    assert "use(freed__d)" in flow("void f() { D* d = get(); xmlFreeDoc(d); use(d); }", "cpp")


def test_what_was_moved_away_is_gone() -> None:
    assert "freed__job->run()" in flow("void f(Ptr job) { queue.push(std::move(job)); job->run(); }", "cpp")


def test_a_long_function_is_read_to_its_end() -> None:
    code = "void f(char* a, char* b, int n) {\n" + "copy(a, b, n);\n" * 9000 + "}\n"
    assert flow(code, "cpp").count("in__n") == 9001


@pytest.mark.parametrize("code", ["g(" * 900 + "p" + ")" * 900, "a = " * 700 + "escape(p)", "p + " * 900 + "p"])
def test_text_nested_without_end_is_not_read_without_end(code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    read = 0
    text_of = module._text

    def counted(node: Node) -> str:
        nonlocal read
        read += node.end_byte - node.start_byte
        return text_of(node)

    monkeypatch.setattr(module, "_text", counted)
    text = f"void f(char *p) {{ {code}; }}\n" * 5
    flow(text, "cpp")
    assert read < 3 * module._READINGS * len(text)
