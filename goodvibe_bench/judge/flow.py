"""Where values of a snippet come from and what was checked about them, written before their names.

The signals' view `flow`: before each local name stands `in__` (it comes from outside: a parameter, an input, or made
of one), `bounded__` (such a value was compared with a limit since), `checked__` (it was compared or handed to a check
since, or comes out of an escape) or `freed__` (what it points to was given back or moved away). One pass in the order
of the text, by the shape of the tree: it knows no types, no branches, no calls to other functions and no aliases, so a
mark is a hint and no proof. A text that does not parse, nor would without its macros or regex literals, gets no marks.
"""

import re
from collections.abc import Callable, Iterator
from functools import partial

import re2
from tree_sitter import Node

from goodvibe_bench.completion.leaves import Edit, Event, edited, events, read_respelled, walk
from goodvibe_bench.completion.syntax import MAX_CHARACTERS
from goodvibe_bench.types import Language

IN, BOUNDED, CHECKED, FREED = "in__", "bounded__", "checked__", "freed__"

_NAME = {"cpp": "identifier", "java": "identifier", "swift": "simple_identifier", "go": "identifier"}
_PARAMETERS = frozenset(
    {"parameter_declaration", "optional_parameter_declaration", "variadic_parameter_declaration", "formal_parameter"}
    | {"spread_parameter", "parameter"}
)
_PARAMETER_NAME = {"declarator", "name"}
_ASSIGNS: dict[str, tuple[str, str]] = {
    "init_declarator": ("declarator", "value"),
    "assignment_expression": ("left", "right"),
    "for_range_loop": ("declarator", "right"),
    "variable_declarator": ("name", "value"),
    "resource": ("name", "value"),
    "enhanced_for_statement": ("name", "value"),
    "property_declaration": ("name", "value"),
    "assignment": ("target", "result"),
    "for_statement": ("item", "collection"),
    "short_var_declaration": ("left", "right"),
    "assignment_statement": ("left", "right"),
    "var_spec": ("name", "value"),
    "range_clause": ("left", "right"),
}
"""Nodes that give names a value, with the fields of names and value. A loop's names are given before its body."""
_CONDITIONAL = frozenset(
    {"if_statement", "while_statement", "do_statement", "for_statement", "conditional_expression", "ternary_expression"}
    | {"guard_statement", "repeat_while_statement", "assert_statement", "if_expression"}
)
_NAMED = frozenset({"method_invocation", "qualified_identifier", "function_declaration", "method_declaration"})
_CALLS = frozenset({"call_expression", "method_invocation", "object_creation_expression", "delete_expression"})
_COMPARES = re.compile(r"binary_expression|comparison_expression|equality_expression|infix_expression")
_NOTHING = re.compile(r"\s*(?:nullptr|NULL|null|nil|0|-1|''|\"\"|true|false)\s*")
_IS_EMPTY = re.compile(r"(?i:is_?empty|empty|is_?blank|is_?nil|is_?null|count|size|length|len|strlen|ok|good|fail)")
_IS_CHECK = re.compile(
    r"(?i:.*(?:valid|verif|check|allow|permit|author|(?<!un)safe|trust|contain|match|starts?with|has_?prefix|ends?with|compare"
    r"|equal|exist|member|owner|belong|require|ensure|assert|guard).*|in|is_?abs\w*|is_?local|has)"
)
_CLEANS = re2.compile(
    r"\b(?i:\w*(?:escap|quot|saniti[sz]|encod|clean|canonical|normali[sz]|resolv|strip|hash|digest|redact|mask)\w*"
    r"|base|basename|filename|file_?name|lastPathComponent|getFileName|addingPercentEncoding)\s*[(.]"
    r"|\blastPathComponent\b|\b[A-Z][A-Z_]{2,}\.get(?:OrDefault)?\s*\(|\bFile(?:nameUtils)?\s*(?:\([^()]*\))?\.getName\b"
)
_LIMITS = re.compile(r"\b(?:(?:std::)?(?:min|clamp)|Math\.(?:min|clamp|floorMod)|strnlen)\s*[(<]|%\s*\w")
_INPUT = {
    "cpp": re.compile(r"\b(?:getenv|secure_getenv|fgetc|getchar|recv\w*|read|fread|fgets|getline|readLine|cin)\b"),
    "java": re.compile(
        r"\b(?:getParameter\w*|getHeader\w*|getQueryString|getCookies|getInputStream|getReader|readLine|next(?:Line|Int"
        r"|Long)?|getenv|readObject|getPathInfo|getRequestURI|readAllBytes|getPart|getOriginalFilename|read(?:Int|Long"
        r"|Short|UTF|Unsigned\w+)|getContentLength|nextToken|getInt|getShort)\s*\("
    ),
    "swift": re.compile(
        r"\breadLine\s*\(|\bCommandLine\.arguments|\.environment\b|\bquery(?:Items)?\b|\bcontentsOf\b"
        r"|\breq(?:uest)?\.(?:parameters|query|content|headers|cookies|body|url)\b|\bmessage\.body\b|\bPasteboard\b"
        r"|\.(?:readData|readToEnd|availableData|readInteger|readString|loadUnaligned)\b"
    ),
    "go": re.compile(
        r"\.(?:FormValue|PostFormValue|PathValue|Query|Param|Params|Cookie|ReadString|ReadAll|Text|Vars|Getenv|Args)\b"
        r"|\bmux\.Vars|\bos\.(?:Args|Getenv)|\.(?:URL|Header|Body|Form)\b"
    ),
}
_STREAM = re.compile(r"\s*(?:std::)?(?:w?cin|in(?:put|file|_?stream)?|ifs|file|stream)\s*>>")
_JUMPS = re.compile(r"(?:return|throw|goto|break|continue|control_transfer)_(?:statement|expression)")
_BLOCKS = frozenset({"compound_statement", "block", "statements", "statement_list"})
UNTRACKED = frozenset({"_", "err", "error", "ok", "ctx"})
"""Names that patterns know as they are."""
_MOST_BYTES = 4_000
"""Conditions, calls and values above this size are passed over: nested ones would be read again and again."""
_READINGS = 50
"""How often conditions, calls and values may be read in all, in lengths of the text; code by people takes up to 14."""
_FILLS = re.compile(
    r"f?gets(?:_s)?|read|fread|recv(?:from)?|f?scanf|sscanf|getline|readline|Scan\w*|Decode|Unmarshal|Bind\w*"
    r"|Read(?:Full|AtLeast|At)?"
)
"""Calls that fill what is handed to them with what comes from outside."""
_FREES = re.compile(
    r"(?:std::)?(?:\w+_)?(?:k?v?free|destroy|unref)(?:_\w+)?|\w+Free(?:Doc|Node|Context)?|fclose|pclose|closedir|close|delete"
)
_FUNCTIONS = frozenset({"function_definition", "function_declaration", "method_declaration", "constructor_declaration"})
_LOOK_UPS = frozenset({"index_expression", "subscript_expression", "array_access"})


