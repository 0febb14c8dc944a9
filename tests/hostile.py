"""Hostile words for property tests, and a room to run the command line in that tells what came out of it.

It makes no claim: tests do.
"""

import contextlib
import hashlib
import io
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from goodvibe_bench.cli import main

ESCAPES = (
    "\x1b[2J\x1b[31mred",
    "\x1b]0;title\x07",
    "\x1b]8;;http://e.invalid\x1b\\link\x1b]8;;\x1b\\",
    "\x1b]52;c;aGk=\x07",
)
CONTROLS = (
    "\x9b31m",
    "\x9d52;c;aGk=\x9c",
    "\x90q\x9c",
    "\x08\x08\x7f",
    "\r",
    "\x0c",
    "\x85",
    "\u2028",
    "\0",
    "\t",
    "\n",
)
LIES = ("\u202eevil", "\u2066x\u2069", "\u200b", "\ufeff", "\U000e0041", "a" + "\u0301" * 40, "🇩🇪👩‍👩‍👧")
HALVES = ("\ud800", "\udfff", "\udc80")
MARKUP = (
    "[bold red]b[/]",
    "[/nope]",
    "[link=http://e.invalid]l[/link]",
    ":smile:",
    "\\[x",
    "[@click=x]",
    "**b**",
    "![i](//e.invalid/x)",
)
HTML = (
    "<script>window.hacked=1</script>",
    "</script><img src=x onerror=alert(1)>",
    "<!--",
    "]]>",
    "&lt;",
    '"><b>',
    "'",
)
PATHS = ("../../../owned", "/goodvibe-owned/x", "..\\..\\owned", "~/owned", "..", ".", "con", "a/b")
COMMANDS = (
    "$(touch owned)",
    "; touch owned #",
    "`touch owned`",
    "| touch owned",
    "__import__('os').system('touch owned')",
)
ORDERS = (
    "::error::x",
    "::stop-commands::x",
    "##[group]x",
    "=cmd|'/c calc'!A0",
    "@SUM(1)",
    "%n%s",
    "{0}",
    "${x}",
    "{{7*7}}",
    "nan",
)
LONG = ("x" * 3000, "y " * 1500, "\\" * 999)
PIECES = (*ESCAPES, *CONTROLS, *LIES, *MARKUP, *HTML, *PATHS, *COMMANDS, *ORDERS)

words = st.lists(st.sampled_from(PIECES) | st.text(max_size=6), min_size=1, max_size=5).map("".join)
"""Texts that any of our files can hold: no half of a surrogate pair."""
texts = st.lists(st.sampled_from((*PIECES, *HALVES, *LONG)) | st.text(max_size=6), max_size=6).map("".join)
"""Texts that JSON escapes can hold as well."""
answers = st.tuples(
    texts, st.sampled_from(("{}", "```cpp\nint f(int n) {{ return n; }} // {}\n```", "```cpp\n{}\n```"))
).map(lambda both: both[1].replace("{}", both[0]).replace("{{", "{").replace("}}", "}"))
"""What a model may say: the text alone, behind good code, and in place of it."""
names = words.map(lambda text: text.replace("/", "∕").replace("\0", "")[:60].strip(".")).filter(
    lambda text: text and len(text.encode()) < 200
)
"""What a file may be called."""


def toml(text: str) -> str:
    """Return `text` as a TOML string."""
    return (
        '"'
        + "".join(f"\\U{ord(letter):08x}" if letter in '"\\' or not letter.isprintable() else letter for letter in text)
        + '"'
    )


@dataclass(frozen=True)
class Said:
    """What one command did."""

    code: int
    out: str
    err: str
    happened: tuple[str, ...]
    """Programs started, connections opened, pickles read."""

    def assert_harmless(self) -> None:
        """Assert that no letter steers a terminal, that nothing ran, and that it ended as our commands do."""
        assert self.code in {0, 2, 3, 4}
        for text in (self.out, self.err):
            assert {letter for letter in text if not letter.isprintable()} <= {"\n"}
        assert not [line for line in text_lines(self) if line.lstrip().startswith(("::", "##["))]
        assert self.happened == ()


def text_lines(said: Said) -> list[str]:
    return [*said.out.splitlines(), *said.err.splitlines()]


_WATCHED = (
    "subprocess.Popen",
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "os.fork",
    "os.startfile",
    "pickle.find_class",
    "socket.connect",
    "webbrowser.open",
)
_happened: list[str] | None = None


def _watch(event: str, _arguments: tuple[Any, ...]) -> None:
    if _happened is not None and event in _WATCHED:
        _happened.append(event)


sys.addaudithook(_watch)


@contextlib.contextmanager
def _watched() -> Iterator[list[str]]:
    global _happened
    _happened = found = []
    try:
        yield found
    finally:
        _happened = None


def command(folder: Path, *arguments: str, columns: int = 100) -> Said:
    """Run the command line in `folder`; what it prints is decoded strictly, as a terminal would get it."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", newline="\n") for _ in range(2))
    before, code = (sys.argv, dict(os.environ)), 0
    os.environ |= {"COLUMNS": str(columns), "TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1"}
    os.environ.pop("GOODVIBE_BENCH_DATA", None)
    sys.argv = ["goodvibe-bench", *arguments]
    try:
        with (
            contextlib.chdir(folder),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
            _watched() as seen,
        ):
            try:
                main()
            except SystemExit as ended:
                code = ended.code if isinstance(ended.code, int) else 0
    finally:
        sys.argv = before[0]
        os.environ.clear()
        os.environ |= before[1]
    for stream in (out, err):
        stream.flush()
    return Said(code, *(stream.buffer.getvalue().decode() for stream in (out, err)), tuple(seen))  # type: ignore[attr-defined]


def tree(folder: Path, without: Sequence[str] = ()) -> dict[str, str]:
    """Return every path below `folder` with a digest of what it holds, but what lies in the folders `without`."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if not any(name == one or name.startswith(f"{one}/") for one in without):
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "folder"
    return found
