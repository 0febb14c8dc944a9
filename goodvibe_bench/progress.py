"""Show what a long command is doing: a live bar on a terminal, plain lines elsewhere. Always on standard error.

Both tell the stage, how much of it is done, at what rate, and how long it will still take.
It measures nothing but time.
"""

import time
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from goodvibe_bench.untrusted import printable, printable_lines

if TYPE_CHECKING:
    from rich.console import Console

BAR, BAR_FROM = 24, 100
"""Columns of the bar, and of the terminal from which on there is room for it beside the figures."""


class Show:
    """A callable (stage, done, total, text) that shows progress while it is entered, and `line` for one-off words."""

    def __init__(
        self,
        console: "Console | None" = None,
        *,
        quiet: bool = False,
        seconds_between_lines: float = 15,
        seconds_before_first: float = 0,
    ) -> None:
        self._console = console
        self.quiet = quiet
        self.seconds_between_lines = seconds_between_lines
        self.seconds_before_first = seconds_before_first
        """What takes no longer than this needs no line."""
        self.stage = ""
        self.begun = self.started = self.printed = time.monotonic()
        self.bars: Any = None

    @property
    def console(self) -> "Console":
        """Standard error's console, made when something is first shown: quick commands need none."""
        if self._console is None:
            from rich.console import Console

            self._console = Console(stderr=True)
        return self._console

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.bars:
            self.bars.stop()
            self.bars = None

    def line(self, text: str) -> None:
        """Print one line of our own words; any data in it stays plain text."""
        if not self.quiet:
            self.console.print(printable_lines(text), markup=False, emoji=False, highlight=False, soft_wrap=True)

    def __call__(self, stage: str, done: int, total: int, text: str = "", seconds: float | None = None) -> None:
        """Report that `done` of `total` steps of `stage` are done.

        `seconds` is what the done ones took, where they come in batches; the time since the stage began otherwise.
        """
        now = time.monotonic()
        if self.quiet or now - self.begun < self.seconds_before_first:
            return
        fresh = stage != self.stage
        if fresh:
            self.stage, self.started = stage, now
        pace = _pace(done, total, now - self.started if seconds is None else seconds)
        stage, text = printable(stage), printable(text)
        if self.console.is_terminal:
            self._draw(stage, done, total, f"{pace} {text}".strip(), fresh)
        elif fresh or done >= total or now - self.printed > self.seconds_between_lines:
            self.printed = now
            self.line(f"{stage}: {done}/{total} in {now - self.started:.0f} s{pace and f', {pace}'} {text}".rstrip())

    def _draw(self, stage: str, done: int, total: int, text: str, fresh: bool) -> None:
        used = len(f"{stage} {total}/{total} 0:00:00  ") + (BAR + 1 if self.console.width >= BAR_FROM else 0)
        room = max(10, self.console.width - used)
        text = text if len(text) <= room else text[: room - 1] + "…"
        if self.bars is None:
            self.bars = _bars(self.console)
            self.bars.start()
        if fresh:
            for task in self.bars.task_ids:
                self.bars.remove_task(task)
            self.bars.add_task(stage, total=total, text=text)
        self.bars.update(self.bars.task_ids[0], completed=done, total=total, text=text)


def _bars(console: "Console") -> Any:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    bar = [BarColumn(bar_width=BAR)] if console.width >= BAR_FROM else []
    return Progress(
        TextColumn("{task.description}", markup=False),
        *bar,
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[text]}", markup=False),
        console=console,
        transient=True,
    )


def _pace(done: int, total: int, seconds: float) -> str:
    """Return rate and time left in words; nothing where nothing is done or all is."""
    if not 0 < done < total:
        return ""
    each, left = seconds / done, f"{_length(seconds / done * (total - done))} left"
    if each < 0.001:  # too quick for a rate that means something
        return left
    return f"{each:.1f} s each, {left}" if each >= 1 else f"{1 / each:.1f}/s, {left}"


def _length(seconds: float) -> str:
    """Return a time as people say it: 48 s, 12 min, 3.5 h."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
