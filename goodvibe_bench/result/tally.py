"""Samples counted by all that rates ask of them, so that hundreds of thousands are gone through once.

It computes no rate.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from goodvibe_bench.result.sample import family

Kind = tuple[str, str, str, int | None, bool]
"""Language, family, outcome, label, and whether the code is usable."""
Tally = Mapping[Kind, int]
"""How many samples there are of each kind."""


def tally(rows: Iterable[dict[str, Any]]) -> Tally:
    """Return how many of the samples are of each kind."""
    return Counter(
        (row["language"], family(row), row["outcome"], row["label"], row["unusable"] is None) for row in rows
    )


def of_language(found: Tally, language: str | None) -> Tally:
    """Return the samples of a language; all where None."""
    return found if language is None else {kind: count for kind, count in found.items() if kind[0] == language}
