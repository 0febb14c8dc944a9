"""Directives of code that steer an analyser, made to do nothing: other lines, other files, code that is not read.

It reads no tool's output, removes nothing and leaves lines where they are. Comments, strings and continued lines are
not told from code, since readers differ there: whatever any of them may take for such a directive becomes a `#pragma`
that none of them knows.
"""

import re
from bisect import bisect_left
from collections.abc import Iterator

from goodvibe_bench.types import Language

_LINE_END = r"(?:\\|\?\?/)[^\S\n]*+\n"
"""What ends a line for the eye only; some compilers allow spaces before its end."""
_SPLICE = rf"(?:{_LINE_END})*+"


def _split(word: str) -> str:
    return _SPLICE.join(word)


_SPACE = re.compile(rf"(?:[\x00-\x09\x0b-\x20]++|{_LINE_END})*+")
_COMMENT_START = re.compile(rf"/(?={_SPLICE}\*)")
_COMMENT_END = re.compile(rf"\*{_SPLICE}/")
_HASH = re.compile(
    rf"(?:^|{_COMMENT_END.pattern}){_SPACE.pattern}(?P<hash>#|%{_SPLICE}:|\?\?=)?",
    re.MULTILINE,
)
_FILES = "|".join(map(_split, ("include", "import", "embed")))
_NAMES = re.compile(rf"(?:{_FILES})\w*|" + "|".join(map(_split, ("line", "file", "endfile", "pragma"))) + r"|(?=\d)")
_OPERANDS = {
    "line": re.compile(r"\d"),
    "file": re.compile('"'),
    "pragma": re.compile(_split("asm")),
}
"""What makes the directive one that steers: `#file`, `#endfile` and `#pragma asm` are cppcheck's own."""
_HEADER = re.compile(rf"<(?:[^>\n\\?]++|{_LINE_END}|[\\?])*+>")
_GO = re.compile(r"(?:^//|/\*)(?=line\b)", re.MULTILINE)


def disarmed(text: str, language: Language) -> str:
    """Return `text` with the same number of lines, in which `#include`, `#line` and their like do nothing."""
    if language == "go":
        return _GO.sub(r"\g<0> ", text)
    if language != "cpp":
        return text
    parts, last = [], 0
    for place, words in sorted(_additions(text)):
        parts += [text[last:place], words]
        last = place
    return "".join([*parts, text[last:]])


def _additions(text: str) -> set[tuple[int, str]]:
    """Return what is to be added, each with its place: after the # of directives, and in a <name> that has a /*."""
    gaps, found = _Gaps(text), set[tuple[int, str]]()
    for begun in _HASH.finditer(text):
        name = _NAMES.match(text, gaps.end(begun.end())) if begun["hash"] else None
        if name is None:
            continue
        after = gaps.end(name.end())
        operand = _OPERANDS.get(re.sub(_LINE_END, "", name[0]))
        if operand is not None and not operand.match(text, after):
            continue
        found.add((begun.end(), "pragma goodvibe "))
        if header := _HEADER.match(text, after):  # only after `include` it is a name: in a pragma /* is a comment
            found |= {(start.end(), " ") for start in _COMMENT_START.finditer(text, *header.span())}
    return found


class _Gaps:
    """Where the spaces and comments end that lie between two words of a directive. No place is walked over twice."""

    def __init__(self, text: str) -> None:
        self._text = text
        ends = [found.span() for found in _COMMENT_END.finditer(text)]
        self._firsts, self._lasts = [first for first, _ in ends], [last for _, last in ends]
        self._known: dict[int, int] = {}

    def end(self, place: int) -> int:
        """Return where the gap that begins at `place` ends; a comment without an end is no gap."""
        *walked, last = self._walk(place)
        self._known |= dict.fromkeys(walked, last)
        return last

    def _walk(self, place: int) -> Iterator[int]:
        """Yield the places behind each comment, and last the end of the gap."""
        while place not in self._known:
            yield place
            space = _SPACE.match(self._text, place)
            after = space.end() if space else place
            start = _COMMENT_START.match(self._text, after)
            index = bisect_left(self._firsts, _past(self._text, start)) if start else len(self._lasts)
            if index == len(self._lasts):
                yield after
                return
            place = self._lasts[index]
        yield self._known[place]


def _past(text: str, slash: re.Match[str]) -> int:
    """Return the place behind the two letters that begin a comment."""
    return text.index("*", slash.end()) + 1
