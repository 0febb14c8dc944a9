"""Says whether a text is code of a language, by tree-sitter. It does not compile, resolve names or check types.

Tree-sitter accepts fragments: a Go file without a package clause, C++, Swift and Java statements outside any
function. They parse here too. What it accepts beyond code (a lone word is a Swift expression) has no definitions.
"""

import re
from collections.abc import Callable, Iterator
from functools import cache, lru_cache
from importlib import import_module
from time import thread_time

from tree_sitter import Language as Grammar
from tree_sitter import Node, Parser

from goodvibe_bench.completion.respell import respelled
from goodvibe_bench.types import Language

MAX_CHARACTERS = 200_000
"""Longer texts do not parse: no answer to one prompt is that long, and hostile ones would cost seconds."""

_STEPS, _STEPS_PER_BYTE = 20_000, 12
"""What the parser may log before a text is given up, so that the answer is the same on every machine. Code takes 2 to
4 steps a byte, a file of nothing but short calls 9; unclosed nested comments take hours."""

_MOST_SECONDS = 10.0
"""Processor time, for texts whose single steps are slow: long ones made to be so."""

_CHUNK_BYTES = 4_096
_NESTED = re.compile(r"(?:<[^<>;{}]*){300}")
"""So many generics opened in one statement: no code, but gigabytes for the Java grammar."""

_DEFINITION = re.compile(
    r"\w*(?:declaration|definition|specifier|statement|assignment|call_expression|try_expression|await_expression"
    r"|assignment_expression|binary_expression|update_expression|delete_expression|new_expression|creation_expression"
    r"|method_invocation|linkage_specification|template_instantiation|preproc_function_def|block)"
)
_PREAMBLE = re.compile(r"import_declaration|package_declaration|using_declaration|\w*comment")
_CONDITIONAL = frozenset({"preproc_if", "preproc_ifdef", "preproc_else", "preproc_elif"})
_JAVA_HEAD = re.compile(r"(?:[ \t]*(?:(?:import|package)[ \t][^\n]*)?\n)*")


def parses(text: str, language: Language) -> bool:
    """Return whether tree-sitter reads the text without an error or a missing token.

    Blank and comment-only texts do not parse, nor do texts above MAX_CHARACTERS. A Java text that fails is tried
    once more with its body inside `class X { }`, so bare constructors and initialisers parse as bare methods do; a
    C++ text without its well-known macros, such as WINAPI or Q_OBJECT, that are not expanded, and a Swift text with
    strings for its regex literals.
    """
    return _facts(text, language)[0]


def definitions(text: str, language: Language) -> int:
    """Return how many top-level definitions and statements a parsing text has; 0 where it does not parse.

    Comments, includes, imports, package clauses, constants by #define and lone words or literals are not counted.
    """
    return _facts(text, language)[1]


def tree(text: str, language: Language) -> Node | None:
    """Return the root of a text that parses, else None."""
    return _root(text, language) if parses(text, language) else None


@lru_cache(maxsize=64)
def _facts(text: str, language: Language) -> tuple[bool, int]:
    root = _root(text, language) if len(text) <= MAX_CHARACTERS else None
    if root is None or all("comment" in node.type for node in root.named_children):
        return False, 0
    return True, sum(1 for _ in _top_level(root))


def _root(text: str, language: Language) -> Node | None:
    root = _parse(text, language)
    if root is not None:
        return root
    if language == "java":
        return _root_in_class(text)
    plain = respelled(text, language)
    return _parse(plain, language) if plain != text else None


def _root_in_class(text: str) -> Node | None:
    """Return the root of Java text with all behind its leading imports put inside a class, or None."""
    head = _JAVA_HEAD.match(text)
    end = head.end() if head else 0
    root = _parse(f"{text[:end]}class X {{\n{text[end:]}\n}}", "java")
    bodies = [node for node in root.named_children if not _PREAMBLE.fullmatch(node.type)] if root else []
    # Were the text's own braces unbalanced, they would close the class early and leave a second one.
    return root if len(bodies) == 1 else None


def _parse(text: str, language: Language) -> Node | None:
    """Return the root of an error-free tree, or None.

    Tree-sitter's error recovery takes minutes and gigabytes on some 16 kB of brackets, so its log is watched for the
    first "resume", which says that no reading of the text is left without an error, and the parser is stopped there.
    """
    if _NESTED.search(text):
        return None
    # The newline ends a last Go statement or C++ directive; errors="replace" takes lone surrogates.
    source = (text + "\n").encode(errors="replace")
    deadline = thread_time() + _MOST_SECONDS
    steps = _STEPS + _STEPS_PER_BYTE * len(source)
    failed = False

    def log(_kind: object, message: str) -> None:
        nonlocal failed, steps
        steps -= 1
        failed = failed or steps < 0 or message.startswith("resume")

    def stop(*_progress: object) -> bool:
        nonlocal failed
        failed = failed or thread_time() > deadline
        return failed

    def read(offset: int, _point: object) -> bytes:
        return b"" if stop() else source[offset : offset + _CHUNK_BYTES]

    parser = Parser(_grammar(language))
    parser.logger = log
    try:
        root = parser.parse(read, progress_callback=stop).root_node
    except ValueError:  # stopped
        return None
    if failed or root.has_error:
        return None
    # Nodes of the tree above ask `read` for their text, again and again, and it goes silent when time is up.
    return Parser(_grammar(language)).parse(source).root_node


def _top_level(root: Node) -> Iterator[Node]:
    """Yield the nodes that count, also those inside include guards."""
    waiting = list(root.named_children)
    while waiting:
        node = waiting.pop()
        if node.type in _CONDITIONAL:
            waiting.extend(node.named_children)
            continue
        inner = next(iter(node.named_children), None) if node.type == "expression_statement" else node
        if inner is not None and not _PREAMBLE.fullmatch(inner.type) and _DEFINITION.fullmatch(inner.type):
            yield node


@cache
def _grammar(language: Language) -> Grammar:
    pointer: Callable[[], object] = import_module(f"tree_sitter_{language}").language
    return Grammar(pointer())
