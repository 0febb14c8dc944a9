"""Where a snippet's names stand and which of them it declares itself, by the shape of the tree alone.

It knows no types and follows no import: what it does not recognise counts as a name from outside.
"""

import re
from typing import Literal, NamedTuple

from tree_sitter import Node

from goodvibe_bench.completion.leaves import Source, walk
from goodvibe_bench.types import Language

Kind = Literal["variable", "function", "type"]
_ANY: frozenset[Kind] = frozenset({"variable", "function", "type"})
_NONE: frozenset[Kind] = frozenset()


class Site(NamedTuple):
    """One place of a name, in bytes."""

    at: int
    may_be: frozenset[Kind]
    declares: Kind | None = None
    start: int = 0
    end: int = 0
    """What is declared here is known from start to end."""


class _Declares(NamedTuple):
    """How one node type declares names: in which child, and behind what they are known."""

    field: str
    behind: str = ""
    """"" = the name itself, "node" = the whole node, else a child by its field."""
    needs: str = ""
    """A token that the node must have."""


_LEAVES = {
    "cpp": {"identifier", "field_identifier", "type_identifier", "namespace_identifier", "statement_identifier"},
    "java": {"identifier", "type_identifier"},
    "swift": {"simple_identifier", "type_identifier"},
    "go": {"identifier", "field_identifier", "type_identifier", "package_identifier", "label_name"},
}
_PLAIN = {"cpp": "identifier", "java": "identifier", "swift": "simple_identifier", "go": "identifier"}

