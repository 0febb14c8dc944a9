"""Splits a completion into its fenced blocks and the text around them. It does not decide which block is the answer.

It reads fences as models write them, not as CommonMark defines them: indented or behind a list marker, with any info
string, closed at the end of a code line, or never closed because the completion was cut.
"""

import re
from typing import NamedTuple

from goodvibe_bench.types import Stop

_FENCE = re.compile(r"(?:(?:[-*+]|\d{1,3}[.)])[ \t]+)?(`{3,}|~{3,})([^`]*)$")
_THINK = re.compile(r"(?P<quoted>[\"'`]</?think(?:ing)?>[\"'`])|<(?P<end>/?)think(?:ing)?>", re.IGNORECASE)
_WORD = re.compile(r"(?:language-)?([a-z]+(?:\+\+|#|/c\+\+)?)")
_FILE = re.compile(r"\S*\w\.(c|cc|cpp|cxx|h|hpp|java|swift|go|py|js|ts|rs|cs|kt)\b(?!\()")

_TAGS = {
    "cpp": "c c++ cpp cc cxx h hpp hxx ino arduino c/c++",
    "java": "java",
    "swift": "swift swiftui",
    "go": "go golang",
    "other": "python py js javascript jsx ts typescript tsx node rust rs c# cs csharp kotlin kt ruby rb php perl scala "
    "dart lua r julia haskell objc objective objectivec vb vbnet f# fsharp pascal delphi ada asm assembly nasm matlab "
    "groovy elixir clojure zig nim solidity fortran ocaml erlang lisp scheme",
    "aside": "bash sh shell zsh fish powershell cmd bat batch console terminal sql html css json yaml yml xml toml ini "
    "makefile make cmake dockerfile docker properties gradle diff csv http",
}
_TAG_OF = {word: tag for tag, words in _TAGS.items() for word in words.split()}


class Block(NamedTuple):
    """One fenced block. The tag is a language of ours, "other" (another one), "aside" (shell, data) or ""."""

    text: str
    tag: str
    closed: bool


def without_thoughts(text: str, stop: Stop) -> str:
    """Return the text without its <think> blocks.

    A lone </think> ends a block that the chat template opened. A <think> that never ends keeps what follows it,
    unless the token limit cut it: a draft inside a cut thought is no answer. A quoted one is text about thoughts.
    """
    kept: list[str] = []
    start, inside = 0, False
    for mark in _THINK.finditer(text):
        if mark["quoted"]:
            continue
        if mark["end"]:
            kept = kept if inside else []
            start, inside = mark.end(), False
        elif not inside:
            kept.append(text[start : mark.start()])
            start, inside = mark.end(), True
    if not (inside and stop == "length"):
        kept.append(text[start:])
    return "".join(kept)


def split(text: str) -> tuple[list[Block], str]:
    """Return the fenced blocks in order, and all lines outside of them."""
    blocks: list[Block] = []
    outside: list[str] = []
    inside: list[str] = []
    opener: re.Match[str] | None = None
    for line in text.split("\n"):
        body = line.strip()
        fence = _FENCE.match(body) if "```" in body or "~~~" in body else None
        if opener is None:
            opener, inside = fence, []
            if fence is None:
                outside.append(line)
        elif fence is not None and fence[1].startswith(opener[1]):
            blocks.append(_block(inside, opener, closed=True))
            # A fence with a language behind it opens the next block: the model forgot to close the last one.
            opener, inside = (fence if tag_of(fence[2]) else None), []
        elif fence is None and body.endswith(opener[1]):
            blocks.append(_block([*inside, line.rstrip().rstrip(opener[1][0])], opener, closed=True))
            opener = None
        else:
            inside.append(line)
    if opener is not None:
        blocks.append(_block(inside, opener, closed=False))
    return blocks, "\n".join(outside)


def tag_of(info: str) -> str:
    """Return the tag that an info string such as "C++17", "{.cpp}" or "main.go" stands for, "" when unknown."""
    info = info.strip().lower().lstrip("{.")
    file = _FILE.match(info)
    word = _WORD.match(info)
    return _TAG_OF.get(file[1] if file else word[1] if word else "", "")


def _block(lines: list[str], opener: re.Match[str], closed: bool) -> Block:
    if not closed and lines and lines[-1].strip() in {"`", "``", "~", "~~"}:
        lines = lines[:-1]
    return Block(text="\n".join(lines), tag=tag_of(opener[2]), closed=closed)
