"""Two results or methods on the same prompts: how their rates differ, whether that is proven, which prompts changed.

Runs of several seeds are pooled; the samples of one prompt family are never taken as independent. It reads results
only: texts lie in the records beside them, see `codes`.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any, Literal

from goodvibe_bench.errors import UsageError, nearest
from goodvibe_bench.metric.paired import OverSeeds, PairedDifference, holm, over_seeds, paired_difference
from goodvibe_bench.result import drift, instrument, store, utility
from goodvibe_bench.result.account import Costs, costs
from goodvibe_bench.result.sample import family, sample_key
from goodvibe_bench.result.settings import by_seed, unequal_settings
from goodvibe_bench.types import Noun, Outcome, Record, Result

ALL = "all"
"""In place of a language: all of them together."""
_Both = tuple[tuple[int, int], dict[str, Any], dict[str, Any]]
"""The seeds of both sides, and the rows that both have for one sample."""


@dataclass(frozen=True)
class Side:
    """One of the two: a result, or those of one model and method over seeds."""

    name: str
    results: dict[Path, Result]

    @property
    def ones(self) -> list[Result]:
        return list(self.results.values())

    @property
    def one(self) -> Result:
        return self.ones[0]


class Difference(Noun):
    """One rate on both sides, in one judge's eyes and one language or all."""

    judge: str
    rate: Literal["secure", "valid"]
    language: str
    before: float
    after: float
    difference: PairedDifference
    p_holm: float | None
    """Of the sign-flip test over families, adjusted for the number of languages; None over all languages."""
    seeds: OverSeeds | None
    """The difference of each training seed and what they say of others; None where a side was trained once only."""


class Change(Noun):
    """A sample that is secure on one side only, as the headline judge sees it."""

    task: str
    prompt_id: str
    language: str
    cwe: str | None
    attempt: int
    seeds: tuple[int, int]
    before: Outcome
    after: Outcome


class Comparison(Noun):
    """After minus before; security, and beside it validity, utility and cost."""

    before: str
    after: str
    differences: tuple[Difference, ...]
    utility: tuple[utility.Delta, ...]
    """Metrics that both sides measured on the same questions; the asked rate among them."""
    costs: tuple[Costs, Costs]
    """Of training, before and after."""
    changes: tuple[Change, ...]
    """Lost ones first."""
    notes: tuple[str, ...]
    """What else is not the same on both sides."""


def side(word: str, folder: Path) -> Side:
    """Return the result in the file `word`, or the results of the method `word` in `folder`.

    A method may be named without its --set words where only one has that name. Raises UsageError for what is neither,
    and for a name that several models or methods share.
    """
    if Path(word).is_file():
        one = store.read_result(Path(word))
        return Side(f"{one.method} (seed {one.seed})", {Path(word): one})
    found = {path: store.read_result(path) for path in store.result_paths([folder])}
    chosen = {path: one for path, one in found.items() if one.method == word}
    chosen = chosen or {path: one for path, one in found.items() if one.method.partition("[")[0] == word}
    methods, models = ({one.method for one in chosen.values()}, {one.model.id for one in chosen.values()})
    if not chosen:
        names = sorted({one.method for one in found.values()})
        raise UsageError(f"{word!r} is no result file, and no method in {str(folder)!r}. {nearest(word, names)}")
    for kind, several in (("methods", methods), ("models", models)):
        if len(several) > 1:
            raise UsageError(
                f"{word!r} stands for several {kind} in {str(folder)!r}: {', '.join(sorted(several))}. Name a file."
            )
    seeds = [one.seed for one in chosen.values()]
    if len(set(seeds)) < len(seeds):
        raise UsageError(
            f"{word!r} has several results of one seed in {str(folder)!r}: they differ in settings. Name a file."
        )
    return Side(methods.pop(), chosen)


