"""Calibrate a judge: score labelled code, fit scaling and threshold per language, write the card. Weights stay.

It uses the calibration parts of tasks and people's labels only, never what a judge learned from.
"""

import shlex
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from math import ceil
from pathlib import Path
from typing import Any

from goodvibe_bench import catalog
from goodvibe_bench.errors import UsageError
from goodvibe_bench.judge import JudgeDefinition, cards
from goodvibe_bench.judge import load as judges
from goodvibe_bench.judge.calibrated import Calibrated
from goodvibe_bench.judge.definition import Card
from goodvibe_bench.judge.vote import VoteJudge
from goodvibe_bench.judging import label, provenance
from goodvibe_bench.judging.card import check_own, labels_cell, rate_cell, safe_rates_cell, write
from goodvibe_bench.metric.calibration import NoThreshold, crossfitted
from goodvibe_bench.metric.scaling import ScalingKind
from goodvibe_bench.result import score, store
from goodvibe_bench.run import JUDGED_AT_ONCE, Show
from goodvibe_bench.task import load as load_task
from goodvibe_bench.task.definition import HubSource, TaskDefinition
from goodvibe_bench.task.load import at_hand
from goodvibe_bench.types import LANGUAGES, Calibration, Code, Judge, Labelled, Language

SCRATCH = Path(".runs")
"""Where scores are kept, as those of a run."""


Scored = tuple[Labelled, float, float]
"""A snippet, its weight, and the judge's own p_unsafe."""


@dataclass(frozen=True)
class Source:
    """Labelled code from one place; its weights have mean 1 in every language."""

    name: str
    items: list[Labelled]
    weights: list[float]
    digest: str


def calibrate(
    name: str,
    show: Show,
    *,
    data: Path | None = None,
    labels: Sequence[Path] = (),
    only_labels: bool = False,
    scaling: ScalingKind = "temperature",
    max_fpr: float | None = None,
    output: Path | None = None,
    fewer: bool = False,
    seed: int = 0,
    tell: Callable[[str], None] | None = None,
) -> Path:
    """Calibrate the judge `name` and return the folder with its new card.json and README.md.

    Labelled are the calibration parts of the tasks of its [fit] table (of all tasks where it has none), and the files
    in `labels`; these alone with `only_labels`. A language without enough labels keeps what the card said: the one in
    `output`, the folder of the card (the one beside the definition when None), else the judge's own. `tell` is given
    what must be heard: tasks left out, what the card lost; `show` when None. Raises UsageError for words that do not
    fit, for bad labels, for an `output` with another README.md or card, where no language can be calibrated or one
    cannot keep `max_fpr`, and, unless `fewer`, where the card in the folder rests on sources that are not at hand.
    """
    definition = catalog.read("judges", name, JudgeDefinition)
    _check(data, labels, only_labels, max_fpr)
    own = cards.weights_folder(definition)
    folder = output or own
    check_own(folder, None if folder.resolve() == own.resolve() else definition.name)
    store.writable(folder)
    tell = tell or show.line
    sources = [] if only_labels else _task_sources(definition.content, data, show, tell)
    sources += _label_sources(labels, show)
    if not fewer:
        _refuse_fewer(folder, sources, only_labels)
    of: dict[str, Any] = {
        "definition_digest": definition.digest,
        "weights_digest": cards.digest_weights(own),
        "identity": cards.identity(definition, own),
    }
    fitted = judges.load(name, judges.Loading(scratch=SCRATCH))
    found = _calibrations(sources, _scores(fitted.judge, sources, show), scaling, max_fpr, seed, show)
    old = _before(definition, folder, of)  # read now, for another process may have calibrated another language
    recipe = {"when": score.now(), "scaling": scaling, "max_fpr": max_fpr, "seed": seed, "languages": list(found)}
    write(_renewed(old, of, recipe | _members(fitted.judge), sources, found), folder)
    if old.measured:
        tell(_dropped(name, old))
    return folder


def _before(definition: catalog.Definition[JudgeDefinition], folder: Path, of: dict[str, Any]) -> Card:
    """Return the card that is to be renewed: the one in `folder` if it has calibrations of the judge as it is now, else
    the judge's own, else a new one."""
    places = (folder, cards.weights_folder(definition))
    found = [cards.in_force(cards.read_card(place), definition, of["identity"]) for place in places]
    calibrated = next((card for card in found if card and card.calibration), found[-1])
    return calibrated or Card(judge=definition.name, data={}, recipe={}, calibration={}, **of)


