"""C++ macros that are not expanded, and Swift's regex literals, written so that the grammars read them.

It is for texts that do not parse as they are; whether they parse then is asked later. Only what has the name and the
place of such a macro is touched, and the text keeps its length in bytes, so that positions stay. Nothing is expanded,
and no missing brace, semicolon or operator is made good. It takes linear time.
"""

import re

from goodvibe_bench.completion.bare import WORDS
from goodvibe_bench.types import Language

_INNER = r'(?:[^()"]|"(?:[^"\\\n]|\\.)*+")'
_ARGUMENTS = rf"[ \t]*+\((?:{_INNER}|\((?:{_INNER}|\({_INNER}*+\))*+\))*+\)"
"""Parentheses three deep and no deeper, so that no text is read more than three times."""

_CONVENTION = (
    r"(?:WINAPIV?|APIENTRY|CALLBACK|NTAPI|STDCALL|CDECL|FASTCALL|PASCAL|EFIAPI|JNICALL|STDMETHODCALLTYPE|FORCEINLINE"
    r"|afx_msg|Q_INVOKABLE|__init|__exit|__always_inline)"
)
_EXPORT = r"[A-Z\d_]*(?:API|EXPORTS?|EXTERN|PUBLIC|PRIVATE|INLINE|FASTCALL|NODISCARD|NORETURN)(?:_W)?"
_LINE = (
    r"(?:(?:Q_OBJECT|Q_GADGET|QML_ELEMENT|Py_(?:BEGIN|END)_ALLOW_THREADS)\b"
    r"|(?:Q_(?:PROPERTY|ENUMS?|FLAGS?|INTERFACES|CLASSINFO|DISABLE_COPY|DECLARE_\w+)"
    r"|(?:DECLARE|IMPLEMENT|DISALLOW)_[A-Z_]+|(?:BEGIN|END)_(?:MESSAGE_MAP|EVENT_TABLE)"
    r"|ON_(?:WM|BN|EN|CBN|LBN|COMMAND|MESSAGE|NOTIFY|UPDATE)(?:_\w+)?|BOOST_(?:AUTO|FIXTURE)_TEST_SUITE(?:_END)?)"
    rf"{_ARGUMENTS})(?=[ \t]*+(?:\n|\Z|//|/\*))"
)
_UNREAL = rf"(?:U(?:PROPERTY|FUNCTION|CLASS|STRUCT|ENUM)|GENERATED_(?:\w+_)?BODY){_ARGUMENTS}"
_ALWAYS = r"__user\b|__iomem\b|__attribute(?:__)?(?=[ \t]*\(\()" + _ARGUMENTS
_PARAMETER = rf"_(?:In|Out|Inout|Outptr|Reserved)_[a-z_]*(?:{_ARGUMENTS})?+|IN|OUT"

