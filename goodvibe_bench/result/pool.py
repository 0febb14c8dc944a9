"""Results that belong together: of one model and method over seeds, and beside the bare model. It computes no rate."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

from goodvibe_bench import catalog
from goodvibe_bench.result import instrument
from goodvibe_bench.result.sample import sample_key
from goodvibe_bench.result.settings import settings
from goodvibe_bench.result.tally import Kind, Tally, tally
from goodvibe_bench.types import Result

_Counted = tuple[Result, Tally]
BASE = "none"
"""The method that a gain is over."""


@dataclass(frozen=True)
class Entry:
    """Results that differ in their seed alone, sorted by it; never two of one seed."""

    results: tuple[Result, ...]
    table: str
    """Digest of tasks, samples, judges and settings: entries are compared only under one."""
    tallies: tuple[Tally, ...]
    """Every result's samples, counted."""

    @property
    def one(self) -> Result:
        return self.results[0]

    @property
    def rows(self) -> list[dict[str, Any]]:
        """All samples of all seeds. Raises ValueError where they were not kept."""
        if not all(one.outcomes for one in self.results):
            raise ValueError("results that were read for their counts alone have no samples")
        return [row for one in self.results for row in one.outcomes]

    @cached_property
    def tally(self) -> Tally:
        """All samples of all seeds, counted."""
        found: Counter[Kind] = Counter()
        for one in self.tallies:
            found.update(one)
        return found


def entries(results: Iterable[Result], *, by_seed: bool = False, lean: bool = False) -> list[Entry]:
    """Return an entry for every model and method under one `table`; one for every result where `by_seed`.

    A second result of one seed is not pooled with the first: it begins an entry of its own. Where `lean`, results of
    one judge are kept without their samples, which are counted: hundreds of thousands of them need not be held at once.
    """
    pools: dict[tuple[Any, ...], list[_Counted]] = {}
    for place, result in enumerate(results):
        key = (_table(result), *_made_by(result), place if by_seed else 0)
        again = 0
        while any(one.seed == result.seed for one, _ in pools.get((*key, again), [])):
            again += 1
        kept = result.model_copy(update={"outcomes": []}) if lean and not result.other_judges else result
        pools.setdefault((*key, again), []).append((kept, tally(result.outcomes)))
    return [_entry(pool, str(key[0])) for key, pool in pools.items()]


def _entry(pool: list[_Counted], table: str) -> Entry:
    pool = sorted(pool, key=lambda one: one[0].seed)
    return Entry(tuple(result for result, _ in pool), table, tuple(counts for _, counts in pool))


def _table(result: Result) -> str:
    samples = _samples(tuple(map(sample_key, result.outcomes)))
    return catalog.digest([result.task_hashes, digests(result), settings(result), samples])


@lru_cache(maxsize=64)
def _samples(keys: tuple[tuple[str, str, int], ...]) -> str:
    """Return a digest of samples in any order; kept, for the results of one task mostly have the same ones."""
    return catalog.digest(sorted(keys))


def _made_by(result: Result) -> tuple[Any, ...]:
    """Return what seeds of one method share; weights only where nothing was trained."""
    weights = None if result.training else result.model.digest
    return result.model.id, result.model.revision, weights, result.method, str(result.provenance.get("trainer_digest"))


def digests(result: Result) -> list[tuple[Any, Any]]:
    """Return name and digest of every judge, the headline one first."""
    return [(judge["name"], judge.get("digest")) for judge in instrument.judges(result)]


def base_of(entry: Entry, known: Sequence[Entry]) -> Entry | None:
    """Return the bare model of the same tasks, judges and sampling, or None; the one of the same table first."""
    one = entry.one
    bases = [
        found
        for found in known
        if found.one.method == BASE
        and found.one.model.id == one.model.id
        and found.one.task_hashes == one.task_hashes
        and digests(found.one) == digests(one)
        and settings(found.one)["sampling"] == settings(one)["sampling"]
    ]
    bases.sort(key=lambda found: (found.table != entry.table, not _seeds(found) & _seeds(entry)))
    return bases[0] if bases and one.method != BASE else None


def _seeds(entry: Entry) -> set[int]:
    return {one.seed for one in entry.results}
