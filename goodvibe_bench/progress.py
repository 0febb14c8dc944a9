"""Show what a long command is doing: a live bar on a terminal, plain lines elsewhere. Always on standard error."""

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn


class Show:
    """A callable (stage, done, total, text) that shows progress while it is entered, and `line` for one-off words."""

    def __init__(
        self, console: Console | None = None, *, quiet: bool = False, seconds_between_lines: float = 15
    ) -> None:
        self.console = console or Console(stderr=True)
        self.quiet = quiet
        self.seconds_between_lines = seconds_between_lines
        self.stage = ""
        self.started = self.printed = time.monotonic()
        self.bars: Progress | None = None

    def __enter__(self) -> Self:
        if self.console.is_terminal and not self.quiet:
            self.bars = Progress(
                TextColumn("{task.description}"),
                BarColumn(bar_width=24),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TimeRemainingColumn(),
                TextColumn("{task.fields[text]}"),
                console=self.console,
                transient=True,
            )
            self.bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.bars:
            self.bars.stop()

    def line(self, text: str) -> None:
        """Print one line of our own words; any data in it stays plain text."""
        if not self.quiet:
            self.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def __call__(self, stage: str, done: int, total: int, text: str = "", seconds: float | None = None) -> None:
        """Report that `done` of `total` steps of `stage` are done.

        `seconds` is what the done ones took, where they come in batches; the time since the stage began otherwise.
        """
        if self.quiet:
            return
        fresh = stage != self.stage
        if fresh:
            self.stage, self.started = stage, time.monotonic()
        if self.bars:
            if fresh:
                for task in self.bars.task_ids:
                    self.bars.remove_task(task)
                self.bars.add_task(escape(stage), total=total, text=escape(text))
            self.bars.update(self.bars.task_ids[0], completed=done, total=total, text=escape(text))
        elif fresh or done >= total or time.monotonic() - self.printed > self.seconds_between_lines:
            self.printed = time.monotonic()
            spent = self.printed - self.started
            each = (spent if seconds is None else seconds) / done if done else 0
            left = f", {each * (total - done):.0f} s left" if 0 < done < total else ""
            self.line(f"{stage}: {done}/{total} in {spent:.0f} s{left} {text}".rstrip())