def compare(before: Side, after: Side, confidence: float = 0.95) -> Comparison:
    """Return all differences, of samples that both sides have: same task, prompt, attempt and seed.

    A side with a single result is paired with every seed of the other. Raises UsageError where the sides share no task
    or judge, where a task of one name is not the same, and where no sample pairs.
    """
    judges = _shared_judges(before.one, after.one)
    pairs = _pairs(before, after)
    languages = sorted({row["language"] for _, row, _ in pairs})
    found: list[Difference] = []
    for place, judge in enumerate(judges):
        for rate in ("secure", "valid") if place == 0 else ("secure",):
            found += _differences(pairs, judge, rate, languages, confidence)
    if _shares_a_training(before, after):
        found = [one.model_copy(update={"seeds": None}) for one in found]
    changes = [_change(seeds, old, new, judges[0]) for seeds, old, new in pairs]
    changed = [one for one in changes if (one.before == Outcome.SECURE) != (one.after == Outcome.SECURE)]
    changed.sort(key=lambda one: (one.after == Outcome.SECURE, one.language, one.task, one.prompt_id, one.seeds))
    return Comparison(
        before=before.name,
        after=after.name,
        differences=tuple(found),
        utility=tuple(utility.deltas(by_seed(before.ones, after.ones), confidence=confidence)),
        costs=(costs(before.ones), costs(after.ones)),
        changes=tuple(changed),
        notes=(*_notes(before.one, after.one), *_drift(before, after, judges)),
    )


def answers(
    before: Side, after: Side, judge: str, rate: Literal["secure", "valid"]
) -> list[tuple[str, str, bool, bool]]:
    """Return (language, family, whether `before` has it, whether `after` has it) of every sample that both sides have.

    For differences over several comparisons, each by its own fit of a judge. Raises UsageError as `compare` does.
    """
    return _samples(_judged_pairs(before, after, judge), judge, rate)


def seed_differences(
    before: Side, after: Side, judge: str, rate: Literal["secure", "valid"]
) -> dict[tuple[int, int], float]:
    """Return the difference over all languages by seeds (before, after); none where one training stands on a side of
    several.

    Raises UsageError as `answers` does.
    """
    found = _by_seed(_judged_pairs(before, after, judge), judge, rate, ALL)
    return {} if _shares_a_training(before, after) else found


def codes(one: Side, change: Change, seed: int) -> str:
    """Return the code of a sample that `change` names. Raises UsageError where the records are not there."""
    path = next(path for path, result in one.results.items() if result.seed == seed)
    records = path.parent / "records" / f"{path.stem}.jsonl"
    for record in store.read_lines(records, Record):
        if (record.task, record.prompt.id, record.completion.attempt) == (
            change.task,
            change.prompt_id,
            change.attempt,
        ):
            return record.code.text or record.completion.text
    raise UsageError(
        f"No text of {change.prompt_id!r} in {str(records)!r}: --show needs the records beside the result."
    )


def _shared_judges(before: Result, after: Result) -> list[str]:
    """Return the names of the judges that labelled both, `after`'s headline judge first."""
    known = {(judge["name"], judge.get("digest")) for judge in instrument.judges(before)}
    shared = [judge["name"] for judge in instrument.judges(after) if (judge["name"], judge.get("digest")) in known]
    if not shared or shared[0] != after.judge["name"]:
        names = ", ".join(judge["name"] for judge in instrument.judges(before))
        raise UsageError(
            f"The two sides were not judged alike: {after.judge['name']} (digest {after.judge.get('digest')}) against "
            f"{names}. Run one of them again with the other's judge; one that was fitted or calibrated anew is another."
        )
    return shared


def _shares_a_training(before: Side, after: Side) -> bool:
    """Return whether a side that was trained once is held against several seeds: these then vary by half."""
    sides = (before, after), (after, before)
    return any(len(lone.ones) == 1 < len(other.ones) and bool(lone.one.training) for lone, other in sides)


def _judged_pairs(before: Side, after: Side, judge: str) -> list[_Both]:
    if judge not in _shared_judges(before.one, after.one):
        raise UsageError(f"{before.name} and {after.name} were not both judged by {judge!r}.")
    return _pairs(before, after)


