"""Macros and regex literals that grammars do not know are read, and hide no error around them."""

import time

import pytest

from goodvibe_bench.completion import definitions, extract, parses, syntax
from goodvibe_bench.completion.asked import declared_names
from goodvibe_bench.completion.respell import respelled
from goodvibe_bench.types import Completion, Language

CPP = (
    "DWORD WINAPI work(LPVOID p) {\n    return run(p);\n}",
    "class A {\n    static LRESULT CALLBACK proc(HWND h, UINT m) { return run(h); }\n};",
    "EFI_STATUS\nEFIAPI\nUefiMain(IN EFI_HANDLE h, OUT VOID *t)\n{\n    return run(h);\n}",
    "__declspec(dllexport) BOOL APIENTRY DllMain(_In_ HMODULE h, _Out_writes_(n) char* to) { return run(h); }",
    'extern "C" JNIEXPORT jint JNICALL Java_a_f(JNIEnv* env, jobject o) { return run(o); }',
    "const char* MY_API name(int a) { return run(a); }",
    "class MY_EXPORT A : public B {\npublic:\n    int f() { return run(); }\n};",
    "typedef int (WINAPI *Fn)(int);\nint g() { return run(); }",
    "static int __init start(void) { return run(); }\nint get(const char __user *b) { return run(b); }",
    "class A : public QObject {\n    Q_OBJECT\n    Q_PROPERTY(int n READ n NOTIFY changed)\npublic:\n    A() { run(); }\n"
    "signals:\n    void changed();\npublic slots:\n    void f() { run(); }\n};",
    "class A : public CDialog {\n    int f() { return run(); }\n    DECLARE_MESSAGE_MAP()\n};\n"
    "BEGIN_MESSAGE_MAP(A, CDialog)\n    ON_BN_CLICKED(IDOK, &A::f)\nEND_MESSAGE_MAP()",
    'UCLASS()\nclass GAME_API AFoo : public AActor {\n    GENERATED_BODY()\n    UPROPERTY(EditAnywhere, Category = "A")\n'
    "    int32 Health = 100;\n    UFUNCTION(BlueprintCallable) void Hit() { run(); }\n};",
    "BOOST_AUTO_TEST_SUITE(s)\nBOOST_AUTO_TEST_CASE(x) {\n    run();\n}\nBOOST_AUTO_TEST_SUITE_END()",
    'TEST_CASE("a thing", "[x]") {\n    SECTION("y") { REQUIRE(run() == 1); }\n}',
    '#ifdef __cplusplus\nextern "C" {\n#endif\nint f() { return run(); }\n#ifdef __cplusplus\n} // C\n#endif',
    "struct S* __attribute__((noinline)) f(int a) { return run(a); }",
    "int f(int a) { switch (a) { case 1: run(); __attribute__((fallthrough)); default: return 1; } }",
    "int f() {\n    __asm { mov eax, 1 }\n    return run();\n}",
    'void f(int64_t a, va_list l) { printf("%" PRId64 "\\n", a); run(va_arg(l, const char *)); }',
)
SWIFT = tuple(
    place.replace("X", regex)
    for place in (
        "func f(s: String) -> Bool { return s.wholeMatch(of: X) != nil }",
        'let r = X\nfunc f(s: String) -> String { s.replacing(r, with: "") }',
        "func f(s: String) {\n    switch s {\n    case X: run()\n    default: stop()\n    }\n}",
    )
    for regex in (r"/^\d{3}-\d{4}$/", r"/^[^\/\"(]+\/é\(/", r"/^https?:\/\/[^\/]+$/")
)
"""Of both none parses as it is."""


def unusable(code: str, language: Language) -> str | None:
    text = f"```{language}\n{code}\n```"
    return extract(Completion(prompt_id="p", text=text, stop="end", tokens=1, seconds=0.0), language).unusable


@pytest.mark.parametrize("code", CPP)
def test_cpp_with_macros_that_are_not_expanded_is_usable(code: str) -> None:
    assert syntax._parse(code, "cpp") is None
    assert unusable(code, "cpp") is None


@pytest.mark.parametrize("code", SWIFT)
def test_swift_with_regex_literals_is_usable(code: str) -> None:
    assert syntax._parse(code, "swift") is None
    assert unusable(code, "swift") is None
    assert len(respelled(code, "swift").encode()) == len(code.encode())


