"""Literals made plain: the same lines and code, in linear time."""

import time

import pytest

from goodvibe_bench.judge.literals import plain


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('auto a = R"({"a": 1})";', "auto a = R\"({'a': 1})\";"),
        ('auto a = u8R"x(\n")"\n)x"; f("b");', 'auto a = u8R"x(\n\')\'\n)x"; f("b");'),
        ("int a = 1'000'000; char b = '\"';", "int a = 1_000_000; char b = '\"';"),
        ('auto a = FOOR"("; auto b = ")";', 'auto a = FOOR"("; auto b = ")";'),
        ('puts("R\\"("); // it\'s', 'puts("R\\"("); // it s'),
        ('puts("one \\\ntwo"); /* "don\'t" */', 'puts("one \\\ntwo"); /*  don t  */'),
        ("#error don't\nint a;", "#error don t\nint a;"),
    ],
)
def test_only_what_c_would_misread_changes(text: str, expected: str) -> None:
    assert plain(text) == expected
    assert plain(expected) == expected


@pytest.mark.parametrize("unit", ['R"(', 'R"a(', '\\"', "'", '"', "'\"", "/*", "1'", '"\\\n', "R\\  \n"])
def test_a_long_text_takes_no_time(unit: str) -> None:
    start = time.process_time()
    plain((unit * 200_000)[:200_000])
    assert time.process_time() - start < 3