def _pairs(before: Side, after: Side) -> list[_Both]:
    """Return (seeds of both, row before, row after) for every sample that both sides have."""
    tasks = before.one.task_hashes.keys() & after.one.task_hashes.keys()
    differing = [task for task in sorted(tasks) if before.one.task_hashes[task] != after.one.task_hashes[task]]
    if not tasks or differing:
        why = f"{', '.join(differing)} changed in between" if differing else "they share no task"
        raise UsageError(f"{before.name} and {after.name} cannot be compared: {why}. Run one of them again.")
    found = []
    for old, new in by_seed(before.ones, after.ones):
        rows = {sample_key(row): row for row in old.outcomes}
        found += [((old.seed, new.seed), rows[sample_key(row)], row) for row in new.outcomes if sample_key(row) in rows]
    if not found:
        raise UsageError(f"{before.name} and {after.name} share no sample: other prompts, or other seeds.")
    return found


def _differences(
    pairs: Sequence[_Both],
    judge: str,
    rate: Literal["secure", "valid"],
    languages: Sequence[str],
    confidence: float,
) -> list[Difference]:
    samples = _samples(pairs, judge, rate)
    found = {
        language: paired_difference([one[1:] for one in samples if language in {ALL, one[0]}], confidence)
        for language in ([ALL, *languages] if len(languages) > 1 else [ALL])
    }
    adjusted = holm({name: one.p_families for name, one in found.items() if name != ALL}) if len(found) > 1 else {}
    return [
        Difference(
            judge=judge,
            rate=rate,
            language=language,
            before=sum(old for name, _, old, _ in samples if language in {ALL, name}) / one.n,
            after=sum(new for name, _, _, new in samples if language in {ALL, name}) / one.n,
            difference=one,
            p_holm=adjusted.get(language),
            seeds=over_seeds(list(_by_seed(pairs, judge, rate, language).values()), confidence),
        )
        for language, one in found.items()
    ]


def _samples(
    pairs: Sequence[_Both],
    judge: str,
    rate: Literal["secure", "valid"],
) -> list[tuple[str, str, bool, bool]]:
    return [(new["language"], family(new), _has(old, rate, judge), _has(new, rate, judge)) for _, old, new in pairs]


def _by_seed(
    pairs: Sequence[_Both], judge: str, rate: Literal["secure", "valid"], language: str
) -> dict[tuple[int, int], float]:
    """Return the difference of each pair of seeds, in their order."""
    changes: dict[tuple[int, int], list[int]] = defaultdict(list)
    for seeds, old, new in pairs:
        if language in {ALL, new["language"]}:
            changes[seeds].append(_has(new, rate, judge) - _has(old, rate, judge))
    return {seeds: mean(changes[seeds]) for seeds in sorted(changes)}


def _has(row: dict[str, Any], rate: Literal["secure", "valid"], judge: str) -> bool:
    return row["unusable"] is None if rate == "valid" else _seen(row, judge) == Outcome.SECURE


def _seen(row: dict[str, Any], judge: str) -> str:
    """Return the outcome by that judge: another one's where it is among the others, else the headline judge's."""
    return row.get("others", {}).get(judge, row)["outcome"]


def _change(seeds: tuple[int, int], old: dict[str, Any], new: dict[str, Any], judge: str) -> Change:
    kept = {key: new.get(key) for key in ("task", "prompt_id", "language", "cwe", "attempt")}
    return Change.model_validate(kept | {"seeds": seeds, "before": _seen(old, judge), "after": _seen(new, judge)})


def _drift(before: Side, after: Side, judges: Sequence[str]) -> list[str]:
    return [line for judge in judges for line in drift.apart([*before.ones, *after.ones], judge)]


def _notes(before: Result, after: Result) -> list[str]:
    models = [f"models differ: {before.model.id} and {after.model.id}"] if before.model.id != after.model.id else []
    return models + unequal_settings(before, after)
