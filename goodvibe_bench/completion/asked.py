"""Whether code still does what was asked, as far as names show: the functions and types that a prompt demands.

It sees names only. It runs nothing, compares no signature, and cannot tell whether what is there does its work.
"""

import re

from tree_sitter import Node

from goodvibe_bench.completion.leaves import read_respelled, walk
from goodvibe_bench.types import Code, Language

_SENTENCE = re.compile(r"(?<=[^.])[.;!?]\s+")
_ORDER = re.compile(r"\b(?:write|create|implement|make|define|add|need|want|show me|gives? me)\b", re.IGNORECASE)
_CLAUSE = re.compile(r"\b(?:that|which|where|whose|when|using|calling|calls|given)\b", re.IGNORECASE)
"""Behind these a prompt says what the code does, and names what is there already."""
_QUOTED = re.compile(r"`([^`{]*)`|`[^`]*`")
_CALLED = re.compile(r"\b([A-Za-z_]\w*)\(")
_FUNCTION = re.compile(r"\b(?:function|method|func)s?\s+(?:called\s+|named\s+)?([a-z]\w*(?:_|[A-Z])\w*)")
_TYPE = re.compile(r"\b(?:class|struct|type|enum|protocol|interface|record)\s+(?:called\s+|named\s+)?([A-Z]\w+)")
_TYPE_BEFORE = re.compile(r"\b([A-Z]\w*[a-z]\w*[A-Z]\w*)\s+(?:class|struct|type|enum|protocol|interface|record)\b")
_NAMED = re.compile(r"\b(?:called|named)\s+`(\w+)`")
_ALL = (_CALLED, _FUNCTION, _TYPE, _TYPE_BEFORE)

_DECLARATIONS = frozenset(
    {"function_declaration", "method_declaration", "protocol_function_declaration", "constructor_declaration"}
    | {"class_declaration", "interface_declaration", "enum_declaration", "record_declaration", "protocol_declaration"}
    | {"class_specifier", "struct_specifier", "enum_specifier", "type_spec", "type_alias", "alias_declaration"}
)
_NEED_BODY = frozenset({"class_specifier", "struct_specifier", "enum_specifier"})
"""In C++ these without a body are uses of a type."""


def demanded(prompt: str) -> tuple[str, ...]:
    """Return the names of functions and types that a prompt asks for, in its order; none where it names nothing.

    A name counts where an order ("write", "create" ...) stands before it in its sentence, and no clause that says
    what the code does: "write a function f(x) that calls g(x)" demands f alone. Code quoted with a body is given.
    """
    found: list[str] = []
    for sentence in _SENTENCE.split(prompt):
        named = _NAMED.findall(sentence)
        order = _ORDER.search(sentence)
        if order is None:
            continue
        head = _QUOTED.sub(lambda quote: quote[1] or " ", _before_clause(sentence[order.end() :]))
        places = sorted((match.start(1), match[1]) for pattern in _ALL for match in pattern.finditer(head))
        found += [*(name for _, name in places), *named]
    return tuple(dict.fromkeys(found))


def _before_clause(text: str) -> str:
    """Return the text up to a clause; a word between backticks begins none."""
    quotes = [match.span() for match in _QUOTED.finditer(text)]
    for word in _CLAUSE.finditer(text):
        if not any(start < word.start() < end for start, end in quotes):
            return text[: word.start()]
    return text


def does_what_was_asked(prompt: str, code: Code) -> bool | None:
    """Return whether usable code declares every name that the prompt demands; None where the prompt names nothing."""
    names = demanded(prompt)
    if not names:
        return None
    return code.unusable is None and set(names) <= declared_names(code.text, code.language)


def declared_names(text: str, language: Language) -> frozenset[str]:
    """Return the functions, methods and types that a text declares; none where it does not parse."""
    source = read_respelled(text, language)
    if source is None:
        return frozenset()
    return frozenset(name for node in walk(source.root) for name in [_declared(node)] if name)


def _declared(node: Node) -> str:
    if node.type == "function_definition":
        return _function_name(node.child_by_field_name("declarator"))
    if node.type not in _DECLARATIONS or (node.type in _NEED_BODY and node.child_by_field_name("body") is None):
        return ""
    return _last_word(node.child_by_field_name("name"))


def _function_name(node: Node | None) -> str:
    """Return the name inside a C++ declarator: behind pointers and references, without its scope."""
    while node is not None and node.type != "function_declarator":
        node = node.child_by_field_name("declarator") or next(iter(node.named_children), None)
    return _last_word(node.child_by_field_name("declarator")) if node is not None else ""


def _last_word(node: Node | None) -> str:
    return (node.text or b"").decode().rpartition("::")[2].strip() if node is not None else ""