_DECLARES: dict[Language, dict[str, _Declares]] = {
    "cpp": {
        "declaration": _Declares("declarator"),
        "parameter_declaration": _Declares("declarator"),
        "optional_parameter_declaration": _Declares("declarator"),
        "for_range_loop": _Declares("declarator", "right"),
        "lambda_capture_initializer": _Declares("left", "node"),
    },
    "java": {
        "local_variable_declaration": _Declares("declarator"),
        "formal_parameter": _Declares("name"),
        "spread_parameter": _Declares("declarator"),
        "enhanced_for_statement": _Declares("name", "value"),
        "resource": _Declares("name", "node"),
        "catch_formal_parameter": _Declares("name"),
        "lambda_expression": _Declares("parameters"),
        "instanceof_expression": _Declares("name"),
    },
    "swift": {
        "property_declaration": _Declares("name", "node"),
        "for_statement": _Declares("item", "collection"),
        "if_statement": _Declares("bound_identifier", "bound"),
        "guard_statement": _Declares("bound_identifier", "bound"),
        "while_statement": _Declares("bound_identifier", "bound"),
        "lambda_parameter": _Declares("name"),
        "parameter": _Declares("name", "", "external"),
        "catch_block": _Declares("error"),
    },
    "go": {
        "short_var_declaration": _Declares("left", "node"),
        "var_spec": _Declares("name", "node"),
        "const_spec": _Declares("name", "node"),
        "range_clause": _Declares("left", "node", ":="),
        "receive_statement": _Declares("left", "node", ":="),
        "type_switch_statement": _Declares("alias", "value"),
        "parameter_declaration": _Declares("name"),
        "variadic_parameter_declaration": _Declares("name"),
    },
}
# Nodes between a declaration and its name, with the child that leads there ("" = any).
_BETWEEN: dict[Language, dict[str, str]] = {
    "cpp": {
        "pointer_declarator": "declarator",
        "reference_declarator": "",
        "array_declarator": "declarator",
        "init_declarator": "declarator",
        "structured_binding_declarator": "",
    },
    "java": {"variable_declarator": "name", "inferred_parameters": ""},
    "swift": {"pattern": ""},
    "go": {"expression_list": ""},
}
_PARAMETERS = {"parameter_declaration", "optional_parameter_declaration", "variadic_parameter_declaration"}
_PARAMETERS |= {"formal_parameter", "spread_parameter", "lambda_parameter", "parameter", "lambda_expression"}
_CPP_SIGNATURES = {"function_definition", "lambda_expression", "catch_clause", "declaration", "field_declaration"}
_CPP_SIGNATURES |= {"type_descriptor", "alias_declaration", "template_declaration", "type_definition"}
_GO_SIGNATURES = {"function_declaration", "method_declaration", "func_literal", "function_type", "method_elem"}
# What ends the search for a name's scope.
_SCOPES: dict[Language, frozenset[str]] = {
    "cpp": frozenset(
        {"compound_statement", "for_statement", "for_range_loop", "if_statement", "while_statement"}
        | {"switch_statement", "lambda_expression", "catch_clause"}
    ),
    "java": frozenset(
        {"block", "constructor_body", "method_declaration", "constructor_declaration", "lambda_expression"}
        | {"for_statement", "enhanced_for_statement", "try_with_resources_statement", "catch_clause"}
        | {"switch_block_statement_group", "switch_rule"}
    ),
    "swift": frozenset(
        {"statements", "function_declaration", "init_declaration", "lambda_literal", "for_statement"}
        | {"if_statement", "while_statement", "catch_block", "switch_entry"}
    ),
    "go": frozenset(
        _GO_SIGNATURES
        | {"block", "for_statement", "if_statement", "expression_switch_statement", "type_switch_statement"}
        | {"communication_case", "expression_case", "type_case", "default_case"}
    ),
}
_TYPE_BODIES = {"field_declaration_list", "class_body", "interface_body", "enum_body", "enum_class_body"}
_TYPE_BODIES |= {"protocol_body", "record_declaration", "annotation_type_body", "interface_declaration"}
# Plain identifiers that are no variable: (parent, field), "" = any field.
_OTHER: dict[Language, frozenset[tuple[str, str]]] = {
    "cpp": frozenset(
        {("qualified_identifier", ""), ("function_declarator", "declarator"), ("enumerator", "name")}
        | {("template_function", ""), ("attribute", ""), ("preproc_defined", ""), ("preproc_params", "")}
        | {(f"preproc_{name}", "") for name in ("def", "function_def", "ifdef", "call", "if", "elif")}
        | {("using_declaration", ""), ("destructor_name", "")}
    ),
    "java": frozenset(
        {("field_access", "field"), ("method_invocation", "name"), ("method_declaration", "name")}
        | {("element_value_pair", "key"), ("annotation", ""), ("marker_annotation", ""), ("scoped_identifier", "")}
        | {("labeled_statement", ""), ("break_statement", ""), ("continue_statement", ""), ("enum_constant", "")}
        | {("switch_label", ""), ("constructor_declaration", "name"), ("compact_constructor_declaration", "name")}
        | {("class_declaration", "name"), ("record_declaration", "name"), ("enum_declaration", "name")}
        | {("interface_declaration", "name"), ("annotation_type_element_declaration", "name")}
        | {("type_parameter", ""), ("explicit_constructor_invocation", "")}
    ),
    "swift": frozenset(
        {("navigation_suffix", ""), ("value_argument_label", ""), ("function_declaration", "name")}
        | {("parameter", "external_name"), ("enum_entry", ""), ("attribute", ""), ("import_declaration", "")}
        | {("key_path_expression", ""), ("tuple_expression", "name"), ("tuple_type_item", ""), ("identifier", "")}
        | {("control_transfer_statement", "label"), ("statement_label", ""), ("selector_expression", "")}
        | {("macro_invocation", ""), ("directive", ""), ("enum_type_parameters", ""), ("user_type", "")}
    ),
    "go": frozenset({("function_declaration", "name"), ("import_spec", ""), ("dot", "")}),
}


