"""Tells lines of code from lines of prose, where no fence does. It knows no grammar: whether they parse is asked later.

All patterns are tried at a line's start or run once over it, and a line is read to its first 400 characters, so the
cost is linear in the text.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Literal

Kind = Literal["code", "aside", "prose", "other"]
"""An aside is a comment, include, import or package line; other (blank, a lone word, prose glued to code) is part of
the code around it and none by itself."""

_LINE_CHARACTERS = 400
_ASIDE = re.compile(r"//|/\*|\*/|\*(?:\s|$)(?!\*)|#\s*include\b|import [\w.({\"<]|package \w+;?|using [\w:]+|#pragma\b")
_MARKDOWN = re.compile(r"#{1,6} [A-Z\d*`]|[-+•] |\d{1,3}[.)] |\*\*|>|\|")
_KEYWORD = re.compile(
    r"(?:#\s*(?:define|if|ifdef|ifndef|else|endif)|@\w+|template\b|namespace\b|(?:public|private|protected|internal|"
    r"static|final|abstract|class|struct|enum|interface|protocol|extension|func|fun|def|type|typedef|const|constexpr|"
    r"let|var|void|int|char|bool|boolean|double|float|long|unsigned|auto|String|if|else|for|while|switch|case|default|"
    r"guard|return|throw|try|catch|do|defer|go|init|deinit|override|mutating)\b)"
)
_PUNCTUATION = re.compile(r"[(){}\[\]=<>:\"]|\+\+|--|->")
_OPERATOR = re.compile(r":=|[\w)\]] [-+*/]?= |->|\+\+|\w\(\)|::|&&|\|\||\"\"\)|<<")
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')
_INLINE = re.compile(r"`[^`]*`")
_GLUED = re.compile(r"[\w.]*\w\(|[)\]}]")
_TOUCHING = re.compile(r"\w\(|[{};]")
_FOUR_WORDS = re.compile(r"(?:^|[ (])[A-Za-z][a-z’']*,?(?: [A-Za-z][A-Za-z’'-]*,?){3}(?![\w(])")


def kind_of(line: str) -> Kind:
    """Return what one line looks like by itself."""
    body = line.strip()[:_LINE_CHARACTERS]
    if not body:
        return "other"
    if _ASIDE.match(body):
        return "aside"
    bare = _QUOTED.sub('""', body).split("//")[0].rstrip()
    if _KEYWORD.match(bare) and _PUNCTUATION.search(bare) and not bare.endswith((".", "?")):
        return "code"
    if _MARKDOWN.match(bare) or _FOUR_WORDS.search(bare):
        # A line of code that runs on into prose is broken code; dropping it would repair the answer.
        if _GLUED.match(bare):
            return "code"
        return "other" if _TOUCHING.search(_INLINE.sub("x", bare)) else "prose"
    if bare.endswith(("{", "}", ";", "(", ")", "[", "]", ",")) or _OPERATOR.search(bare):
        return "code"
    return "prose" if bare.endswith((".", ":", "!", "?")) else "other"


def code_lines(text: str) -> int:
    """Return how many lines look like code, comments and imports not counted."""
    return sum(kind == "code" for kind in _kinds(text.split("\n")))


def runs(text: str) -> list[str]:
    """Return every run of code lines that no prose breaks, without the lines around it that are neither."""
    found: list[str] = []
    lines = text.split("\n")
    start = end = -1
    for number, kind in enumerate([*_kinds(lines), "prose"]):
        if kind in ("code", "aside"):
            start, end = (number if start < 0 else start), number
        elif kind == "prose" and start >= 0:
            found.append("\n".join(lines[start : end + 1]))
            start = -1
    return found


def span(text: str) -> str:
    """Return all from the first line that looks like code to the last one, prose between them included."""
    lines = text.split("\n")
    marked = [number for number, kind in enumerate(_kinds(lines)) if kind in ("code", "aside")]
    return "\n".join(lines[marked[0] : marked[-1] + 1]) if marked else ""


def _kinds(lines: Iterable[str]) -> Iterator[Kind]:
    """Yield the kind of each line; a block comment is an aside to its end, whatever its lines look like."""
    commented = False
    for line in lines:
        yield "aside" if commented else kind_of(line)
        opened = commented or line.lstrip().startswith("/*")
        commented = opened and line.rfind("*/") <= (-1 if commented else line.find("/*"))
