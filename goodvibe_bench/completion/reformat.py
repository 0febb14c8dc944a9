"""The same code in another layout: indentation, braces, blank lines, blanks. Tokens and comments stay.

It is no formatter: lines are neither broken nor joined but at braces, and a text that it cannot lay out safely (the
tree of the result differs) comes back unchanged.
"""

from collections import Counter
from itertools import pairwise
from random import Random
from typing import NamedTuple

from tree_sitter import Node

from goodvibe_bench.completion.leaves import Edit, Source, edited, is_comment, read, same_code, tokens
from goodvibe_bench.types import Language


class _Style(NamedTuple):
    indent: str
    brace_below: bool
    """Opening braces on a line of their own, else at the end of the line before."""
    blank_lines: bool
    """None inside blocks, else one between statements."""
    comma: str
    keyword: str
    """What follows a comma, and an if, for, while, switch or catch."""


_STYLES = (
    _Style("  ", True, False, " ", ""),
    _Style("\t", False, True, " ", " "),
    _Style("   ", True, True, "", " "),
    _Style("        ", False, False, "", ""),
)
_GO_STYLES = (
    _Style("    ", False, True, " ", " "),
    _Style("  ", False, False, "", " "),
    _Style("        ", False, True, "", " "),
)
_BRACED: dict[Language, frozenset[str]] = {
    "cpp": frozenset({"compound_statement", "field_declaration_list", "declaration_list"}),
    "java": frozenset({"block", "class_body", "constructor_body", "interface_body", "enum_body", "switch_block"}),
    "swift": frozenset({"function_body", "class_body", "protocol_body"}),
    "go": frozenset(),
}
_STATEMENTS = frozenset({"compound_statement", "block", "constructor_body", "statements", "statement_list"})
_KEYWORDS = frozenset({"if", "for", "while", "switch", "catch"})


def reformatted(text: str, language: Language, seed: int) -> str:
    """Return the code in one of a few layouts, chosen by the seed; the same seed gives the same layout again."""
    source = read(text, language)
    if source is None:
        return text
    styles = _GO_STYLES if language == "go" else _STYLES
    style = Random(seed).choice(styles)  # noqa: S311
    layout = _Layout(source, language, style)
    result = edited(source.data, layout.edits())
    return result if same_code(source, result, language) else text


class _Layout:
    """One source in one style: the edits on the white space between its tokens."""

    def __init__(self, source: Source, language: Language, style: _Style) -> None:
        self.data, self.style = source.data, style
        self.language: Language = language
        self.tokens = tokens(source.root)
        self.unit = self._unit()
        self.openings = {node.start_byte for node in self.tokens if node.type == "{" and self._opens_lines(node)}
        self.statements = _statement_starts(source.root)

    def edits(self) -> list[Edit]:
        found = []
        for before, after in pairwise(self.tokens):
            gap = self.data[before.end_byte : after.start_byte].decode()
            if after.start_byte >= before.end_byte and not gap.strip() and not after.type.startswith(("#", "preproc")):
                found.append(Edit(before.end_byte, after.start_byte, self._gap(before, after, gap)))
        return found

    def _gap(self, before: Node, after: Node, gap: str) -> str:
        line_ended = (before.text or b"").endswith(b"\n")
        free = not is_comment(before) and not before.type.startswith(("#", "preproc"))
        opens = after.start_byte in self.openings
        if "\n" not in gap and not line_ended:
            if opens and self.style.brace_below and free:
                return "\n" + self._indent(self._closing_indent(after))
            return self._blank(before, after, gap)
        if opens and not self.style.brace_below and free:
            return " "
        lines = gap.count("\n")
        if free and not is_comment(after) and "\n" in gap:
            if not self.style.blank_lines and before.type not in ("package", "import"):
                lines = 1 if after.start_byte in self.statements or after.type == "}" else lines
            elif after.start_byte in self.statements and before.type != "{":
                lines = max(lines, 2)
        return "\n" * lines + self._indent(gap.rpartition("\n")[2])

    def _blank(self, before: Node, after: Node, gap: str) -> str:
        if before.type == "," and gap in ("", " "):
            return self.style.comma
        if before.type in _KEYWORDS and after.type == "(" and self.language in ("cpp", "java"):
            return self.style.keyword
        return gap

    def _indent(self, blanks: str) -> str:
        """Return the indentation in the new style; blanks beyond whole steps stay."""
        if self.unit == "\t":
            rest = blanks.lstrip("\t")
            return self.style.indent * (len(blanks) - len(rest)) + rest
        if "\t" in blanks:
            return blanks
        steps, rest = divmod(len(blanks), len(self.unit))
        return self.style.indent * steps + " " * rest

    def _unit(self) -> str:
        """Return the source's own step: a tab, or the commonest difference between two lines in blanks."""
        indents = []
        for before, after in pairwise(self.tokens):
            gap = self.data[before.end_byte : after.start_byte].decode(errors="replace")
            if "\n" in gap and not gap.strip():
                indents.append(gap.rpartition("\n")[2])
        if any(indent.startswith("\t") for indent in indents):
            return "\t"
        steps = Counter(len(b) - len(a) for a, b in pairwise(["", *indents]) if 2 <= len(b) - len(a) <= 8)
        return " " * (max(steps, key=lambda step: (steps[step], -step)) if steps else 4)

    def _opens_lines(self, node: Node) -> bool:
        """Return whether a brace opens a block whose closing brace begins a line."""
        parent = node.parent
        if parent is None or parent.type not in _BRACED[self.language]:
            return False
        close = parent.children[-1]
        line = self.data[self.data.rfind(b"\n", 0, close.start_byte) + 1 : close.start_byte]
        return close.type == "}" and close.start_point.row > node.start_point.row and not line.strip()

    def _closing_indent(self, node: Node) -> str:
        close = node.parent.children[-1].start_byte if node.parent else 0
        return self.data[self.data.rfind(b"\n", 0, close) + 1 : close].decode()


def _statement_starts(root: Node) -> set[int]:
    found, waiting = set(), [root]
    while waiting:
        node = waiting.pop()
        if node.type in _STATEMENTS:
            found.update(child.start_byte for child in node.named_children)
        waiting.extend(node.children)
    return found
