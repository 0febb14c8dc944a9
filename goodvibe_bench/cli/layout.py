"""Tables of text for a terminal of any width: whole names where they fit, broken at word ends where not.

Nothing is cut off. A column may be left out where the caller allows it, and is then named. It prints nothing, and takes
text as it is: control characters are the caller's to remove.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest

GAP = 2
UNBROKEN = 60
"""Letters; a longer piece is broken where it has to be, so that no name makes lines as long as itself."""
_BRACKET = re.compile(r"(?<=\S)(?=\[)")
_BREAKS = re.compile(r"(?<=[\s\-_,/=:.])(?![\s\d\[])|" + _BRACKET.pattern)
"""Where a name or sentence may be broken: after a separator, before a bracket; never in "74.7 [68, 81]"."""


@dataclass
class Column:
    """One column while its width is sought; widths in letters."""

    heading: list[str]
    cells: Sequence[str]
    right: bool
    """A column of figures, flush right and never broken."""
    widest: int = 0
    half: int = 0
    """The least width at which no cell takes more than about two lines."""
    least: int = 0
    """The longest piece that should not be broken."""
    width: int = 0

    def measure(self) -> None:
        head = max(map(wide, self.heading))
        distinct = set(self.cells)
        self.width = self.widest = max([head, *map(wide, distinct)])
        pieces = [wide(piece.rstrip()) for cell in distinct for piece in _BREAKS.split(cell)]
        self.least = self.widest if self.right else max([head, min(max(pieces, default=0), UNBROKEN)])
        self.half = max(self.least, min(self.widest, -(-self.widest // 2) + 2))


def wide(text: str) -> int:
    """Return how many letters of a terminal's line `text` takes."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def lay_out(
    headings: Sequence[str],
    rows: Sequence[Sequence[str]],
    right: Sequence[bool],
    width: int,
    *,
    optional: Sequence[int] = (),
) -> tuple[list[str], list[int]]:
    """Return the table's lines, and the places of columns left out.

    `optional` are places of columns that may be left out, the most telling first. Lines are longer than `width` only
    where even the least columns do not fit.
    """
    columns = [
        Column(heading.split("\n"), [row[place] for row in rows], right[place])
        for place, heading in enumerate(headings)
    ]
    for column in columns:
        column.measure()
    kept, spare = list(range(len(columns))), list(optional)
    while not _fit([columns[place] for place in kept], width, "half") and spare:
        kept.remove(spare.pop())
    shown = [columns[place] for place in kept]
    if not _fit(shown, width, "half"):
        _fit(shown, width, "least")
    return _lines(shown), [place for place in range(len(columns)) if place not in kept]


def _fit(columns: Sequence[Column], width: int, limit: str) -> bool:
    """Set the columns' widths: as wide as they want, then the widest ones narrower, down to `limit`."""
    for column in columns:
        column.width = column.widest
    excess = sum(column.width for column in columns) + GAP * (len(columns) - 1) - width
    while excess > 0:
        soft = [column for column in columns if column.width > getattr(column, limit)]
        if not soft:
            return False
        top = max(column.width for column in soft)
        widest = [column for column in soft if column.width == top]
        room = top - max([*(getattr(column, limit) for column in widest), *(c.width for c in soft if c.width < top)])
        step = max(1, min(room, excess // len(widest)))  # as far as the next widest one at once: cells may be very long
        for column in widest[:excess]:
            column.width -= step
            excess -= step
    return True


def _lines(columns: Sequence[Column]) -> list[str]:
    deep = max(len(column.heading) for column in columns)
    heads = [[""] * (deep - len(column.heading)) + column.heading for column in columns]
    lines = [_join(columns, texts) for texts in zip(*heads, strict=True)]
    lines.append("─" * (sum(column.width for column in columns) + GAP * (len(columns) - 1)))
    for cells in zip(*(column.cells for column in columns), strict=True):
        wrapped = [wrap(cell, column.width) for cell, column in zip(cells, columns, strict=True)]
        lines += [_join(columns, texts) for texts in zip_longest(*wrapped, fillvalue="")]
    return lines


def _join(columns: Sequence[Column], texts: Sequence[str]) -> str:
    padded = []
    for column, text in zip(columns, texts, strict=True):
        blank = " " * (column.width - wide(text))
        padded.append(blank + text if column.right else text + blank)
    return (" " * GAP).join(padded).rstrip()


def wrap(text: str, width: int) -> list[str]:
    """Return `text` in lines of at most `width`: a bracket after a name on a new one, then broken where names and
    sentences may be, else anywhere.
    """
    if wide(text) <= width:
        return [text]
    return [line for part in _BRACKET.split(text) for line in _wrap(part, width)]


def _wrap(text: str, width: int) -> list[str]:
    lines = [""]
    for piece in _BREAKS.split(text):
        if wide(lines[-1] + piece.rstrip()) > width and lines[-1]:
            lines[-1] = lines[-1].rstrip()
            lines.append("")
        if wide(piece.rstrip()) > width:
            lines[-1:] = _cut(piece.rstrip(), width)
        else:
            lines[-1] += piece
    return [line.rstrip() for line in lines if line.strip()] or [""]


def _cut(text: str, width: int) -> list[str]:
    """Return `text` in pieces of at most `width`, or of one letter that is wider, in one pass."""
    found, used = [""], 0
    for letter in text:
        size = wide(letter)
        if used + size > width and found[-1]:
            found.append("")
            used = 0
        found[-1] += letter
        used += size
    return found
