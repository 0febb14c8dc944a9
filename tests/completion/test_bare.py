import time

import pytest

from goodvibe_bench.completion.bare import bare, without_comments, without_strings
from goodvibe_bench.completion.reformat import reformatted
from goodvibe_bench.completion.rewrite import marked_reviewed, with_comments
from goodvibe_bench.task import load


@pytest.mark.parametrize("language", ["cpp", "java", "swift", "go"])
def test_layout_and_comments_change_nothing_in_bundled_code(language) -> None:
    codes = [pair.secure for pair in load(language).pairs["judge-train"]]
    changed = [
        code
        for code in codes
        for other in (
            reformatted(code, language, 1),
            with_comments(code, language, 1),
            marked_reviewed(code, language),
        )
        if bare(other) != bare(code)
    ]
    assert len(codes) > 30
    assert len(changed) <= 1  # a string over several lines is indented like code


def test_strings_keep_what_looks_like_a_comment() -> None:
    code = 'get("http://x"); // see http://y\nput(`a // b`);'
    assert without_comments(code) == 'get("http://x");  \nput(`a // b`);'
    assert bare(code) == 'get("http://x");\nput(`a // b`);'


def test_emptied_strings_keep_their_ends() -> None:
    assert without_strings('f("a, b" /* c */, R"x(d)x")') == 'f(""  , R")'


def test_the_depth_of_lines_decides_their_indentation_not_its_width() -> None:
    assert bare("if(a)\n{\n\tb(1,2);\n}\n\n\nelse {\n  c();\n}") == "if (a) {\n    b(1, 2);\n}\nelse {\n    c();\n}"


@pytest.mark.parametrize(
    "text", ['"' * 50_000, "/*" * 50_000, "'" * 50_000, 'R"(' * 30_000, " {\n" * 50_000, "\ud800\0"]
)
def test_any_text_is_read_to_its_end(text: str) -> None:
    bare(text)


@pytest.mark.parametrize("blank", [" ", "\t", "\r", " \f"])
def test_a_long_run_of_blanks_inside_a_line_costs_no_more_than_other_text(blank: str) -> None:
    start = time.process_time()
    assert bare(f"int a;{blank * 100_000}int b; {blank * 9}\n") == f"int a;{blank * 100_000}int b;"
    assert time.process_time() - start < 5