def _renewed(
    old: Card,
    of: dict[str, Any],
    recipe: dict[str, Any],
    sources: Sequence[Source],
    found: dict[str, Calibration],
) -> Card:
    """Return the card with the calibrations `found` by `recipe`, without what was measured under those of before."""
    recipe["sources"] = {one.name: {"snippets": len(one.items), "digest": one.digest} for one in sources}
    blocks = {language: provenance.block(old, language) for language in old.calibration}
    blocks |= {language: _block(recipe, sources, language) for language in found}
    new = {
        "calibration": {**old.calibration, **found},
        "recipe": old.recipe | {"calibration": recipe, "calibrated": blocks},
        "measured": {},
    }
    return old.model_copy(update=new | of)


def _block(recipe: dict[str, Any], sources: Sequence[Source], language: str) -> dict[str, Any]:
    """Return what one language was calibrated by: of each source the snippets in it."""
    counts = {one.name: sum(item.language == language for item in one.items) for one in sources}
    rows = {one.name: {"snippets": counts[one.name], "digest": one.digest} for one in sources if counts[one.name]}
    return {key: value for key, value in recipe.items() if key != "languages"} | {"sources": rows}


def _dropped(name: str, old: Card) -> str:
    """Return a line on the figures that are of the calibration of before, and how they are made anew."""
    probes = " --probes" if old.measured.get("probes") else ""
    return (
        f"Dropped from the card, for the calibration of before made it: {len(old.measured.get('rows', []))} rows of "
        f"`judge bench`{' and its probes' if probes else ''}. Anew: goodvibe-bench judge bench --judge "
        f"{shlex.quote(name)}{probes} --save"
    )


def _members(judge: Judge) -> dict[str, Any]:
    """Return what a vote was calibrated as: its members' digests and weights."""
    raw = judge.raw if isinstance(judge, Calibrated) else judge
    if not isinstance(raw, VoteJudge):
        return {}
    members = {member.name: {"digest": member.digest, "weight": member.weight} for member in raw.members}
    return {"rule": raw.rule, "members": members}


def table_rows(card: Card) -> list[dict[str, Any]]:
    """Return what `judge calibrate` prints, in %: per language its figures, what they allow, and what they cost.

    New are those that the last call calibrated.
    """
    new = card.recipe.get("calibration", {}).get("languages", [])
    return [
        {
            "in": found.language,
            "new": "yes" if found.language in new else "no",
            "n": found.n,
            "cut": f"{100 * found.threshold:.0f}",
            "TPR": rate_cell(found.tpr),
            "FPR": rate_cell(found.fpr),
            "AUC": f"{100 * found.auc:.0f}",
            "ECE": f"{100 * (found.ece if found.ece_scaled is None else found.ece_scaled):.0f}",
            "safe_rates": safe_rates_cell(found),
            "labels": labels_cell(found),
        }
        for found in card.calibration.values()
    ]


def _check(data: Path | None, labels: Sequence[Path], only_labels: bool, max_fpr: float | None) -> None:
    if only_labels and not labels:
        raise UsageError("--only-labels needs --labels FILE: people's labels, from `goodvibe-bench judge label`.")
    if max_fpr is not None and not 0 <= max_fpr < 1:
        raise UsageError(f"--max-fpr {max_fpr} is no rate: give a number from 0 to 1, such as 0.1.")
    if data is not None and not data.exists():
        raise UsageError(f"--data {str(data)!r} does not exist.")


def _refuse_fewer(folder: Path, sources: Sequence[Source], only_labels: bool) -> None:
    """Raise UsageError where a language's calibration in the folder's card rests on sources that are not here."""
    card = cards.read_card(folder)
    here = {item.language for source in sources for item in source.items}
    given = [source.name for source in sources]
    lost = {
        name
        for language in (card.calibration if card else ())
        if card and language in here
        for name in provenance.missing(card, language, given, only_labels=only_labels)
    }
    if lost:
        raise UsageError(
            f"The calibration in {folder / 'card.json'} rests on more than is at hand: {', '.join(sorted(lost))}. Give "
            f"the data as well (--data for tasks, --labels for people's labels), or --fewer to replace it all the same."
        )


def _task_sources(
    definition: JudgeDefinition, data: Path | None, show: Show, tell: Callable[[str], None]
) -> list[Source]:
    """Return a source a task, from local data or else the hub; `tell` hears which are neither here nor there."""
    from goodvibe_bench.trainer.train import labelled  # loads torch: only when there are rows

    names = list(definition.fit.tasks if definition.fit else catalog.names("tasks"))
    found: list[Source] = []
    lost: set[str] = set()
    for done, name in enumerate(names):
        show("gather", done, len(names), name)
        source = catalog.read("tasks", name, TaskDefinition).content.source
        dataset = source.dataset if isinstance(source, HubSource) else ""
        try:
            if dataset in lost:
                raise UsageError(f"Data set {dataset!r} is not at hand either (--data).")
            task = load_task(name, data=data)
        except UsageError as error:
            if at_hand(name, data):
                raise
            lost.add(dataset)
            tell(f"{name}: left out. {error}")
            continue
        items = [*labelled(task.pairs["calibration"]), *task.cases]
        found.append(Source(name, items, [1.0] * len(items), task.digest))
    return found


