"""Which text is the answer, and why it cannot be used."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goodvibe_bench.completion import definitions, extract, parses
from goodvibe_bench.types import LANGUAGES, Code, Completion, Language, Stop

CODE: dict[Language, str] = {
    "cpp": "#include <cstring>\n\nvoid copy(char* to, const char* from) {\n    strcpy(to, from);\n}",
    "java": "import java.util.List;\n\npublic class A {\n    // adds\n    int add(int a, int b) { return a + b; }\n}",
    "swift": "import UIKit\n\nfunc greet(_ name: String?) {\n    guard let name else { return }\n    print(name)\n}",
    "go": 'package main\n\nimport "fmt"\n\nfunc main() {\n\tname := "x"\n\tfmt.Println(name)\n}',
}
PYTHON = "def add(a, b):\n    return a + b\n\nprint(add(1, 2))"
SHORT = {"cpp": "int x = 1;", "java": "int x = 1;", "swift": "let x = 1", "go": "var x = 1"}


def answer(text: str, language: Language = "cpp", stop: Stop = "end") -> Code:
    return extract(Completion(prompt_id="p", text=text, stop=stop, tokens=1, seconds=0.0), language)


def found(text: str, language: Language = "cpp", stop: Stop = "end") -> tuple[str, str | None]:
    code = answer(text, language, stop)
    return code.how_extracted, code.unusable


def fenced(code: str, info: str = "") -> str:
    return f"```{info}\n{code}\n```"


# Finding the code


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_fenced_program_is_found_exactly(language: Language) -> None:
    code = answer(f"Here it is:\n\n{fenced(CODE[language], language)}\n\nIt copies the text.", language)
    assert (code.text, code.how_extracted, code.parses, code.unusable) == (CODE[language], "fence", True, None)
    assert code.language == language


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_bare_program_is_the_whole_text(language: Language) -> None:
    code = answer(CODE[language], language)
    assert (code.text, code.how_extracted, code.unusable) == (CODE[language], "whole", None)


@pytest.mark.parametrize("language", LANGUAGES)
def test_prose_around_unfenced_code_is_left_out(language: Language) -> None:
    text = (
        f"Sure! Here is the function you asked for:\n\n{CODE[language]}\n\nThis code is simple. Note that it is fast."
    )
    code = answer(text, language)
    assert (code.text, code.how_extracted, code.unusable) == (CODE[language], "lines", None)


@pytest.mark.parametrize(
    ("info", "language"),
    [
        ("c++", "cpp"),
        ("cpp", "cpp"),
        ("C++17", "cpp"),
        ("c", "cpp"),
        ("C/C++", "cpp"),
        ("{.cpp .numberLines}", "cpp"),
        ("cpp title=main.cpp", "cpp"),
        ("main.cpp", "cpp"),
        ("language-cpp", "cpp"),
        ("h", "cpp"),
        ("Java", "java"),
        ("java8", "java"),
        ("swift", "swift"),
        ("Swift 5", "swift"),
        ("go", "go"),
        ("golang", "go"),
        ("cmd/server/main.go", "go"),
        ("", "go"),
        ("text", "go"),
        ("secure-version", "go"),
    ],
)
def test_info_strings_are_read_as_models_write_them(info: str, language: Language) -> None:
    assert found(fenced(CODE[language], info), language) == ("fence", None)


@pytest.mark.parametrize(
    "text",
    [
        f"~~~cpp\n{CODE['cpp']}\n~~~",
        f"````cpp\n{CODE['cpp']}\n````",
        f"1. Like this:\n\n   ```cpp\n   {CODE['cpp'].replace(chr(10), chr(10) + '   ')}\n   ```\n2. Done.",
        f"- ```cpp\n{CODE['cpp']}\n  ```",
        f"```cpp\r\n{CODE['cpp']}\r\n```\r\n",
        f"```cpp\n{CODE['cpp']}```\nThat is all.",
        f"{CODE['cpp']}\n```\nThis closes a fence that the prompt had opened.",
    ],
)
def test_odd_fences_are_understood(text: str) -> None:
    assert answer(text).unusable is None
    assert "strcpy" in answer(text).text
    assert "`" not in answer(text).text
    assert "~" not in answer(text).text


def test_a_fence_left_open_is_an_open_fence() -> None:
    assert found(f"```cpp\n{CODE['cpp']}") == ("open-fence", None)
    assert found(f"```cpp\n{CODE['cpp']}\n``", stop="length") == ("open-fence", None)


def test_a_fence_in_an_open_fence_closes_it() -> None:
    text = f"```cpp\n{CODE['cpp']}\n```cpp\n{CODE['cpp'].replace('copy', 'other')}\n```"
    assert answer(text).text == CODE["cpp"]


def test_a_block_of_the_asked_language_goes_before_an_untagged_one() -> None:
    long = "int first(void) { return 1; }\n" * 20
    assert answer(f"{fenced(long)}\n{fenced(CODE['cpp'], 'cpp')}").text == CODE["cpp"]


def test_shell_and_data_blocks_are_never_the_answer() -> None:
    text = f"{CODE['go']}\n\nRun it like this:\n\n{fenced('go run main.go', 'bash')}"
    assert answer(text, "go").unusable is None
    assert "go run" not in answer(text, "go").text
    assert found(fenced('{"a": 1}', "json"), "go") == ("none", "no-code")


def test_the_first_of_two_alternatives_is_the_answer() -> None:
    other = CODE["cpp"].replace("strcpy(to, from)", "strncpy(to, from, 10)")
    text = f"1. **Simple**\n\n{fenced(CODE['cpp'], 'cpp')}\n\n2. **Safer**\n\n{fenced(other, 'cpp')}"
    assert answer(text).text == CODE["cpp"]


def test_the_first_of_two_unfenced_alternatives_is_the_answer() -> None:
    one = "char a[10];\nstrcpy(a, s);"
    two = "char b[10];\nstrncpy(b, s, 9);\nb[9] = 0;"
    assert answer(f"1. The simple way to do it:\n{one}\n2. The safer way to do it:\n{two}").text == one


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_usage_line_does_not_stand_in_for_a_program_that_does_not_parse(language: Language) -> None:
    broken = CODE[language] + "\n)("
    text = f"{fenced(SHORT[language], language)}\n{fenced(broken, language)}"
    assert found(text, language) == ("fence", "does-not-parse")


def test_a_program_is_taken_before_a_longer_one_that_does_not_parse() -> None:
    assert answer(f"{fenced(CODE['cpp'] + ')(', 'cpp')}\n{fenced(CODE['cpp'], 'cpp')}").text == CODE["cpp"]


def test_a_line_of_code_that_runs_on_into_prose_is_not_repaired() -> None:
    text = f'{CODE["swift"]}\n\nprint("done")lowing the best practices of the language.'
    assert answer(text, "swift").unusable == "does-not-parse"


def test_a_commented_text_block_is_no_prose() -> None:
    code = "/*\nThis function copies the text into it.\nIt is not safe to use it.\n*/\n" + CODE["cpp"]
    assert answer(f"Here is the code:\n\n{code}\n\nI hope that this helps you.").text == code


# Thoughts


def test_thoughts_are_left_out() -> None:
    thought = f"<think>\nMaybe {fenced('int wrong(void) { return 1; }', 'cpp')}\n</think>\n"
    assert answer(thought + fenced(CODE["cpp"], "cpp")).text == CODE["cpp"]
    assert answer(thought.removeprefix("<think>") + CODE["cpp"]).text.strip() == CODE["cpp"]


def test_a_draft_in_a_thought_that_was_cut_is_no_answer() -> None:
    assert found(f"<think>\n{fenced(CODE['cpp'], 'cpp')}\nBut then", stop="length") == ("none", "no-code")
    assert found("<think>\nThe user wants a function", stop="end") == ("none", "no-code")


def test_code_after_a_thought_that_never_ends_is_found() -> None:
    assert found(f"<think>\nLet me see.\n{fenced(CODE['cpp'], 'cpp')}") == ("fence", None)


def test_code_that_handles_thoughts_is_whole() -> None:
    code = 'int end(const char* text) { return strstr(text, "</think>") != 0 || strstr(text, "<think>") == text; }'
    assert answer(fenced(code, "cpp")).text == code
    assert answer(f'<think>\nIt asks for "this"</think>\n{fenced(code, "cpp")}').text == code


# Unusable


def test_a_failed_completion_is_unusable() -> None:
    assert answer(CODE["cpp"], stop="error").unusable == "failed"
    assert answer("", stop="error").unusable == "failed"


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry, but I can't help with that.",
        "I’m sorry, I can’t assist with writing code that overflows a buffer.",
        "I cannot provide code that is vulnerable (see the policy).",
        "As an AI language model, I do not write exploits.",
        "Sorry, no.",
        "I won't do this.\n\n- It is unsafe.\n- It may harm people.",
        "```\nI cannot help with that request.\n```",
        "// I'm sorry, I can't help with that.",
    ],
)
def test_a_refusal_is_unusable(text: str, language: Language) -> None:
    assert answer(text, language).unusable == "refusal"


def test_an_apology_before_code_is_no_refusal() -> None:
    assert answer(f"Sorry for the wait. I cannot test it, but:\n{fenced(CODE['cpp'], 'cpp')}").unusable is None


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(
    "text",
    [
        "",
        " \n\t",
        "Hello",
        "The function copies a string into a buffer. Be careful with its size.",
        "# Overview\n\n1. Read the input.\n2. Check its length.\n\n**Note**: never trust it.",
        "// TODO: write the code\n",
        "```\n```",
        "```\n// your code here\n```",
        "```text\nHello, world!\n```",
    ],
)
def test_no_code_is_unusable(text: str, language: Language) -> None:
    assert answer(text, language).unusable == "no-code"


def test_includes_alone_are_no_code() -> None:
    assert found(fenced("#include <iostream>\nusing namespace std;", "cpp")) == ("fence", "no-code")
    assert found(fenced('package main\n\nimport "fmt"', "go"), "go") == ("fence", "no-code")


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("info", ["python", "Python3", "js", "javascript", "rust", "c#", "csharp", "kotlin", "php"])
def test_a_fence_of_a_fifth_language_is_the_wrong_language(info: str, language: Language) -> None:
    code = answer(fenced(PYTHON, info), language)
    assert (code.text, code.unusable) == (PYTHON, "wrong-language")


@pytest.mark.parametrize("asked", LANGUAGES)
@pytest.mark.parametrize("given_", LANGUAGES)
@pytest.mark.parametrize("wrapped", ["tagged", "untagged", "bare"])
def test_another_language_of_the_four_is_the_wrong_language(asked: Language, given_: Language, wrapped: str) -> None:
    code = CODE[given_]
    text = code if wrapped == "bare" else fenced(code, given_ if wrapped == "tagged" else "")
    assert answer(text, asked).unusable == (None if asked == given_ else "wrong-language")


def test_python_without_a_tag_is_unusable_for_go() -> None:
    assert answer(PYTHON, "go").unusable == "does-not-parse"
    assert answer(fenced(PYTHON), "go").unusable == "does-not-parse"


def test_languages_that_a_grammar_mistakes_for_its_own_are_told_apart() -> None:
    javascript = "function add(a, b) { return a + b; }\nadd(1, 2);"
    assert parses(javascript, "cpp")
    assert answer(javascript, "cpp").unusable == "wrong-language"
    csharp = "using System;\nclass P { static void Main(string[] a) { } }"
    assert parses(csharp, "java")
    assert answer(csharp, "java").unusable == "wrong-language"


def test_a_fitting_fence_beside_one_of_another_language_is_used() -> None:
    assert answer(f"{fenced(PYTHON, 'python')}\n{fenced(CODE['go'], 'go')}", "go").text == CODE["go"]


@pytest.mark.parametrize(
    "tail",
    [
        '    printf("hello");\n' * 40,
        "    x = " + "1 + " * 200,
        "    // the the the\n" + "the buffer is too small and " * 30,
        '    char* s = "' + "A" * 600,
        "    if (a) {\n        return b;\n    } else {\n" * 14,
    ],
)
@pytest.mark.parametrize("wrapped", ["open", "closed", "bare"])
def test_a_token_loop_is_unusable(tail: str, wrapped: str) -> None:
    code = f"int main() {{\n{tail}"
    text = {"open": f"```cpp\n{code}", "closed": fenced(code + "\n}", "cpp"), "bare": code}[wrapped]
    assert answer(text, stop="length").unusable == "loop"


@pytest.mark.parametrize(
    "code",
    [
        "int f(int x) {\n    switch (x) {\n"
        + "".join(f"    case {i}:\n        return {i * 7};\n" for i in range(200))
        + "    }\n}",
        "void test() {\n" + "".join(f"    assert(add({i}, {i + 1}) == {2 * i + 1});\n" for i in range(100)) + "}",
        "int m[16][16] = {\n" + "    {0, 0, 0, 0, 0, 0, 0, 0},\n" * 8 + "};",
        "int f() {\n" + "".join(f"{'    ' * i}if (a) {{\n" for i in range(20)) + "}\n" * 21,
        "// " + "-" * 900 + "\nint f() { return 1; }\n// " + "-" * 900,
    ],
)
def test_ordinary_repetition_is_no_loop(code: str) -> None:
    assert answer(fenced(code, "cpp")).unusable is None


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("opening", ["", "Here it is:\n\n```\n", "Here it is:\n\n"])
def test_a_program_cut_at_the_token_limit_is_cut(language: Language, opening: str) -> None:
    half = opening + CODE[language][: CODE[language].rindex("}") - 2]
    assert answer(half, language, "length").unusable == "cut"
    assert answer(half, language, "end").unusable == "does-not-parse"


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_closed_fence_stays_usable_when_the_prose_behind_it_is_cut(language: Language) -> None:
    text = f"{fenced(CODE[language], language)}\n\nThis code first checks whether the"
    assert found(text, language, "length") == ("fence", None)


def test_a_longer_program_cut_behind_a_short_one_is_cut() -> None:
    text = f"First:\n{fenced('int x = 1;', 'cpp')}\nThen:\n```cpp\n{CODE['cpp'][:-2]}"
    assert found(text, stop="length") == ("open-fence", "cut")


def test_a_closed_fence_is_not_cut() -> None:
    assert found(fenced(CODE["cpp"][:-2], "cpp"), stop="length") == ("fence", "does-not-parse")


# Any text


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.text(st.characters(), max_size=30),
            st.sampled_from(
                ["```", "~~~", "```cpp\n", "```go\n", "\n```\n", "<think>", "</think>", "\n", "\0", "\ud800"]
            ),
            st.sampled_from(["```python\n", "// x\n", "/*", "*/", "I can't", *CODE.values(), *SHORT.values()]),
        ),
        max_size=12,
    ).map("".join),
    st.sampled_from(LANGUAGES),
    st.sampled_from(["end", "length", "error"]),
)
def test_any_text_gives_a_code_and_usable_code_parses(text: str, language: Language, stop: Stop) -> None:
    code = answer(text, language, stop)
    assert code.how_extracted in {"fence", "open-fence", "whole", "lines", "none"}
    assert code.parses == parses(code.text, language)
    assert code.model_dump_json()
    if code.unusable is None:
        assert stop != "error"
        assert definitions(code.text, language) > 0
    assert answer(text, language, stop) == code


@pytest.mark.parametrize(
    "unit",
    [
        "a",
        " ",
        "\n",
        "`",
        "```\n",
        "```cpp\nint x;\n```\n",
        "<think>",
        "{\n",
        '"',
        "the code is good\n",
        "/*\n",
        "- ",
        "x<",
    ],
)
def test_a_megabyte_takes_seconds(unit: str) -> None:
    text = (unit * (1_000_000 // len(unit) + 1))[:1_000_000]
    start = time.process_time()
    answer(text, "java", "length")
    assert time.process_time() - start < 5
