"""Code as tree-sitter's leaves, and edits on them: what the rewrites share. It decides no rewrite itself."""

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from tree_sitter import Node

from goodvibe_bench.completion import syntax
from goodvibe_bench.completion.respell import respelled
from goodvibe_bench.types import Language

_WHOLE = re.compile(r"\w*(?:string|comment|char|rune|regex)\w*|preproc_(?:include|def|function_def|call)")
"""Nodes that are text to a reader, or end with their line: nothing inside them is ever laid out anew."""


class Edit(NamedTuple):
    """Replace the bytes from start to end."""

    start: int
    end: int
    text: str


class Source(NamedTuple):
    """A text that parses, as bytes and tree; node positions count bytes."""

    data: bytes
    root: Node


def read(text: str, language: Language) -> Source | None:
    """Return the text with its tree, or None where it does not parse by itself or cannot be written as UTF-8."""
    try:
        data = text.encode()
    except UnicodeEncodeError:  # a lone surrogate
        return None
    if not syntax.parses(text, language):
        return None
    root = syntax._parse(text, language)
    return Source(data, root) if root is not None else None


def read_respelled(text: str, language: Language) -> Source | None:
    """Return the text with its tree, also where it parses only with its macros or regex literals respelled.

    The tree is of the respelled text then, and the data are the text's own: positions are the same in both.
    """
    source = read(text, language)
    if source is not None:
        return source
    plain = respelled(text, language)
    respelling = read(plain, language) if plain != text else None
    return Source(text.encode(), respelling.root) if respelling is not None else None


def is_comment(node: Node) -> bool:
    """Return whether the node is a comment."""
    return "comment" in node.type


def walk(root: Node) -> Iterator[Node]:
    """Yield the node and all below it, in the order of the text."""
    waiting = [root]
    while waiting:
        node = waiting.pop()
        yield node
        waiting.extend(reversed(node.children))


class Event(NamedTuple):
    """A node as a pass goes into it, or comes out of it."""

    node: Node
    leaves: bool
    """Whether the pass comes out of the node; else it goes in."""
    field: str
    parent: str
    """Type of the node above."""


def events(root: Node) -> Iterator[Event]:
    """Yield every node as it is gone into, and as it is come out of."""
    cursor = root.walk()  # a node's own list of children and fields is read anew for each of them
    above: list[Event] = []
    while True:
        event = Event(cursor.node or root, False, cursor.field_name or "", above[-1].node.type if above else "")
        yield event
        if cursor.goto_first_child():
            above.append(event)
            continue
        yield event._replace(leaves=True)
        while not cursor.goto_next_sibling():
            if not above:
                return
            cursor.goto_parent()
            yield above.pop()._replace(leaves=True)


def is_whole(node: Node) -> bool:
    """Return whether a node is one token however many it has below: a string, a comment, a directive of one line."""
    return node.is_named and _WHOLE.fullmatch(node.type) is not None


def tokens(root: Node) -> list[Node]:
    """Return the leaves in order, with strings, comments and single-line directives as one leaf each."""
    found: list[Node] = []
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if is_whole(node):
            found.append(node)
        elif node.child_count:
            waiting.extend(reversed(node.children))
        elif (node.text or b"").strip():  # Go's line ends are leaves too
            found.append(node)
    return found


def edited(data: bytes, edits: Iterable[Edit]) -> str:
    """Return the text after edits that do not overlap."""
    parts, done = [], 0
    for start, end, text in sorted(edits):
        parts += [data[done:start], text.encode()]
        done = end
    return b"".join([*parts, data[done:]]).decode()


def shape(root: Node) -> list[tuple[str, int, bytes]]:
    """Return every node's type, number of children and, at leaves, text, without comments: what the code says.

    Two texts with equal shapes are the same code in another layout.
    """
    found: list[tuple[str, int, bytes]] = []
    waiting = [root]
    while waiting:
        node = waiting.pop()
        children = [child for child in node.children if not is_comment(child) and (child.text or b"").strip()]
        found.append((node.type, len(children), b"" if children else (node.text or b"").strip()))
        waiting.extend(reversed(children))
    return found


def same_code(source: Source, text: str, language: Language) -> bool:
    """Return whether the text is the same code as the source in another layout or with other comments."""
    other = read(text, language)
    return other is not None and shape(other.root) == shape(source.root)