def beginning(text: str) -> str:
    """Return as much of a text as judges by patterns read, without what cannot be written as UTF-8."""
    return text[:MAX_CHARACTERS].encode("utf-8", "replace").decode()


def flow(text: str, language: Language, untracked: frozenset[str] = UNTRACKED) -> str:
    """Return the code with a mark before each local name whose origin is known; linear in the size of its tree.

    The names `untracked` get none.
    """
    source = read_respelled(text, language)
    if source is None:
        return text
    return edited(source.data, _Pass(language, _READINGS * len(source.data), untracked).edits(source.root))


class _Pass:
    """One way through a tree: the marks of names as they stand at each place."""

    def __init__(self, language: Language, room: int, untracked: frozenset[str]) -> None:
        self.untracked = untracked
        self.language, self.name = language, _NAME[language]
        self.room = room
        """Bytes that may still be read; a text nested so deep that they do not do gets no further marks."""
        self.marks: dict[str, str] = {}
        self.freed: list[tuple[int, str, str]] = []
        """Where what a name points to was given back, the name, and its mark before."""
        self.before: list[tuple[str, str]] = []
        """Every name that got another mark, with its mark before."""
        self.functions: list[int] = []
        """For every function around: how many names had got another mark when it began."""

    def edits(self, root: Node) -> Iterator[Edit]:
        for event in events(root):
            node = event.node
            if node.type in _FUNCTIONS:
                self._cross(event.leaves)
            if event.leaves:
                self._leave(node, event)
            elif node.type == self.name:
                mark = self.marks.get(_text(node))
                if mark and _is_value(event) and _text(node) not in self.untracked:
                    yield Edit(node.start_byte, node.start_byte, mark)
            elif node.type in _PARAMETERS and not _is_receiver(node):
                self._take_parameters(node)

    def _set(self, name: str, mark: str) -> None:
        """Give a name a mark, or none."""
        self.before.append((name, self.marks.get(name, "")))
        if mark:
            self.marks[name] = mark
        else:
            self.marks.pop(name, None)

    def _cross(self, leaves: bool) -> None:
        """Begin or end a function: names mean something else outside of it."""
        if not leaves:
            self.functions.append(len(self.before))
            return
        start = self.functions.pop()
        while len(self.before) > start:
            self._set(*self.before.pop())
            self.before.pop()
        self.freed.clear()

    def _take_back(self, start: int) -> None:
        """Forget what was given back since `start`: the block ends in a jump, and what follows it never saw that."""
        while self.freed and self.freed[-1][0] >= start:
            _, name, before = self.freed.pop()
            self._set(name, before)

    def _leave(self, node: Node, event: Event) -> None:
        size = node.end_byte - node.start_byte
        if size > _MOST_BYTES or self.room < size:
            return
        if node.type in _BLOCKS and node.named_child_count and _JUMPS.fullmatch(node.named_children[-1].type):
            self._take_back(node.start_byte)
        for take in self._readings(node, event):
            self.room -= size
            take()

    def _readings(self, node: Node, event: Event) -> Iterator[Callable[[], None]]:
        """Yield what reads the text of a node that the pass comes out of."""
        if event.parent in _CONDITIONAL and event.field == "condition":
            yield partial(self._take_condition, node)
        if event.parent in _ASSIGNS and event.field == _ASSIGNS[event.parent][1] and node.parent is not None:
            yield partial(self._assign, node.parent, node)
        if node.type in _CALLS:
            yield partial(self._call, node)
        if node.type == "binary_expression":
            yield partial(self._stream, node)

    def _stream(self, node: Node) -> None:
        """Take in what C++ reads by `>>`."""
        if _STREAM.match(_text(node)):
            for leaf in self._names(node.children[-1]):
                self._set(_text(leaf), IN)

    def _take_parameters(self, node: Node) -> None:
        names = [child for field in _PARAMETER_NAME for child in node.children_by_field_name(field)]
        for child in names or node.named_children or [node]:
            for leaf in self._names(child):
                self._set(_text(leaf), IN)

    def _names(self, node: Node) -> Iterator[Node]:
        """Yield the leaves below that are names of values."""
        waiting = [(node, "", "")]
        while waiting:
            found, field, parent = waiting.pop()
            if found.type == self.name and _is_value(Event(found, False, field, parent)):
                yield found
            waiting += [
                (child, found.field_name_for_child(i) or "", found.type) for i, child in enumerate(found.children)
            ]

    def _marked(self, node: Node) -> Iterator[Node]:
        """Yield the names below that have a mark."""
        return (leaf for leaf in self._names(node) if _text(leaf) in self.marks)

    def _assign(self, statement: Node, value: Node) -> None:
        mark = self._mark_of(value)
        names = [
            leaf for child in statement.children_by_field_name(_ASSIGNS[statement.type][0]) for leaf in _targets(child)
        ]
        for leaf in names:
            if leaf.type in (self.name, "identifier", "simple_identifier"):
                self._set(_text(leaf), mark)

    def _mark_of(self, value: Node) -> str:
        """Return the mark of what an expression gives."""
        text = _text(value)
        marks = {self.marks[_text(leaf)] for leaf in self._marked(value)} - {FREED}
        if value.type == "range_expression":
            return ""  # a counter stays inside
        table = _table(value)
        if IN in marks and table is not None and not any(True for _ in self._marked(table)):
            return CHECKED  # one of the program's own values
        if marks and _LIMITS.search(text):
            return BOUNDED
        if marks and _CLEANS.search(text):
            return CHECKED
        if IN in marks or _INPUT[self.language].search(text):
            return IN
        return BOUNDED if BOUNDED in marks else CHECKED if CHECKED in marks else ""

    def _take_condition(self, condition: Node) -> None:
        """Take in a condition, or what Swift's `if let` and `guard let` bind."""
        before = condition.prev_named_sibling
        if before is not None and before.type == "simple_identifier":
            self._set(_text(before), self._mark_of(condition))
        else:
            self._check(condition)

    def _check(self, condition: Node) -> None:
        """Take in what a condition says about the names in it."""
        for leaf in list(self._marked(condition)):
            found = _compared(leaf, condition)
            if (
                found
                and self.marks[_text(leaf)] != FREED
                and not (found == CHECKED and self.marks[_text(leaf)] == BOUNDED)
            ):
                self._set(_text(leaf), found)

    def _call(self, node: Node) -> None:
        name = _called(node)
        if _FREES.fullmatch(name) or _text(node).startswith("std::move("):
            for child in _arguments(node):
                if child.type == self.name:
                    self.freed.append((node.start_byte, _text(child), self.marks.get(_text(child), "")))
                    self._set(_text(child), FREED)
        elif _FILLS.fullmatch(name):
            for child in _arguments(node):
                for leaf in self._names(child):
                    self._set(_text(leaf), IN)
        elif _IS_CHECK.fullmatch(name):
            for leaf in list(self._marked(node)):
                if self.marks[_text(leaf)] == IN:
                    self._set(_text(leaf), CHECKED)


