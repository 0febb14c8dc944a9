"""Labelled code with another surface: what a judge learns from must not be told by names, layout, comments or damage.

Both sides of a pair are changed alike, so that a change tells nothing about a label. It writes no new weakness.
"""

from collections.abc import Sequence
from random import Random

from goodvibe_bench.completion.reformat import reformatted
from goodvibe_bench.completion.rename import renamed_together
from goodvibe_bench.completion.rewrite import (
    with_comments,
    with_dead_code,
    with_stray_tokens,
    with_unused_string,
    without_comments,
)
from goodvibe_bench.types import Labelled, Language

STRAY_SHARE = 0.15
"""Families whose every side gets stray tokens: in CyberNative these lie on mostly one side, and give labels away."""

STRING_SHARE = 0.25
"""Families whose every side gets an unused string: it must not weigh, whatever it says."""

VARIED_SHARE = 0.5
"""Families whose first copy has another surface; all further copies have."""

DEAD_SHARE = 0.5
"""Of the copies with another surface, those that get unused code on every side."""


def varied(data: Sequence[Labelled], copies: int, seed: int) -> list[Labelled]:
    """Return `data` `copies` times, mostly with another surface; ids and families end in #copy."""
    found: list[Labelled] = []
    for copy in range(copies):
        families: dict[str, list[Labelled]] = {}
        for item in data:
            families.setdefault(item.family, []).append(item)
        for family, members in families.items():
            dice = Random(f"{seed}/{copy}/{family}")  # noqa: S311 - chance, not a secret
            texts = [item.code for item in members]
            if copy or dice.random() < VARIED_SHARE:
                texts = _another_surface(texts, members[0].language, dice)
            if dice.random() < STRING_SHARE:
                seed_of_strings = dice.randrange(2**31)
                texts = [with_unused_string(text, members[0].language, seed_of_strings) for text in texts]
            if dice.random() < STRAY_SHARE:
                texts = [with_stray_tokens(text, dice.randrange(2**31)) for text in texts]
            found += [
                item.model_copy(update={"id": f"{item.id}#{copy}", "family": f"{family}#{copy}", "code": text})
                for item, text in zip(members, texts, strict=True)
            ]
    return found


def _another_surface(texts: list[str], language: Language, dice: Random) -> list[str]:
    seed = dice.randrange(2**31)
    texts = renamed_together(texts, language, seed)
    change = dice.choice((without_comments, with_comments, None))
    if change is with_comments:
        texts = [with_comments(text, language, seed) for text in texts]
    elif change is without_comments:
        texts = [without_comments(text, language) for text in texts]
    if dice.random() < DEAD_SHARE:
        texts = [with_dead_code(text, language, seed) for text in texts]
    return [reformatted(text, language, seed) for text in texts] if dice.random() < 0.5 else texts