def _label_sources(files: Sequence[Path], show: Show) -> list[Source]:
    """Return a source a file. Raises one UsageError for the faults of all of them."""
    label.read(files)
    return [_label_source(path, label.read([path], show.line)) for path in files]


def _label_source(path: Path, rows: Sequence[label.Row]) -> Source:
    items = [
        Labelled(id=row.id, code=row.code, language=row.language, label=row.label, family=row.family)
        for row in rows
        if row.label is not None
    ]
    total: dict[Language, list[float]] = {}
    for row in rows:
        total.setdefault(row.language, []).append(row.weight)
    weights = [row.weight * len(total[row.language]) / sum(total[row.language]) for row in rows]
    digest = catalog.digest([[row.digest, row.label, row.weight] for row in rows])
    return Source(f"{path.name} ({digest[:8]})", items, weights, digest)


def _scores(judge: Judge, sources: Sequence[Source], show: Show) -> list[list[float | None]]:
    """Return the judge's own p_unsafe, neither scaled nor compared with a threshold, for every item of every source."""
    raw = judge.raw if isinstance(judge, Calibrated) else judge
    found: list[list[float | None]] = []
    done, total = 0, sum(len(source.items) for source in sources)
    for source in sources:
        found.append([])
        codes = [Code(text=i.code, language=i.language, how_extracted="given", parses=True) for i in source.items]
        for start in range(0, len(codes), JUDGED_AT_ONCE):
            show("judge", done, total, source.name)
            found[-1] += [verdict.p_unsafe for verdict in raw.judge(codes[start : start + JUDGED_AT_ONCE])]
            done += len(codes[start : start + JUDGED_AT_ONCE])
    show("judge", done, total)
    return found


def _calibrations(
    sources: Sequence[Source],
    scored: Sequence[Sequence[float | None]],
    scaling: ScalingKind,
    max_fpr: float | None,
    seed: int,
    show: Show,
) -> dict[str, Calibration]:
    rows = [
        (item, weight, p)
        for source, scores in zip(sources, scored, strict=True)
        for item, weight, p in zip(source.items, source.weights, scores, strict=True)
    ]
    if silent := sum(p is None for _, _, p in rows):
        show.line(f"{silent} of {len(rows)} snippets got no probability from the judge and are left out")
    found: dict[str, Calibration] = {}
    for language in LANGUAGES:
        own = [(item, weight, p) for item, weight, p in rows if item.language == language and p is not None]
        at = partial(_calibration, language, own, scaling, seed)
        try:
            found[language] = at(max_fpr)
        except NoThreshold as error:
            raise UsageError(f"{language}: {error}. {_reachable(at, own, max_fpr)}") from error
        except ValueError as error:
            show.line(f"{language}: not calibrated on {len(own)} snippets, {error}; the card keeps what it said")
            continue
        if max_fpr is not None and found[language].tpr.value == 0:
            fault = f"{language}: at an FPR of at most {max_fpr} no unsafe code is called unsafe (TPR 0%)"
            raise UsageError(f"{fault}. {_reachable(at, own, max_fpr)}")
    if not found:
        raise UsageError("No language has labels enough: each label must be there in two families at least.")
    return found


def _calibration(
    language: Language, rows: Sequence[Scored], scaling: ScalingKind, seed: int, max_fpr: float | None
) -> Calibration:
    return crossfitted(
        language,
        [item.label for item, _, _ in rows],
        [p for _, _, p in rows],
        [item.family for item, _, _ in rows],
        scaling=scaling,
        max_fpr=max_fpr,
        weights=[weight for _, weight, _ in rows],
        seed=seed,
    )


def _reachable(at: Callable[[float], Calibration], rows: Sequence[Scored], max_fpr: float | None) -> str:
    """Return the least limit on the FPR, in whole per cent, that lets the judge call something unsafe, in words."""
    safe = [(p, weight) for item, weight, p in rows if item.label == 0]
    total = sum(weight for _, weight in safe)
    rates = {sum(weight for q, weight in safe if q >= p) / total for _, _, p in rows}
    for percent in sorted({ceil(100 * rate - 1e-9) for rate in rates}):
        if (max_fpr or 0) < percent / 100 < 1:
            with suppress(NoThreshold):
                found = at(percent / 100)
                if found.tpr.value > 0:
                    reached = f"TPR {100 * found.tpr.value:.0f}% at FPR {100 * found.fpr.value:.0f}%"
                    return f"The least limit that works is --max-fpr {percent / 100}, with {reached}."
    return "No other --max-fpr helps: choose a better judge."
