"""Code as judges read it: without its comments, and in one layout, so that neither can flip a verdict.

It works on any text in linear time, also on one that does not parse, and knows the four languages' strings and comments
alone. It is no formatter: lines stay where they are but at opening braces.
"""

import re

WORDS = (
    r"(?P<comment>//[^\n]*|/\*.*?(?:\*/|\Z))"
    r'|(?P<string>R"(?P<mark>[^\s()\\]{0,16})\(.*?(?:\)(?P=mark)"|\Z)'
    r'|#"""(?:(?!"""#).)*(?:"""#|\Z)|#"[^\n]*?(?:"#|(?=\n)|\Z)'
    r'|"""(?:\\.|(?!""").)*(?:"""|\Z)|"(?:\\.|[^"\\\n])*(?:"|(?=\n)|\Z)|`[^`]*(?:`|\Z)'
    r"|'(?:\\.|[^'\\\n]){1,8}')"
)
"""A comment or a string, for re.DOTALL."""
_COMMENT_OR_STRING = re.compile(WORDS, re.DOTALL)
"""Every alternative ends at the end of the text too, so that no opening quote is tried twice: linear time."""
_LAID_OUT = re.compile(WORDS + r"|(?P<comma>,[ \t]*(?=\S))|\b(?P<keyword>if|for|while|switch|catch)[ \t]*\(", re.DOTALL)
_LINE_END = re.compile(r"(?<![ \t\r\f\v])[ \t\r\f\v]++$", re.MULTILINE)
"""No search begins inside a run of blanks, and none goes back through one: linear time."""
_BRACE_BELOW = re.compile(r"(?<=[^\n;{}])\n[ \t]*\{[ \t]*$", re.MULTILINE)
_STEP = "    "


def without_comments(text: str) -> str:
    """Return the text with a blank for every comment."""
    return _COMMENT_OR_STRING.sub(lambda found: " " if found["comment"] else found.group(), text)


def without_strings(text: str) -> str:
    """Return the text with a blank for every comment, and of every string its first and last character."""
    return _COMMENT_OR_STRING.sub(
        lambda found: " " if found["comment"] else f"{found.group()[0]}{found.group()[-1]}", text
    )


def bare(text: str) -> str:
    """Return the text without comments and blank lines, in one indentation, one style of braces, commas and keywords.

    Strings stay as they are, but that lines inside them are indented like code.
    """
    plain = _LAID_OUT.sub(_plain, text)
    plain = _BRACE_BELOW.sub(" {", _LINE_END.sub("", plain))
    return _indented([line for line in plain.split("\n") if line.strip()])


def _plain(found: re.Match[str]) -> str:
    if found["comment"]:
        return " "
    if found["comma"]:
        return ", "
    return f"{found['keyword']} (" if found["keyword"] else found.group()


def _indented(lines: list[str]) -> str:
    """Return the lines with one step of indentation for each that they are deeper than the lines around them."""
    depths = [0]
    found = []
    for line in lines:
        code = line.lstrip(" \t")
        depth = len(line[: len(line) - len(code)].expandtabs(len(_STEP)))
        while len(depths) > 1 and depth < depths[-1]:
            depths.pop()
        if depth > depths[-1]:
            depths.append(depth)
        found.append(_STEP * (len(depths) - 1) + code)
    return "\n".join(found)
