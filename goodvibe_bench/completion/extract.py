"""Finds the code in a completion and says why it cannot be used where it cannot. It never repairs or runs code.

Which text is the answer: the fenced blocks tagged with the asked language (C counts as C++), else the untagged ones,
else those of another language (wrong-language), else unfenced text: all of it when it parses, else its lines that
look like code. Fences of shell commands and data are asides and never the answer.

Among several candidates blocks are not joined: the answer is the first that parses and is at least half as long as the
longest, else the longest; one that does nothing, such as a header, only where no other of them does anything. So the
first of two alternatives counts, a two-line usage example never stands in for a program that does not parse, and what a
model goes on to write for a question nobody asked is left out.
"""

from typing import NamedTuple

from goodvibe_bench.completion.deeds import deeds
from goodvibe_bench.completion.fences import Block, split, without_thoughts
from goodvibe_bench.completion.lines import code_lines, runs, span
from goodvibe_bench.completion.syntax import MAX_CHARACTERS, definitions, parses
from goodvibe_bench.completion.unusable import holds_code, why_unusable
from goodvibe_bench.types import Code, Completion, Language

_MOST_CANDIDATES = 64


class _Found(NamedTuple):
    text: str
    how: str
    foreign: bool = False


def extract(completion: Completion, language: Language) -> Code:
    """Return the code in a completion; how_extracted is fence, open-fence, whole, lines or none.

    `unusable` is None, failed, refusal, no-code, wrong-language, loop, cut or does-not-parse, the first that applies.
    Usable code always parses, has a definition and does something. Lone surrogates come back as "?", so that the code
    can be written.
    """
    clean = completion.text.encode(errors="replace").decode().replace("\r\n", "\n")
    answer = without_thoughts(clean, completion.stop)
    found = _find(answer, language)
    return Code(
        text=found.text,
        language=language,
        how_extracted=found.how,
        parses=parses(found.text, language),
        unusable=why_unusable(
            answer,
            completion.stop,
            found.text,
            language,
            foreign=found.foreign,
            fence_closed=found.how == "fence",
        ),
    )


def _find(answer: str, language: Language) -> _Found:
    blocks, outside = split(answer)
    for tag in (language, ""):
        fitting = [block for block in blocks if block.tag == tag and holds_code(block.text, language)]
        if fitting:
            return _from(fitting, language)
    foreign = [block for block in blocks if block.tag not in (language, "", "aside")]
    if foreign:
        return _from(foreign, language)._replace(foreign=True)
    empty = [block for block in blocks if block.tag == language and block.text.strip()]
    return _unfenced(outside, answer, language) or (_from(empty, language) if empty else _Found("", "none"))


def _from(blocks: list[Block], language: Language) -> _Found:
    block = blocks[_main([block.text for block in blocks], language)]
    return _Found(block.text, "fence" if block.closed else "open-fence")


def _unfenced(outside: str, answer: str, language: Language) -> _Found | None:
    """Return the code among lines outside of any fence, or None when they are prose."""
    if definitions(outside, language):
        return _Found(outside, "whole" if outside == answer else "lines")
    if len(outside) > MAX_CHARACTERS:
        return _Found(outside, "lines") if holds_code(outside, language) else None
    whole = span(outside)
    if definitions(whole, language):
        return _Found(whole, "lines")
    # One line alone may be prose that ends in a bracket, so it has to parse.
    candidates = [run for run in runs(outside) if definitions(run, language) or ("\n" in run and code_lines(run))]
    return _Found(candidates[_main(candidates, language)], "lines") if candidates else None


def _main(texts: list[str], language: Language) -> int:
    """Return the index of the answer among texts: see the module's docstring."""
    longest = max(range(len(texts)), key=lambda i: len(texts[i]))
    half = len(texts[longest]) / 2
    large = [i for i, text in enumerate(texts) if len(text) >= half][:_MOST_CANDIDATES]
    fitting = [i for i in large if definitions(texts[i], language)]
    return next((i for i in fitting if deeds(texts[i], language).acts), fitting[0] if fitting else longest)
