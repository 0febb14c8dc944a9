"""Measure judges on labelled sets: the pipeline with recorded completions, its verdicts compared with the labels.

It fits nothing and chooses no threshold. Every set goes through `run.judged`, so a judge sees the code as in a run.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from goodvibe_bench import catalog
from goodvibe_bench.completion.bare import bare
from goodvibe_bench.generator.doubles import RecordedGenerator
from goodvibe_bench.judge import load as judge_loader
from goodvibe_bench.judge.definition import JudgeDefinition, ModelJudge, VoteJudge
from goodvibe_bench.judging.calibrate import SCRATCH
from goodvibe_bench.judging.data import LabelledSet, Use, chosen
from goodvibe_bench.judging.probes import ProbeReport, report
from goodvibe_bench.metric.auc import auc_interval, mean_of, pair_order
from goodvibe_bench.metric.calibration import crossfitted, expected_calibration_error
from goodvibe_bench.metric.rate import clustered_rate
from goodvibe_bench.model import locate
from goodvibe_bench.result import instrument
from goodvibe_bench.run import Show, judged
from goodvibe_bench.types import (
    LANGUAGES,
    Calibration,
    Code,
    Completion,
    Estimate,
    Judge,
    Labelled,
    Language,
    Noun,
    Outcome,
    Pair,
    Prompt,
    Record,
    Task,
    Verdict,
)

MACRO = "macro mean"
"""The language of a row that is the unweighted mean over languages."""
MAX_FPR = 0.1
"""The FPR that the column "at 10%" keeps: the paper's judge has 16% (section 7)."""
PROBED = 8
"""Snippets a set and language that probes change, whole families."""
PAIRED = 100
"""Snippets a language in the minimal pairs that must be told apart; the rest of the probes asks about some 150."""


class Row(Noun):
    """One judge on one language of one set. Positive = unsafe; None where the figure is of nothing."""

    judge: str
    judge_digest: str
    set: str
    set_digest: str
    use: Use
    language: str
    languages: tuple[Language, ...] | None = None
    """What a mean goes over: the languages in which anything was judged; None of a row of one language."""
    n: int
    unjudged: int
    """Snippets without a verdict; they count in the denominators of TPR and FPR, as called neither unsafe nor safe."""
    unusable: int
    """Snippets that a run would call unusable (most do not parse); the judge's label of them counts all the same."""
    tpr: Estimate | None
    """Unsafe snippets called unsafe, over all unsafe ones; None, as all figures, where nothing was judged."""
    fpr: Estimate | None
    """Safe snippets called unsafe, over all safe ones."""
    strict_tpr: Estimate | None = None
    """TPR at thresholds chosen for an FPR of at most MAX_FPR, each fold's on the others (families stay whole)."""
    strict_fpr: Estimate | None = None
    """The FPR that came of these thresholds, above or below MAX_FPR."""
    auc: Estimate | None
    """This and ECE are over the judged snippets alone."""
    ece: float | None
    pair_order: Estimate | None
    """Minimal pairs whose insecure side has the higher p_unsafe, over all pairs; ties count half."""
    seconds: float
    """What the judge took, extraction and loading apart."""
    snippets_per_second: float | None
    """Of snippets that the judge was asked about in these seconds, not answered from scores kept before; None where it
    judged none of them."""
    date: str | None = None
    """When it was saved to a card."""
    versions: dict[str, str] | None = None
    """What it was made under, on a card whose newest rows are of other versions."""

    @property
    def judged(self) -> int:
        return self.n - self.unjudged


@dataclass
class Kept:
    """The texts whose scores are kept, so that no model is asked about them again."""

    bare: bool = True
    """Whether texts that differ in comments and layout alone count as one."""
    texts: set[str] = field(default_factory=set[str])

    def add(self, codes: Sequence[Code]) -> int:
        """Add the texts and return how many are new."""
        before = len(self.texts)
        self.texts.update(bare(code.text) if self.bare else code.text for code in codes)
        return len(self.texts) - before


@dataclass
class _Timed:
    """A judge that counts the seconds it takes, and the snippets it is asked about anew (all, if none is kept)."""

    inner: Judge
    kept: Kept | None
    seconds: float = 0.0
    asked: int = 0

    def judge(self, codes: Sequence[Code]) -> list[Verdict]:
        started = time.perf_counter()
        verdicts = self.inner.judge(codes)
        self.seconds += time.perf_counter() - started
        self.asked += len(codes) if self.kept is None else self.kept.add(codes)
        return verdicts


def definitions(judges: Sequence[str]) -> dict[str, JudgeDefinition]:
    """Return the judges' definitions. Raises UsageError for an unknown judge, and for two of one name."""
    found = [catalog.read("judges", name, JudgeDefinition) for name in judges]
    instrument.check_names([one.name for one in found])
    return {name: one.content for name, one in zip(judges, found, strict=True)}


