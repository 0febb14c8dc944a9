"""Places that share a number where a test cannot tell them apart, and what no other row beats. It computes no rate.

A place is 1 + the number of entries that are proven better: each pair is compared on the same prompts by the exact
sign-flip test over prompt families (metric.paired), and all pairs of a table (in all its languages) are Holm-adjusted
together at 5%. "Not told apart" alone would be no order (a = b and b = c do not make a = c); to count those proven
better always gives one. So a place says nothing else, and an entry with few or noisy samples can share a place with
entries that lie above it.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from goodvibe_bench.metric.paired import holm, sign_flip, sign_flip_bounds
from goodvibe_bench.result.pool import Entry
from goodvibe_bench.result.tally import of_language
from goodvibe_bench.types import Outcome

ALPHA = 0.05
"""Of all comparisons of one table together."""


def places(entries: Sequence[Entry], languages: Sequence[str | None]) -> dict[tuple[int, str | None], int | None]:
    """Return the place of every entry of one table in every language (None: all of them together).

    An entry's seeds are pooled: its share of secure samples in every family is compared. None where there is nothing to
    compare with.
    """
    numbered = range(len(entries))
    found = {(one, language): 1 if len(entries) > 1 else None for one in numbered for language in languages}
    pairs = len(entries) * (len(entries) - 1) // 2 * len(languages)
    p_values: dict[str, float] = {}
    better: dict[str, tuple[int, str | None]] = {}
    for language in languages:
        totals, seeds = _secure(entries, language), np.array([len(entry.results) for entry in entries])
        for a in numbered[1:]:
            nets = _nets(totals, seeds, a)
            for b, (net, p) in enumerate(zip(nets.sum(axis=1).tolist(), _p_values(nets, pairs), strict=True)):
                key = f"{a} {b} {language}"
                p_values[key], better[key] = p, (b if net > 0 else a, language)
    for key, p in (holm(p_values) if p_values else {}).items():
        loser = better[key]
        found[loser] = (found[loser] or 1) + (p < ALPHA)
    return found


def _p_values(nets: Any, pairs: int) -> list[float]:
    """Return exact p-values, or bounds of them where Holm's answer at ALPHA is the same whatever they are.

    Below ALPHA / pairs every p is rejected, wherever it stands among the others; at ALPHA and above none is.
    """
    low, high = sign_flip_bounds(nets)
    open_ = (low < ALPHA) & (high >= ALPHA / pairs)
    bounds = np.where(low < ALPHA, high, 1.0).tolist()
    return [sign_flip(net) if is_open else bound for net, is_open, bound in zip(nets, open_, bounds, strict=True)]


def _secure(entries: Sequence[Entry], language: str | None) -> Any:
    """Return the secure samples [entries, families], summed over seeds."""
    counts: list[Counter[str]] = []
    for entry in entries:
        counts.append(Counter())
        for (_, name, outcome, _, _), count in of_language(entry.tally, language).items():
            counts[-1][name] += count if outcome == Outcome.SECURE else 0
    order = sorted({kind[1] for kind in of_language(entries[0].tally, language)})
    return np.array([[count[name] for name in order] for count in counts], dtype=np.int64)


def _nets(totals: Any, seeds: Any, a: int) -> Any:
    """Return how much more is secure in entry `a` than in each one before it, by family [a, families].

    In whole numbers, as if both had as many seeds.
    """
    shared = np.gcd(seeds[a], seeds[:a])
    return totals[a] * (seeds[:a] // shared)[:, None] - totals[:a] * (seeds[a] // shared)[:, None]


def unbeaten(points: Sequence[tuple[float, float] | None]) -> list[bool | None]:
    """Return for every (security, cost) whether no other one is at least as good in both and better in one.

    None for a point that is not known.
    """
    known = [point for point in points if point is not None]
    return [None if one is None else not any(_beats(other, one) for other in known) for one in points]


def _beats(one: tuple[float, float], other: tuple[float, float]) -> bool:
    return one != other and one[0] >= other[0] and one[1] <= other[1]