def sites(source: Source, language: Language) -> dict[str, list[Site]]:
    """Return every place of every name, by name, in the order of the text."""
    found: dict[str, list[Site]] = {}
    hidden: set[str] = set()
    for node in walk(source.root):
        if node.child_count == 0 and node.type in _LEAVES[language]:
            found.setdefault((node.text or b"").decode(), []).append(_site(node, source, language))
        elif node.type in ("preproc_arg", "preproc_directive", "asm_expression", "gnu_asm_expression"):
            hidden.update(re.findall(r"\w+", (node.text or b"").decode()))
    for name in found.keys() & (hidden | {"_", "self", "this", "super", "init"}):
        found[name] = [Site(place.at, _NONE) for place in found[name]]
    return found


def _site(node: Node, source: Source, language: Language) -> Site:
    at, parent = node.start_byte, node.parent
    field = _field(node)
    if parent is None:
        return Site(at, _NONE)
    whole = Site(at, _ANY, None, 0, len(source.data))
    kind = _private(node, parent, field, language)
    if kind is not None:
        return whole._replace(declares=kind)
    if node.type == "type_identifier":
        return Site(at, _type_use(parent, language))
    if node.type != _PLAIN[language]:
        return Site(at, _NONE)
    if language == "java" and parent.type == "constructor_declaration" and field == "name":
        return Site(at, frozenset({"type"}))
    if _own_call(parent, field, language):
        return Site(at, frozenset({"function"}))
    if _is_other(node, parent, field, language):
        return Site(at, _NONE)
    return _variable(node, language) or Site(at, _ANY)


def _field(node: Node) -> str:
    parent = node.parent
    if parent is None:
        return ""
    place = next((i for i, child in enumerate(parent.children) if child.id == node.id), -1)
    return (parent.field_name_for_child(place) or "") if place >= 0 else ""


def _variable(node: Node, language: Language) -> Site | None:
    """Return the site of a local's or a parameter's declaration; None where the node declares none."""
    child, parent = node, node.parent
    field = _field(node)
    while parent is not None and parent.type in _BETWEEN[language]:
        wanted = _BETWEEN[language][parent.type]
        if wanted and field != wanted:
            return None
        child, parent, field = parent, parent.parent, _field(parent)
    how = _DECLARES[language].get(parent.type) if parent is not None else None
    if parent is None or how is None:
        return None
    if field != how.field and not (parent.type == "spread_parameter" and child.type == "variable_declarator"):
        return None
    if how.needs == "external" and parent.child_by_field_name("external_name") is None:
        return Site(node.start_byte, _NONE)  # the name is the label that callers write
    if how.needs == ":=" and not any(part.type == ":=" for part in parent.children):
        return None
    scope = _scope(parent, language)
    if scope is None or _is_annotated(parent):
        return Site(node.start_byte, _NONE)
    behind = _behind(node, child, parent, how)
    if behind is None:
        return None
    start = scope.start_byte if parent.type in _PARAMETERS else behind
    return Site(node.start_byte, frozenset({"variable"}), "variable", start, scope.end_byte)


def _behind(node: Node, child: Node, parent: Node, how: _Declares) -> int | None:
    """Return where the name is known from; None for Swift's `if let x {`, which reads an x of before."""
    if how.behind == "":
        return node.end_byte
    if how.behind == "node":
        return parent.end_byte
    if how.behind == "bound":
        equals = child.next_sibling
        value = equals.next_sibling if equals is not None and equals.type == "=" else None
        return value.end_byte if value is not None else None
    value = parent.child_by_field_name(how.behind)
    return value.end_byte if value is not None else None


def _scope(declaration: Node, language: Language) -> Node | None:
    """Return the node that the declared name is known in; None for members and what is declared for all."""
    scopes = _SCOPES[language]
    node: Node | None = declaration
    if declaration.type in _PARAMETERS and language in ("cpp", "go"):
        scopes, node = frozenset(_CPP_SIGNATURES | _GO_SIGNATURES | {"parameter_declaration"}), declaration.parent
    elif declaration.type == "guard_statement":
        scopes = frozenset({"statements"})
    elif declaration.type == "instanceof_expression":
        scopes = frozenset({"block", "constructor_body", "lambda_expression"})
    while node is not None and node.type not in scopes:
        if node.type in _TYPE_BODIES:
            return None
        node = node.parent
    return node


