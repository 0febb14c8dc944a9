from hypothesis import given
from hypothesis import strategies as st

from goodvibe_bench.cli.layout import lay_out, wide, wrap

NAME = "goodvibe-random-rows[learning_rate=3e-3]"
HEADINGS = ["method", "secure\n[95%]", "valid", "trained"]
ROWS = [[NAME, "54.6 [49, 60]", "63.6", "299.5k"], ["none", "9.2 [5, 17]", "25.9", "0"]]
RIGHT = [False, True, True, True]


def test_a_wide_terminal_shows_every_cell_whole() -> None:
    lines, left = lay_out(HEADINGS, ROWS, RIGHT, 200, optional=[3, 2])
    assert left == []
    assert lines[3].split("  ") == [NAME, "54.6 [49, 60]", " 63.6", " 299.5k"]


def test_a_narrow_terminal_breaks_names_before_their_bracket_and_figures_never() -> None:
    lines, left = lay_out(HEADINGS, ROWS, RIGHT, 55)
    assert left == []
    assert max(map(len, lines)) <= 55
    assert [line.split("  ")[0].strip() for line in lines[3:5]] == ["goodvibe-random-rows", "[learning_rate=3e-3]"]
    assert "54.6 [49, 60]" in lines[3]


def test_optional_columns_are_left_out_last_first_and_said() -> None:
    assert lay_out(HEADINGS, ROWS, RIGHT, 50, optional=[2, 3])[1] == [3]
    lines, left = lay_out(HEADINGS, ROWS, RIGHT, 40, optional=[2, 3])
    assert left == [2, 3]
    assert max(map(len, lines)) <= 40


def test_letters_of_double_width_keep_columns_straight() -> None:
    lines, _ = lay_out(["a", "b"], [["漢字", "1"], ["xy", "2"]], [False, True], 80)
    assert {wide(line) for line in lines} == {7}


@given(st.text(st.characters(exclude_categories=("C", "Z")), min_size=1), st.integers(2, 40))
def test_nothing_is_cut_off(text: str, width: int) -> None:
    lines = wrap(text, width)
    assert "".join(lines) == text
    assert all(wide(line) <= width for line in lines)