def _text(node: Node) -> str:
    return (node.text or b"").decode(errors="replace")


def _is_value(event: Event) -> bool:
    """Return whether a name stands for a value: it is no member, label, type or called function."""
    if event.field in ("field", "suffix", "external_name", "function", "constructor"):
        return False
    if event.field == "name":
        return event.parent not in _NAMED
    if event.parent == "call_expression" and event.field == "":
        return False  # Swift's called name
    return event.parent not in ("value_argument_label", "navigation_suffix", "function_declarator")


def _is_receiver(parameter: Node) -> bool:
    """Return whether a Go parameter is what its method is called on."""
    above = parameter.parent
    return above is not None and above.parent is not None and above.parent.child_by_field_name("receiver") == above


def _targets(node: Node) -> Iterator[Node]:
    """Yield the names that an assignment gives a value to: no members, no elements."""
    for leaf in walk(node):
        if leaf.type in ("field_expression", "field_access", "navigation_expression", "selector_expression"):
            return
        if leaf.type in ("subscript_expression", "array_access", "index_expression"):
            return
        if not leaf.child_count:
            yield leaf


def _table(value: Node) -> Node | None:
    """Return what an expression looks up an element in, if that is all it does."""
    while value.type in ("expression_list", "parenthesized_expression") and value.named_child_count == 1:
        value = value.named_children[0]
    return value.named_children[0] if value.type in _LOOK_UPS and value.named_children else None


