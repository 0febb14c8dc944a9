"""Samples counted by all that rates ask of them, so that hundreds of thousands are gone through once.

It computes no rate.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from operator import itemgetter
from typing import Any

from goodvibe_bench.result.sample import family_name

Kind = tuple[str, str, str, int | None, bool]
"""Language, family, outcome, label, and whether the code is usable."""
Tally = Mapping[Kind, int]
"""How many samples there are of each kind."""


_told = itemgetter("task", "prompt_id", "language", "outcome", "label", "unusable")


def tally(rows: Iterable[dict[str, Any]]) -> Tally:
    """Return how many of the samples are of each kind."""
    return Counter(
        (language, family_name(task, prompt_id, row.get("family")), outcome, label, unusable is None)
        for row in rows
        for task, prompt_id, language, outcome, label, unusable in (_told(row),)
    )


def of_language(found: Tally, language: str | None) -> Tally:
    """Return the samples of a language; all where None."""
    return found if language is None else {kind: count for kind, count in found.items() if kind[0] == language}