def bench(judges: Sequence[str], sets: Sequence[LabelledSet], show: Show) -> list[Row]:
    """Return a row for every judge, set and language, and one over languages where a set has several.

    Judges are loaded one after the other, votes last: a model's scores are kept for them. What a speed counts is new to
    the model, and for a vote new to all models and votes before it. Raises UsageError, before anything is judged, for
    an unknown judge, two of one name, one that was never fitted and needs it, and one whose model is not at hand.
    """
    found: dict[str, list[Row]] = {}
    for name, rows in each(judges, sets, show):
        if isinstance(rows, Exception):
            raise rows
        found[name] = rows
    return [row for name in judges for row in found[name]]


def each(judges: Sequence[str], sets: Sequence[LabelledSet], show: Show) -> Iterator[tuple[str, list[Row] | Exception]]:
    """Give each judge's rows as soon as it is measured, or what it failed of; the others go on. Raises as `bench`."""
    specs = {name: one.judge for name, one in definitions(judges).items()}
    for name, spec in specs.items():
        _ = locate(spec.base) if isinstance(spec, ModelJudge) else judge_loader.load(name)
    return _each(judges, specs, sets, show)


def _each(
    judges: Sequence[str], specs: dict[str, Any], sets: Sequence[LabelledSet], show: Show
) -> Iterator[tuple[str, list[Row] | Exception]]:
    kept: list[Kept] = []
    with TemporaryDirectory() as scratch:
        how = judge_loader.Loading(scratch=Path(scratch))
        for name in sorted(judges, key=lambda name: isinstance(specs[name], VoteJudge)):
            own = _kept(specs[name], kept)
            try:
                rows = _all_sets(name, how, sets, show, own)
            except Exception as error:  # noqa: BLE001 - told by whoever asked, when the others are measured
                yield name, error
                continue
            kept += [own] if own else []
            yield name, rows


def _all_sets(
    name: str, how: judge_loader.Loading, sets: Sequence[LabelledSet], show: Show, kept: Kept | None
) -> list[Row]:
    fitted = judge_loader.load(name, how)
    return [row for one in sets for row in measure(fitted, one, show, kept)]


def _kept(spec: Any, before: Sequence[Kept]) -> Kept | None:
    """Return what is kept when a judge begins: nothing of a model, for a vote all before it; None where nothing is."""
    if isinstance(spec, VoteJudge):
        return Kept(texts={bare(text) for one in before for text in one.texts})
    return Kept(spec.bare) if isinstance(spec, ModelJudge) else None


def measure(fitted: judge_loader.Fitted, one: LabelledSet, show: Show, kept: Kept | None = None) -> list[Row]:
    """Return a row for every language of a set, and their unweighted mean where it has several.

    Snippets in `kept` do not count for the speed, and those that are judged are added to it.
    """
    rows = [_row(fitted, one, language, show, kept) for language in _languages(one)]
    return [*rows, _macro(rows)] if len(rows) > 1 else rows


def _languages(one: LabelledSet) -> list[Language]:
    return [language for language in LANGUAGES if any(row.language == language for row in one.rows)]


def _row(fitted: judge_loader.Fitted, one: LabelledSet, language: Language, show: Show, kept: Kept | None) -> Row:
    part = one.only([place for place, row in enumerate(one.rows) if row.language == language])
    timed = _Timed(fitted.judge, kept)
    records = replay(part.rows, f"{one.name} {language}", replace(fitted, judge=timed), show)
    p_unsafe = [record.verdict.p_unsafe for record in records]
    calls = {
        label: [
            (row.family, record.verdict.label == 1)
            for record, row in zip(records, part.rows, strict=True)
            if row.label == label
        ]
        for label in (0, 1)
    }
    unjudged = sum(record.verdict.label is None for record in records)
    blind = unjudged == len(records)
    tpr, fpr = (clustered_rate(calls[label]) if calls[label] and not blind else None for label in (1, 0))
    auc, ece = _scores(part.rows, p_unsafe)
    strict = _strict(part.rows, p_unsafe)
    return Row(
        judge=fitted.definition.name,
        judge_digest=fitted.digest,
        set=one.name,
        set_digest=catalog.digest([row.model_dump(mode="json") for row in part.rows]),
        use=one.use,
        language=language,
        n=len(records),
        unjudged=unjudged,
        unusable=sum(record.verdict.outcome is Outcome.UNUSABLE for record in records),
        tpr=tpr,
        fpr=fpr,
        strict_tpr=strict and strict.tpr,
        strict_fpr=strict and strict.fpr,
        auc=auc,
        ece=ece,
        pair_order=_order(part.pairs, p_unsafe),
        seconds=timed.seconds,
        snippets_per_second=None if blind else _speed(timed.asked, timed.seconds),
    )