def _called(node: Node) -> str:
    """Return the name of the function or method that is called, without what it belongs to."""
    if node.type == "delete_expression":
        return "delete"
    name = node.child_by_field_name("name") or node.child_by_field_name("function") or node.child(0)
    return re.split(r"\.|->|::", _text(name))[-1].strip() if name is not None else ""


def _arguments(node: Node) -> list[Node]:
    if node.type == "delete_expression":
        return node.named_children
    found = node.child_by_field_name("arguments") or node.named_children[-1]
    return list(found.named_children)


def _compared(leaf: Node, condition: Node) -> str:
    """Return what the condition does with one of its names: the mark that it earns, or "" for a test for nothing."""
    node: Node | None = leaf
    while node is not None:
        if node.type in _CALLS and node.type != "delete_expression" and not _IS_EMPTY.fullmatch(_called(node)):
            return CHECKED
        if _COMPARES.fullmatch(node.type) and node.child_count >= 3:
            relation, other = _relation(node, leaf)
            if relation in ("<", ">", "<=", ">=", "...", "..<", "~="):
                return "" if _NOTHING.fullmatch(other) else BOUNDED
            if relation in ("==", "!="):
                return "" if _NOTHING.fullmatch(other) else CHECKED
        if node.id == condition.id:
            return ""
        node = node.parent
    return ""


def _relation(node: Node, leaf: Node) -> tuple[str, str]:
    """Return the operator of a comparison and the text of the side that `leaf` is not on."""
    left, right = node.children[0], node.children[-1]
    between = node.text[left.end_byte - node.start_byte : right.start_byte - node.start_byte] if node.text else b""
    other = right if left.start_byte <= leaf.start_byte < left.end_byte else left
    return between.decode(errors="replace").strip(), _text(other)
