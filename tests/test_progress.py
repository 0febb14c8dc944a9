import io
import re

import pytest
from rich.console import Console

from goodvibe_bench.progress import Show


def lines(width: int = 80) -> tuple[Show, io.StringIO]:
    text = io.StringIO()
    return Show(Console(file=text, width=width, force_terminal=False), seconds_between_lines=0), text


def test_without_a_terminal_progress_is_plain_lines():
    show, text = lines()
    with show:
        show("train", 1, 4, "loss 0.5")
        show("train", 4, 4)
    first, last = text.getvalue().splitlines()
    assert first.startswith("train: 1/4 in 0 s, 0 s left loss 0.5")
    assert last == "train: 4/4 in 0 s"
    assert "\x1b" not in text.getvalue()


@pytest.mark.parametrize("colour", [False, True])
def test_no_color_is_respected(monkeypatch: pytest.MonkeyPatch, colour: bool):
    monkeypatch.delenv("NO_COLOR", raising=False)
    if not colour:
        monkeypatch.setenv("NO_COLOR", "1")
    text = io.StringIO()
    with Show(Console(file=text, width=80, force_terminal=True, color_system="standard")) as show:
        show("train", 1, 4, "loss 0.5")
    assert bool(re.search(r"\x1b\[(\d+;)*(3[0-7]|9[0-7])", text.getvalue())) is colour


def test_time_left_counts_a_batch_by_what_its_parts_took():
    show, text = lines()
    show("generate", 1, 5, seconds=10)
    assert "40 s left" in text.getvalue()


def test_markup_in_data_stays_text():
    show, text = lines()
    show.line("[bold]x[/bold]")
    assert text.getvalue() == "[bold]x[/bold]\n"


def test_quiet_says_nothing():
    text = io.StringIO()
    show = Show(Console(file=text), quiet=True)
    with show:
        show("train", 1, 2)
        show.line("x")
    assert text.getvalue() == ""


def test_rate_and_time_left_are_said_in_fitting_units():
    show, text = lines()
    show("train", 2, 10, seconds=8)
    show("judge", 50, 100, seconds=10)
    show("generate", 1, 1001, seconds=9)
    assert "4.0 s each, 32 s left" in text.getvalue()
    assert "5.0/s, 10 s left" in text.getvalue()
    assert "9.0 s each, 2.5 h left" in text.getvalue()


def test_what_is_quick_needs_no_line():
    text = io.StringIO()
    show = Show(Console(file=text), seconds_before_first=60)
    with show:
        show("read results", 1, 2)
    assert text.getvalue() == ""


@pytest.mark.parametrize("width", [80, 200])
def test_on_a_terminal_stage_count_rate_and_time_left_stand_in_one_line(width: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TERM", "xterm")
    text = io.StringIO()
    with Show(Console(file=text, width=width, force_terminal=True, no_color=True)) as show:
        show("generate", 3, 96, "goodvibe-random-rows " * 20, seconds=9)
        show.bars.refresh()
    drawn = [line for line in re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text.getvalue()).splitlines() if "generate" in line]
    assert " 3/96 " in drawn[-1]
    assert "3.0 s each, 5 min left goodvibe-random-rows" in drawn[-1]
    assert drawn[-1].rstrip().endswith("…")
    assert len(drawn[-1].rstrip()) <= width
