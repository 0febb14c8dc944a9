"""Divide rows into parts so that no near twin crosses two of them. It drops and changes no row."""

from collections import defaultdict
from collections.abc import Sequence
from itertools import combinations

import numpy as np

from goodvibe_bench.task.definition import Split
from goodvibe_bench.task.twins import Space, twin_groups, twin_rows
from goodvibe_bench.types import PARTS, Labelled, Pair, Part, Prompt


def group_pairs(pairs: Sequence[Pair], cosine: float) -> np.ndarray:
    """Return near-twin groups of pairs: by prompt, by code (either side with either side) and by family."""
    return twin_groups([_prompts(pairs), _code(pairs)], len(pairs), cosine, [pair.family for pair in pairs])


def assign(groups: np.ndarray, split: Split) -> list[Part]:
    """Return each row's part; a group goes whole, largest first, to the part that lacks the most rows.

    Deterministic in `split.seed`, which orders groups of one size.
    """
    members: dict[int, list[int]] = defaultdict(list)
    for row, group in enumerate(groups):
        members[int(group)].append(row)
    shuffled = np.random.default_rng(split.seed).permutation(len(members))
    order = sorted((list(members.values())[place] for place in shuffled), key=len, reverse=True)
    lacking: dict[Part, float] = {part: share * len(groups) for part, share in split.shares.items() if share > 0}
    parts: list[Part] = ["tuner-train"] * len(groups)
    for rows in order:
        part = max(lacking, key=lambda name: lacking[name])
        lacking[part] -= len(rows)
        for row in rows:
            parts[row] = part
    return parts


def audit(
    pairs: Sequence[Pair], parts: Sequence[Part], prompts: Sequence[Prompt], cases: Sequence[Labelled], cosine: float
) -> dict[str, float]:
    """Return, for every two parts, how many rows of them are near twins across, and the cosine it was counted at.

    `parts` are those of `pairs`; `prompts` are held out besides, `cases` belong to calibration. It
    recounts from the texts alone: a proof, not a memory of how the split was made.
    """
    place = [*parts, *(["held-out"] * len(prompts)), *(["calibration"] * len(cases))]
    asked = [*_prompts(pairs), *((len(pairs) + i, prompt.text) for i, prompt in enumerate(prompts))]
    code = [*_code(pairs), *((len(pairs) + len(prompts) + i, case.code) for i, case in enumerate(cases))]
    links = np.concatenate([twin_rows(asked, cosine), twin_rows(code, cosine)])
    crossing = {(place[a], place[b], a, b) for a, b in links if place[a] != place[b]}
    found: dict[str, float] = {"cosine": cosine}
    for left, right in combinations(PARTS, 2):
        found[f"{left} ~ {right}"] = len({(a, b) for one, two, a, b in crossing if (one, two) == (left, right)})
    return found


def _prompts(pairs: Sequence[Pair]) -> Space:
    return [(row, pair.prompt) for row, pair in enumerate(pairs)]


def _code(pairs: Sequence[Pair]) -> Space:
    return [(row, side) for row, pair in enumerate(pairs) for side in (pair.secure, pair.insecure)]