def _is_annotated(declaration: Node) -> bool:
    """Return whether a Java parameter has an annotation, which may make its name part of the API."""
    modifiers = [child for child in declaration.children if child.type == "modifiers"]
    return any("annotation" in part.type for child in modifiers for part in child.children)


def _is_other(node: Node, parent: Node, field: str, language: Language) -> bool:
    if {(parent.type, ""), (parent.type, field)} & _OTHER[language]:
        return True
    before = node.prev_sibling
    if language == "java":
        in_field = parent.type == "variable_declarator" and parent.parent is not None
        is_member = in_field and parent.parent is not None and parent.parent.type == "field_declaration"
        return (is_member and field == "name") or (parent.type == "method_reference" and before is not None)
    if language == "swift":
        return before is not None and before.type == "." and parent.type in ("prefix_expression", "pattern")
    if language == "go" and parent.type == "literal_element":
        return _field(parent) == "key"
    return False


def _own_call(parent: Node, field: str, language: Language) -> bool:
    """Return whether a method is called on the object that calls it."""
    if language == "java" and parent.type == "method_invocation" and field == "name":
        called_on = parent.child_by_field_name("object")
        return called_on is None or called_on.type == "this"
    above = parent.parent
    if language == "swift" and parent.type == "navigation_suffix" and above is not None:
        target = above.child_by_field_name("target")
        return target is not None and target.type == "self_expression"
    return False


def _type_use(parent: Node, language: Language) -> frozenset[Kind]:
    types: frozenset[Kind] = frozenset({"type"})
    if parent.type in ("qualified_identifier", "scoped_type_identifier", "qualified_type", "type_parameter"):
        return _NONE
    if language == "swift" and (parent.type != "user_type" or len(parent.named_children) > 1):
        return _NONE
    if language == "go" and parent.type == "field_declaration" and parent.child_by_field_name("name") is None:
        return _NONE
    return types


def _private(node: Node, parent: Node, field: str, language: Language) -> Kind | None:
    """Return what the node declares for this snippet alone: a private function or type."""
    kind: Kind | None = None
    if (
        parent.type in ("function_declaration", "method_declaration")
        and field == "name"
        and node.type != "field_identifier"
    ):
        kind = "function"
    elif parent.type in ("type_spec", "class_declaration", "struct_specifier", "class_specifier") and field == "name":
        kind = "type"
    elif parent.type == "function_declarator" and field == "declarator" and node.type == "identifier":
        kind = "function"
    if kind is None:
        return None
    if language == "go":
        name = (node.text or b"").decode()
        top = parent.parent.type in ("source_file", "type_declaration") if parent.parent else False
        return kind if top and name[:1].islower() and name not in ("main", "init") else None
    if language == "cpp":
        return kind if _is_internal(parent, kind) else None
    words = [child for child in parent.children if child.type == "modifiers"]
    said = (words[0].text or b"").decode() if words else ""
    if "@" in said or "override" in said or not re.search(r"\b(?:file)?private\b", said):
        return None
    return None if kind == "function" and language == "java" and _has_parents(parent) else kind


def _is_internal(node: Node, kind: Kind) -> bool:
    """Return whether a C++ definition is static at file level, or in an unnamed namespace."""
    above: Node | None = node
    static = False
    while above is not None:
        if above.type in ("field_declaration_list", "compound_statement", "friend_declaration"):
            return False
        if above.type in ("function_definition", "declaration") and kind == "function":
            static = static or any(part.text == b"static" for part in above.children)
        if above.type == "namespace_definition" and above.child_by_field_name("name") is None:
            return True
        above = above.parent
    return static


def _has_parents(method: Node) -> bool:
    """Return whether a Java method's class extends another, which may have methods of the same name."""
    above: Node | None = method
    while above is not None:
        if above.child_by_field_name("superclass") or above.child_by_field_name("interfaces"):
            return True
        above = above.parent
    return False
