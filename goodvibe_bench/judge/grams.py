"""What the pairwise judge sees of a snippet: its tokens in their places, with names of its own taken out.

A name that the snippet declares itself is seen as `own`, or as what flow.py knows of its value, so no choice of names
tells anything. Names from outside, operators and words of strings stay. It is linear in the size of the tree.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from tree_sitter import Node

from goodvibe_bench.completion.bare import without_comments
from goodvibe_bench.completion.leaves import events, is_whole, read_respelled
from goodvibe_bench.judge.flow import BOUNDED, CHECKED, FREED, IN, beginning, flow
from goodvibe_bench.types import Language

LONGEST = 60
"""Characters of a token that are told apart."""

_MARKED = re.compile(rf"({IN}|{BOUNDED}|{CHECKED}|{FREED})(.*)", re.DOTALL)
_TOKEN = re.compile(r"\w+|[^\w\s]")
_INTERPOLATED = re.compile(r"\\\([^()]*\)")
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")
_CONDITIONS = frozenset(
    {"if_statement", "while_statement", "do_statement", "for_statement", "switch_statement", "guard_statement"}
    | {"conditional_expression", "ternary_expression", "repeat_while_statement"}
)
_BLOCKS = frozenset({"block", "compound_statement", "statements", "statement_list"})
_BETWEEN = frozenset(
    {"pointer_declarator", "reference_declarator", "array_declarator", "init_declarator", "function_declarator"}
    | {"structured_binding_declarator", "parenthesized_declarator", "variable_declarator", "inferred_parameters"}
    | {"pattern", "expression_list"}
)
"""Nodes between a declaration and its name."""
_LEADS = frozenset({"", "declarator", "name", "bound_identifier"})
"""Fields by which they lead to the name."""
_DECLARES: dict[Language, frozenset[tuple[str, str]]] = {
    "cpp": frozenset(
        {(f"{node}declaration", "declarator") for node in ("", "parameter_", "optional_parameter_")}
        | {("for_range_loop", "declarator"), ("function_definition", "declarator"), ("type_definition", "declarator")}
        | {("lambda_capture_initializer", "left")}
        | {(f"{node}_specifier", "name") for node in ("struct", "class", "enum", "union")}
    ),
    "java": frozenset(
        {("local_variable_declaration", "declarator"), ("spread_parameter", ""), ("lambda_expression", "parameters")}
        | {(node, "name") for node in ("formal_parameter", "enhanced_for_statement", "resource", "method_declaration")}
        | {(node, "name") for node in ("catch_formal_parameter", "instanceof_expression", "constructor_declaration")}
        | {(f"{node}_declaration", "name") for node in ("class", "record", "interface", "enum")}
    ),
    "swift": frozenset(
        {(f"{node}_statement", "bound_identifier") for node in ("if", "guard", "while")}
        | {("for_statement", "item"), ("catch_block", "error"), ("property_declaration", "name")}
        | {(node, "name") for node in ("lambda_parameter", "parameter", "function_declaration", "class_declaration")}
    ),
    "go": frozenset(
        {(node, "left") for node in ("short_var_declaration", "range_clause", "receive_statement")}
        | {(node, "name") for node in ("var_spec", "const_spec", "parameter_declaration", "function_declaration")}
        | {("variadic_parameter_declaration", "name"), ("type_spec", "name"), ("type_switch_statement", "alias")}
    ),
}


class _Leaf(NamedTuple):
    text: str
    asked: bool
    """Whether it stands in a condition."""
    declared: bool
    """Whether it is a name that is declared there."""


def grams(text: str, language: Language) -> set[str]:
    """Return the features of a snippet: its tokens, twos and threes of them, and words of names from outside.

    "c " marks what stands in a condition, "~" a word of a name, '"' a word of a string.
    """
    plain = without_comments(beginning(text))
    source = read_respelled(flow(plain, language, untracked=frozenset()), language)
    if source is None:
        return {f"1 {token[:LONGEST]}" for token in _TOKEN.findall(plain)}
    leaves = list(_leaves(source.root, language))
    own = {_unmarked(leaf.text) for leaf in leaves if leaf.declared}
    found: set[str] = set()
    before, last = "<", "<"
    for leaf in leaves:
        token, words = _seen(leaf.text, own)
        found |= {f"1 {token}", f"2 {last} {token}", f"3 {before} {last} {token}", *words}
        if leaf.asked:
            found |= {f"c {token}", *(f"c{word}" for word in words if word[0] == "~")}
        before, last = last, token
    return found


def _seen(text: str, own: set[str]) -> tuple[str, set[str]]:
    """Return what a token is seen as, and its words."""
    if text[0] in "\"'":
        words = _words(_INTERPOLATED.sub("", text))
        return ("string" if len(text) > 2 else "empty string"), {f'"{word}' for word in words}
    marked = _MARKED.match(text)
    if marked:
        return marked[1], set()
    if text in own:
        return "own", set()
    return text[:LONGEST], {f"~{word}" for word in _words(text)} if text[0].isalpha() else set()


def _unmarked(text: str) -> str:
    marked = _MARKED.match(text)
    return marked[2] if marked else text


def _words(text: str) -> set[str]:
    return {word.lower() for word in _WORD.findall(text)}


def _leaves(root: Node, language: Language) -> Iterator[_Leaf]:
    """Yield the tokens in order, a string as one of them."""
    above: list[tuple[str, str, bool]] = []
    """Type and field of every node around, and whether it stands in a condition."""
    whole = 0
    """How many of them are strings or comments: what is inside is told with them."""
    for event in events(root):
        node = event.node
        if event.leaves:
            above.pop()
            whole -= is_whole(node)
            continue
        asked = bool(above) and above[-1][2] and node.type not in _BLOCKS
        asked = asked or (event.field == "condition" and event.parent in _CONDITIONS)
        above.append((node.type, event.field, asked))
        outer, whole = whole, whole + is_whole(node)
        if not outer and (whole or not node.child_count) and "comment" not in node.type:
            text = (node.text or b"").decode(errors="replace").strip()
            if text:  # Go's line ends are leaves too
                yield _Leaf(text, asked, "identifier" in node.type and _declares(above, language))


def _declares(above: list[tuple[str, str, bool]], language: Language) -> bool:
    """Return whether the innermost node is the name that a declaration around it declares."""
    field = above[-1][1]
    for place in range(len(above) - 2, -1, -1):
        kind, outer, _ = above[place]
        if (kind, field) in _DECLARES[language]:
            return True
        if kind not in _BETWEEN or field not in _LEADS:
            return False
        field = outer
    return False