def replay(rows: Sequence[Labelled], name: str, fitted: judge_loader.Fitted, show: Show) -> list[Record]:
    """Return a record for every snippet (all of one language), in order, as if a model had answered with it."""
    ids = [f"{name}/{place}" for place in range(len(rows))]  # people's own ids may repeat
    prompts = tuple(Prompt(id=id, language=row.language, text="") for id, row in zip(ids, rows, strict=True))
    completions = [
        Completion(prompt_id=id, text=_fenced(row), stop="end", tokens=0, seconds=0.0)
        for id, row in zip(ids, rows, strict=True)
    ]
    task = Task(
        name=name,
        language=rows[0].language,
        digest="",
        quality="raw",
        pairs={},
        prompts=prompts,
        cases=tuple(rows),
        audit={},
    )
    return judged(list(RecordedGenerator(completions).generate(prompts)), [task], fitted, show)


def _fenced(row: Labelled) -> str:
    """Return the code in a fence that nothing in it closes."""
    longest = max((len(list(run)) for mark, run in groupby(row.code) if mark == "`"), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{row.language}\n{row.code}\n{fence}"


def _scores(rows: Sequence[Labelled], p_unsafe: Sequence[float | None]) -> tuple[Estimate | None, float | None]:
    """Return AUC and expected calibration error over the snippets that have a probability."""
    known = [(row, p) for row, p in zip(rows, p_unsafe, strict=True) if p is not None]
    labels, scores = [row.label for row, _ in known], [p for _, p in known]
    auc = auc_interval(labels, scores, [row.family for row, _ in known]) if len(set(labels)) == 2 else None
    return auc, expected_calibration_error(np.array(labels), np.array(scores)) if known else None


def _strict(rows: Sequence[Labelled], p_unsafe: Sequence[float | None]) -> Calibration | None:
    """Return the figures at thresholds for MAX_FPR, or None where no threshold keeps it or the set is too small."""
    known = [p for p in p_unsafe if p is not None]
    if len(known) < len(rows):
        return None  # a share over judged snippets alone would flatter
    labels, families = [row.label for row in rows], [row.family for row in rows]
    try:
        return crossfitted(rows[0].language, labels, known, families, max_fpr=MAX_FPR)
    except ValueError:  # NoThreshold among them
        return None


def _order(pairs: Sequence[tuple[int, int]], p_unsafe: Sequence[float | None]) -> Estimate | None:
    sides = [(p_unsafe[secure], p_unsafe[insecure]) for secure, insecure in pairs]
    gaps = [None if low is None or high is None else high - low for low, high in sides]
    return pair_order(gaps) if any(gap is not None for gap in gaps) else None


def _macro(rows: Sequence[Row]) -> Row:
    """Return the unweighted mean over the languages in which anything was judged; counts and seconds are of all.

    A figure is None where one of these languages has none.
    """
    seen = [row for row in rows if row.judged]
    means: dict[str, Any] = {}
    for key in ("tpr", "fpr", "strict_tpr", "strict_fpr", "auc", "pair_order"):
        found = [getattr(row, key) for row in seen]
        means[key] = mean_of(found) if found and None not in found else None
    errors = [row.ece for row in seen if row.ece is not None]
    asked = sum(row.seconds * (row.snippets_per_second or 0) for row in seen)
    return rows[0].model_copy(
        update=means
        | {
            "language": MACRO,
            "languages": tuple(row.language for row in seen),
            "set_digest": catalog.digest([row.set_digest for row in rows]),
            "n": sum(row.n for row in rows),
            "unjudged": sum(row.unjudged for row in rows),
            "unusable": sum(row.unusable for row in rows),
            "ece": sum(errors) / len(errors) if errors and len(errors) == len(seen) else None,
            "seconds": sum(row.seconds for row in rows),
            "snippets_per_second": _speed(asked, sum(row.seconds for row in seen)),
        }
    )


def _speed(asked: float, seconds: float) -> float | None:
    return asked / seconds if asked and seconds > 0 else None


def probe(judge: str, sets: Sequence[LabelledSet], show: Show, seed: int = 0) -> ProbeReport:
    """Return what probes find on a fixed sample of the calibration sets without damage, PROBED a set and language.

    Of the minimal pairs, the bundled ones, it takes all, up to PAIRED snippets a language.

    Scores are kept as those of a run, so that a vote asks its members nothing twice. (`bench` measures speed: it asks
    anew.) Raises UsageError when none is there.
    """
    minimal = [one for one in sets if one.name == "bundled-pairs" and one.rows]
    sample = chosen([one for one in sets if one.use == "calibration" and not one.name.endswith("-raw")], limit=PROBED)
    pairs = [
        Pair(id=low.id, language=low.language, prompt="", secure=low.code, insecure=high.code, source=one.name)
        for one in (chosen(minimal, limit=PAIRED) if minimal else ())
        for low, high in ((one.rows[a], one.rows[b]) for a, b in one.pairs)
    ]
    rows = [row for one in sample for row in one.rows]
    languages: list[Language] = [one for one in LANGUAGES if any(row.language == one for row in rows)]
    fitted = judge_loader.load(judge, judge_loader.Loading(scratch=SCRATCH))
    show.line(f"{judge}: probing {len(rows)} snippets")
    return report(fitted.judge, rows, pairs, seed, languages)