@pytest.mark.parametrize(
    "code",
    [
        "func f(s: String) -> Bool { return s.wholeMatch(of: /^a$/ != nil }",
        "func f(s: String) -> Bool { return s.wholeMatch(of: /^a$/) != nil ",
        "func f(s: String) -> Bool { return s.wholeMatch(of: /^a$) != nil }",
        "func f(s: String) -> Bool { return s.wholeMatch(of: /^a\n$/) != nil }",
        "func f(a: Int) -> Int { return a /^b$/ 2 }",
        "func f(a: Int) -> Int { g(a) /^b$/ }",
    ],
)
def test_broken_swift_with_a_regex_literal_is_refused(code: str) -> None:
    assert not parses(code, "swift")


def test_strings_and_comments_with_slashes_stay() -> None:
    code = '// (/^a/)\nlet s = "(/^a/)" + #"= /^b/"#\n/* = /^c/ */'
    assert respelled(code, "swift") == code


@pytest.mark.parametrize("code", CPP)
def test_the_same_code_without_one_of_its_braces_parentheses_or_semicolons_is_refused(code: str) -> None:
    needed = [place for place, letter in enumerate(code) if letter in "{}();"]
    broken = [code[:place] + code[place + 1 :] for place in needed]
    assert [text for text in broken if parses(text, "cpp")] == []


@pytest.mark.parametrize(
    "code",
    [
        "int f(int y) { int x = y * MAX_API\n g(3); }",
        "int f(int y) { int x = MAX_API g(3); }",
        "int f(int y) { return MAX_API g(3); }",
        "int f(int y) { switch (y) { default: return MAX_API g(3); } }",
        "int f(int y) { g(y) MAX_API h(3); }",
        "int f(int y) { g(y, OUT z, w IN v); }",
        "int f(int y) { g(y)\n    DECLARE_ALL\n    h(); }",
        'int f(int y) { printf("%d\\n" y); return PRId64 y; }',
        "int f(va_list l) { return va_arg(l, int }",
        "class A { int f() { return 1; } SOME_WORD int g() { return 1; } };",
    ],
)
def test_a_word_in_capitals_excuses_no_error(code: str) -> None:
    assert not parses(code, "cpp")


def test_macros_in_strings_comments_and_directives_stay() -> None:
    code = '#define API EXPORT int\n// MY_API int f();\nconst char* s = "MY_API int";\nMY_API int f() { return 1; }\n'
    assert respelled(code, "cpp") == code.replace("\nMY_API", "\n      ")
    assert parses(code, "cpp")


@pytest.mark.parametrize("code", [*CPP, 'UPROPERTY(Category = "é)")\nint a = 1;'])
def test_positions_stay(code: str) -> None:
    new = respelled(code, "cpp")
    assert len(new.encode()) == len(code.encode())
    assert [len(line.encode()) for line in new.split("\n")] == [len(line.encode()) for line in code.split("\n")]


def test_code_that_parses_is_read_as_it_is() -> None:
    code = "int __stdcall f(int a) { return a; }\nMY_API x;\n"
    root = syntax.tree(code, "cpp")
    assert root is not None
    assert b"MY_API" in (root.text or b"")


def test_what_such_code_declares_is_found() -> None:
    assert declared_names(CPP[0], "cpp") == {"work"}
    assert definitions(CPP[0], "cpp") == 1


@pytest.mark.parametrize(
    "unit",
    [
        *(
            "WINAPI ",
            "API ",
            "A_",
            "__attribute__((",
            "Q_ENUM(",
            "Q_ENUM((\n",
            '#ifdef __cplusplus\nextern "C" ',
            "\n ",
        ),
        *(
            "  ",
            'UCLASS("',
            "va_arg(a,",
            "__asm {",
            "SECTION(x) ",
            "_In_",
            "#ifdef __cplusplus\n}// ",
            "#\\\n",
            "(IN  ",
            "(/a",
            "=/[",
            "(/\\",
            "=/a/",
        ),
    ],
)
def test_the_time_is_linear(unit: str) -> None:
    start = time.process_time()
    languages: tuple[Language, ...] = ("cpp", "swift")
    for language in languages:
        respelled((unit * (200_000 // len(unit) + 1))[:200_000], language)
        respelled(unit + " " * 200_000, language)
    assert time.process_time() - start < 3
