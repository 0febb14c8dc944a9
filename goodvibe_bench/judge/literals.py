"""C++ literals made plain for an analyser that knows strings and characters only as C has them.

It finds no weakness and keeps every line where it is: quotes that open no string of C's become something else, such as
those inside raw strings and comments, between digits, and those that nothing closes on their line.
"""

import re

_SPLICE = r"(?:\\|\?\?/)[^\S\n]*+\n"
_SPLICED = r"\\[^\S\n]*+\n"
_TOKEN = re.compile(
    rf"(?P<comment>//(?:{_SPLICED}|[^\n])*+|/\*.*?(?:\*/|\Z))"
    r'|(?P<raw>(?:u8|[uUL])?R"(?P<mark>[^\s()\\"]{0,16})\(.*?(?P<closed>\)(?P=mark)"|\Z))'
    rf'|(?P<quoted>"(?:{_SPLICED}|\\.|[^"\\\n])*+(?:"|(?P<open>))|\'(?:{_SPLICED}|\\.|[^\'\\\n])*+(?:\'|(?P<bare>)))'
    r"|(?P<number>\.?\d(?:'?\w|\.)*+)"
    r"|(?P<word>[A-Za-z_]\w*+)",
    re.DOTALL,
)
"""What nothing closes ends with its line or with the text, so that no opening quote is tried twice: linear time."""
_RAW = re.compile(rf'R(?:{_SPLICE})*+"')
_SPLIT = re.compile(rf"[/*RuUL8]{_SPLICE}")
_PREFIXES = frozenset({"R", "uR", "UR", "LR", "u8R"})


def plain(text: str) -> str | None:
    """Return the text as C would have it, or None where it is not certain what of it is a raw string."""
    raw = _RAW.search(text) is not None
    certain = not (raw and _SPLIT.search(text))

    def replaced(found: re.Match[str]) -> str:
        nonlocal certain
        token = found.group()
        if found["raw"]:
            certain = certain and found["closed"] != ""
            start = token.index('"') + 1
            return token[:start] + token[start:-1].replace('"', "'") + token[-1]
        if found["open"] is not None or found["bare"] is not None:
            certain = certain and not raw
        elif found["word"]:
            certain = certain and not (token in _PREFIXES and text[found.end() : found.end() + 1] == '"')
            return token
        elif found["quoted"]:
            return token
        quotes = "[\"'*]" if token.startswith("//") else "[\"']"  # C of old ends such a comment with its line
        return re.sub(quotes, "_" if found["number"] else " ", token)

    clean = _TOKEN.sub(replaced, text)
    return clean if certain else None