_CPP = re.compile(
    rf"{WORDS}|(?<![^\n])[ \t]*+(?:"
    r"(?P<guard>#[ \t]*if(?:def[ \t]+|[ \t]+defined[ \t(]*)__cplusplus[ \t)]*\n"
    r"(?P<linkage>[ \t]*(?:extern[ \t]+\"C\"[ \t]*+\n?[ \t]*+\{|\}(?:[ \t]*(?://|/\*)[^\n]*+)?)[ \t]*\n)"
    r"[ \t]*#[ \t]*endif[^\n]*)"
    r"|(?P<directive>#(?:\\\n|[^\n])*+)"
    rf"|(?P<line>{_LINE}|{_UNREAL})"
    r"|(?P<signals>(?:Q_SIGNALS|signals)(?=:))"
    rf"|(?:TEST_CASE(?:_METHOD)?|SCENARIO)(?P<title>{_ARGUMENTS})(?=\s*+\{{))"
    r"|\b(?:"
    rf"(?P<qualifier>{_CONVENTION}(?=\s++[A-Za-z_~])|{_EXPORT}(?=[ \t]++[A-Za-z_~]))"
    r"|(?P<statement>__attribute__[ \t]*\(\((?:__)?fallthrough(?:__)?\)\))"
    rf"|(?P<always>(?<=\(){_CONVENTION}(?=[ \t]*+\*)|{_ALWAYS}|(?<=public|tected|rivate)[ \t]+(?:Q_SLOTS|slots)(?=:))"
    rf"|(?P<parameter>(?:{_PARAMETER})(?=[ \t]++[A-Za-z_*]))"
    r"|(?P<format>(?:PRI|SCN)[diouxX](?:8|16|32|64|MAX|PTR)\b)"
    r"|va_arg[ \t]*\([ \t]*\w+[ \t]*(?P<type>,[\w: \t]*+[* \t]*+)(?=\))"
    rf"|(?P<section>(?:SECTION|SUBCASE|GIVEN|WHEN|THEN){_ARGUMENTS}(?=\s*+\{{))"
    r"|(?P<assembly>__asm[ \t]*+\n?[ \t]*+\{[^{}]*+\}))",
    re.DOTALL,
)
_HEAD = re.compile(
    r"(?!.*\b(?:return|else|case|goto|throw|new|delete|do|co_\w+)\b)(?:[\w\s*&:<>,]|\"C\"|__declspec\(\w+\))*"
)
"""What may stand in its line before a macro between the type and the name of a function: no operator, no call."""
_NEAR = 100
"""How many characters around a macro are looked at."""
_INSTEAD = {
    **{"line": "", "qualifier": "", "always": "", "parameter": "", "format": "", "type": ""},
    **{"title": "()", "section": "if(1)", "statement": "0", "assembly": "0;"},
}
"""What is written for macros of each kind."""

_SWIFT = re.compile(
    rf"{WORDS}|(?:[(,=:\[{{&|?]|\b(?:return|in|try|case)\b)[ \t]*+"
    r"(?P<regex>/(?![\s/*])(?:\\[^\n]|[^/\\\n])++(?<!\s)/)(?=[\s).,;:\]}]|\Z)",
    re.DOTALL,
)
"""A regex literal stands where no operand ends, so it is no division, and neither begins nor ends with a blank."""


def respelled(text: str, language: Language) -> str:
    """Return the text without what its grammar does not know; the text itself where nothing of that is in it."""
    if language == "cpp":
        return _CPP.sub(_macro, text)
    return _SWIFT.sub(_regex, text) if language == "swift" else text


def _macro(found: re.Match[str]) -> str:
    kind = found.lastgroup or ""
    if kind == "guard":
        start, end = (place - found.start() for place in found.span("linkage"))
        text = found.group()
        return f"{_blank(text[:start])}{text[start:end]}{_blank(text[end:])}"
    if kind == "signals":
        return _replaced(found, kind, "protected" if found[kind] == "Q_SIGNALS" else "private")
    return _replaced(found, kind, _INSTEAD[kind]) if kind in _INSTEAD and _in_place(found, kind) else found.group()


def _regex(found: re.Match[str]) -> str:
    """Return the match with a string for a regex literal."""
    if found["regex"] is None:
        return found.group()
    return _replaced(found, "regex", '"' + re.sub(r'[\\"]', "x", found["regex"][1:-1]) + '"')


def _in_place(found: re.Match[str], kind: str) -> bool:
    """Return whether what stands around a macro is what stands around macros of its kind."""
    start, end = found.span(kind)
    before = found.string[max(0, start - _NEAR) : start]
    if kind == "qualifier":
        return _HEAD.fullmatch(re.split(r"[\n;{}]", before)[-1]) is not None
    if kind == "parameter":
        return before.rstrip().endswith(("(", ","))
    if kind == "format":
        return before.rstrip().endswith('"') or found.string[end : end + _NEAR].lstrip().startswith('"')
    return True


def _replaced(found: re.Match[str], kind: str, new: str) -> str:
    """Return the match with other text for one of its groups, filled up with blanks."""
    start, end = (place - found.start() for place in found.span(kind))
    text = found.group()
    return f"{text[:start]}{new}{_blank(text[start + len(new) : end])}{text[end:]}"


def _blank(text: str) -> str:
    """Return blanks of as many bytes; line ends stay."""
    return re.sub(r"[^\n]", lambda found: " " * len(found.group().encode(errors="replace")), text)
