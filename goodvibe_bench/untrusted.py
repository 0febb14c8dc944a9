"""Text of others made fit to be shown: to a terminal, to a CI job's log, in Markdown. It reads and prints nothing.

HTML, XML, CSV and SARIF have rules of their own, beside what writes them.
"""

import re

_ORDER = re.compile(r"^(\s*)(:|##)(?=:|\[)", re.MULTILINE)
"""What a CI job's runner takes a line for an order by: "::name::" and "##[name]" at its beginning."""

_ADDRESS = re.compile(r"(https?:/*|\b[a-z][a-z0-9+.-]*:/+)(?:[^\s?#]*@)?([^\s?#]*)[^\s]*", re.IGNORECASE)
"""An address: its scheme, who asks, the host and path that may be told, and a query."""


def printable(text: str) -> str:
    """Return `text` in one line, without control characters and such as reorder or hide: it must not steer a terminal.

    Every one becomes U+FFFD.
    """
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)


def printable_lines(text: str) -> str:
    """Return `text` with its line feeds, each line `printable` and none an order to the runner of a CI job."""
    clean = "\n".join(printable(line) for line in text.split("\n"))
    return _ORDER.sub("\\1\N{REPLACEMENT CHARACTER}", clean) if "::" in clean or "##[" in clean else clean


def markdown(text: str) -> str:
    """Return `text` in one line that Markdown shows as it is: no link, image, tag, cell, mention or code."""
    return re.sub(r"([\\`*_{}\[\]<>|#~&!$@])", r"\\\1", printable(text))


def without_secrets(word: str) -> str:
    """Return `word` without user name, password and query, where it is or holds an address."""
    return _ADDRESS.sub(r"\1\2", word)
