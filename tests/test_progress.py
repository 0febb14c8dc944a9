import io

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
