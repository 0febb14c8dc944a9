"""Look for what two sources of data share: exact and near twins, of prompts and of code. It moves no row.

split.py keeps the parts of one task apart; this compares any two bodies of text, across tasks as well.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, combinations, pairwise
from typing import Any

import numpy as np
from scipy.sparse import vstack
from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer

from goodvibe_bench.task.load import Rows
from goodvibe_bench.task.twins import Space
from goodvibe_bench.types import LANGUAGES, PARTS, Labelled, Language, Pair, Prompt


@dataclass(frozen=True)
class Body:
    """One part of one task, or one file: its prompts and its code, each with the row that it belongs to."""

    source: str
    part: str
    language: Language
    rows: int
    prompts: Space
    code: Space


@dataclass(frozen=True)
class Crossing:
    """What two bodies share. Counts are of pairs of rows."""

    left: str
    right: str
    compared: str
    exact: int
    """Equal but for white space."""
    near: int
    """At or above the cosine, exact ones among them."""
    closest: float
    """The highest cosine between any two rows."""


def bodies(source: str, language: Language, rows: Rows) -> list[Body]:
    """Return the four parts of a task as bodies of text."""
    written = {"held-out": rows.written}
    cases = {"calibration": rows.cases}
    return [body(source, part, language, rows.of(part), written.get(part, ()), cases.get(part, ())) for part in PARTS]


def body(
    source: str,
    part: str,
    language: Language,
    pairs: Sequence[Pair],
    prompts: Sequence[Prompt] = (),
    cases: Sequence[Labelled] = (),
) -> Body:
    """Return a body of pairs, prompts and single snippets; a pair without a prompt counts by its code alone."""
    asked = [(row, pair.prompt) for row, pair in enumerate(pairs) if pair.prompt.strip()]
    asked += [(len(pairs) + row, prompt.text) for row, prompt in enumerate(prompts)]
    code = [(row, side) for row, pair in enumerate(pairs) for side in (pair.secure, pair.insecure)]
    code += [(len(pairs) + len(prompts) + row, case.code) for row, case in enumerate(cases)]
    return Body(source, part, language, len(pairs) + len(prompts) + len(cases), asked, code)


def crossings(found: Sequence[Body], cosine: float) -> Iterator[Crossing]:
    """Yield what every two bodies of one language share: parts of one source one by one, another source as a whole.

    Cosine is that of TF-IDF weighted character 3- to 5-grams within words, weighted over the sources compared (as
    twins.py weighs them within one task).
    """
    for language in dict.fromkeys(body.language for body in found):
        same = [body for body in found if body.language == language and body.rows]
        sorts = _counted(same)
        sources: dict[str, list[int]] = {}
        for place, body in enumerate(same):
            sources.setdefault(body.source, []).append(place)
        for own in sources.values():
            vectors = [_weighted(counts, own) for counts in sorts]
            for one, two in combinations(own, 2):
                yield _crossing(same, vectors, one, [two], cosine)
        for own, other in combinations(sources.values(), 2):
            vectors = [_weighted(counts, [*own, *other]) for counts in sorts]
            for one in own:
                yield _crossing(same, vectors, one, other, cosine)


def comparisons(found: Sequence[Body]) -> int:
    """Return how many rows `crossings` yields."""
    total = 0
    for language in LANGUAGES:
        sizes = list(Counter(body.source for body in found if body.language == language and body.rows).values())
        total += sum(size * (size - 1) // 2 + size * (len(sizes) - place - 1) for place, size in enumerate(sizes))
    return total


@dataclass(frozen=True)
class _Counts:
    """One body's texts of one sort: n-gram counts (sparse [texts, n-grams]), their rows, their text without spaces."""

    counts: Any
    rows: list[int]
    bare: list[str]


def _counted(found: Sequence[Body]) -> list[list[_Counts]]:
    """Return, for prompts and for code, the counts of every body over one vocabulary."""
    sorts = []
    for spaces in ([body.prompts for body in found], [body.code for body in found]):
        grams = CountVectorizer(analyzer="char_wb", ngram_range=(3, 5))
        texts = [text for space in spaces for _, text in space]
        counts = grams.fit_transform(texts or ["none"])
        ends = [0, *accumulate(len(space) for space in spaces)]
        sorts.append(
            [
                _Counts(counts[start:end] if space else None, [row for row, _ in space], _bare(texts[start:end]))
                for space, (start, end) in zip(spaces, pairwise(ends), strict=True)
            ]
        )
    return sorts


def _weighted(counts: Sequence[_Counts], places: Sequence[int]) -> dict[int, _Counts]:
    """Return the bodies at `places` with TF-IDF weights over just these, rows of unit length."""
    filled = [place for place in places if counts[place].counts is not None]
    if not filled:
        return {}
    weights = TfidfTransformer().fit(vstack([counts[place].counts for place in filled]))
    return {place: replace(counts[place], counts=weights.transform(counts[place].counts)) for place in filled}


def _bare(texts: Iterable[str]) -> list[str]:
    return ["".join(text.split()) for text in texts]


def _crossing(
    found: Sequence[Body], sorts: Sequence[dict[int, _Counts]], left: int, right: Sequence[int], cosine: float
) -> Crossing:
    exact: set[tuple[int, int, int]] = set()
    near: set[tuple[int, int, int]] = set()
    closest = 0.0
    for texts in sorts:
        for place in right:
            one, two = texts.get(left), texts.get(place)
            if one is None or two is None:
                continue
            alike = (one.counts @ two.counts.T).toarray()
            closest = max(closest, float(alike.max()))
            for i, j in np.argwhere(alike >= cosine):
                near.add((one.rows[i], place, two.rows[j]))
                if one.bare[i] == two.bare[j]:
                    exact.add((one.rows[i], place, two.rows[j]))
    a, b = found[left], found[right[0]]
    return Crossing(
        left=f"{a.source} {a.part}",
        right=b.part if a.source == b.source else b.source,
        compared=f"{a.rows} x {sum(found[place].rows for place in right)}",
        exact=len(exact),
        near=len(near),
        closest=closest,
    )
