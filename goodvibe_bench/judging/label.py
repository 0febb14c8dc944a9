"""Samples of a run for people to label, and their labels read back. It judges nothing and calibrates nothing.

Sampling is stratified, so that what the judge calls secure and what it calls insecure are both well filled; each row's
weight undoes that. A row tells neither the judge's verdict nor the method, and strata are numbered in a random order;
but rows of one stratum share a verdict, so whoever labels should read prompt and code alone.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field, ValidationError, field_validator

from goodvibe_bench import catalog
from goodvibe_bench.errors import UsageError
from goodvibe_bench.result import store
from goodvibe_bench.task.rows import numbered_rows, read_json_lines
from goodvibe_bench.types import LANGUAGES, Language, Noun, Outcome, Record

ROWS_FOR_TWO_BANDS = 4
"""From so many rows on, those of one verdict are drawn in two halves by p_unsafe, so that both are filled."""


class Row(Noun):
    """One sample to be labelled; `label` (and `why`) are for people, all else is under the digest."""

    id: str
    language: Language
    prompt: str
    code: str
    label: Literal[0, 1] | None = None
    """1 = unsafe, 0 = secure, null = not labelled."""
    why: str | None = None
    family: str
    stratum: str
    weight: float = Field(gt=0)
    """Inverse of the probability of being drawn."""
    judge: str
    digest: str = ""

    @field_validator("label", mode="before")
    @classmethod
    def _whole(cls, value: Any) -> Any:
        if isinstance(value, bool | float):
            raise ValueError("Input should be 0 or 1 or null")
        return value

    def content_digest(self) -> str:
        """Return the digest of all but label and reason."""
        return catalog.digest(self.model_dump(mode="json", exclude={"label", "why", "digest"}))


def sample(source: Path, count: int, output: Path, seed: int = 0) -> list[Row]:
    """Write `count` usable, judged samples of a result (or of a records file) to `output`, unlabelled; return them.

    All of them where there are no more. Raises UsageError for records that are not there, an `output` with labels,
    and a count below the number of strata.
    """
    _refuse_labels(output)
    records = [record for record in _records(source) if record.verdict.outcome in (Outcome.SECURE, Outcome.INSECURE)]
    if not records:
        raise UsageError(f"{source} has no usable and judged sample: there is nothing to label.")
    dice = np.random.default_rng(seed)
    strata = _strata(records, count)
    number = dice.permutation(len(strata)).tolist()
    rows = []
    for place, (members, wanted) in enumerate(strata):
        name = f"{members[0].prompt.language}-{number[place]}"
        drawn = dice.choice(len(members), size=wanted, replace=False).tolist()
        rows += [_row(members[one], source.stem, name, len(members) / wanted) for one in drawn]
    mixed = [rows[place] for place in dice.permutation(len(rows))]
    mixed.sort(key=lambda row: LANGUAGES.index(row.language))
    store.writable(output.parent)
    store.write_text(output, "".join(row.model_dump_json() + "\n" for row in mixed))
    return mixed


def drawn_rows(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Return what `judge label` prints: per language how many were drawn, and of how many."""
    drawn: dict[Language, list[float]] = defaultdict(list)
    for row in rows:
        drawn[row.language].append(row.weight)
    return [{"language": one, "samples": len(own), "of": round(sum(own))} for one, own in drawn.items()]


def read(files: Sequence[Path], line: Callable[[str], None] = lambda text: None) -> list[Row]:
    """Return the labelled rows of label files, weights mended for rows that were left without a label.

    A stratum's rows without a label are stood for by its labelled ones; `line` is told how many were skipped, and
    which strata have no label at all. Raises one UsageError with every fault of every file: no label file's row, a
    label that is not 0, 1 or null, a changed row, an id twice.
    """
    faults: list[str] = []
    seen: dict[str, str] = {}
    found: list[Row] = []
    for path in files:
        rows = _checked_rows(path, seen, faults)
        labelled = Counter(row.stratum for row in rows if row.label is not None)
        drawn = Counter(row.stratum for row in rows)
        if skipped := len(rows) - labelled.total():
            line(f"{path.name}: {skipped} of {len(rows)} rows have no label and are skipped")
        if lost := sorted(set(drawn) - set(labelled)):
            line(f"{path.name}: no label at all in {', '.join(lost)}, so the figures do not cover these strata")
        found += [
            row.model_copy(update={"weight": row.weight * drawn[row.stratum] / labelled[row.stratum]})
            for row in rows
            if row.label is not None
        ]
    if faults:
        raise UsageError("\n  ".join([f"Labels: {len(faults)} fault(s)", *faults]))
    return found


def _checked_rows(path: Path, seen: dict[str, str], faults: list[str]) -> list[Row]:
    """Return the good rows of one file; add what is wrong with the others to `faults`, and all ids to `seen`."""
    rows = []
    for number, words in numbered_rows(path):
        where = f"{path}, line {number}"
        try:
            row = Row.model_validate(words)
        except ValidationError as error:
            faults += [
                f"{where}: {'.'.join(map(str, fault['loc'][:1]))}: {fault['msg']}"
                for fault in error.errors(include_url=False)
            ]
            continue
        if row.digest != row.content_digest():
            faults.append(f"{where}: {row.id} was changed; only label and why may be. Write it anew: `judge label`.")
        if row.id in seen:
            faults.append(f"{where}: {row.id} is also at {seen[row.id]}. Leave one of them out.")
        seen.setdefault(row.id, where)
        rows.append(row)
    return rows


def _records(source: Path) -> list[Record]:
    path = source if source.suffix == ".jsonl" else source.parent / "records" / f"{source.stem}.jsonl"
    if not path.is_file():
        way = "Give that file, or the result of a run whose records are at hand."
        raise UsageError(f"{source}: its texts are not at {str(path)!r}. {way}")
    return store.read_lines(path, Record)


def _strata(records: Sequence[Record], count: int) -> list[tuple[list[Record], int]]:
    """Return strata with how many to draw from each: even over languages, then verdicts, then halves by p_unsafe."""
    cells: dict[Language, dict[Outcome, list[Record]]] = defaultdict(lambda: defaultdict(list))
    for record in records:
        cells[record.prompt.language][record.verdict.outcome].append(record)
    least = sum(len(by_verdict) for by_verdict in cells.values())
    if count < least:
        raise UsageError(f"--count {count} leaves some language or verdict without a sample. Give at least {least}.")
    found: list[tuple[list[Record], int]] = []
    languages = sorted(cells)
    rooms = [sum(map(len, cells[language].values())) for language in languages]
    for language, share in zip(languages, shares(count, rooms, [len(cells[one]) for one in languages]), strict=True):
        members = [cells[language][outcome] for outcome in sorted(cells[language])]
        for cell, wanted in zip(members, shares(share, [len(cell) for cell in members]), strict=True):
            cell.sort(key=lambda record: record.verdict.p_unsafe or 0.0)
            half = len(cell) // 2
            bands = [cell[:half], cell[half:]] if wanted >= ROWS_FOR_TWO_BANDS else [cell]
            found += zip(bands, shares(wanted, [len(band) for band in bands]), strict=True)
    return found


def shares(total: int, rooms: Sequence[int], least: Sequence[int] | None = None) -> list[int]:
    """Return how many of `total` go to each, as evenly as `rooms` allow; `least` (or 1) to each first."""
    given = [min(room, floor) for room, floor in zip(rooms, least or [1] * len(rooms), strict=True)]
    for _ in range(min(total, sum(rooms)) - sum(given)):
        open_ones = [place for place, room in enumerate(rooms) if given[place] < room]
        given[min(open_ones, key=lambda place: given[place])] += 1
    return given


def _row(record: Record, stem: str, stratum: str, weight: float) -> Row:
    asked = f"{record.prompt.id}/{record.completion.attempt}"
    row = Row(
        id=f"{asked}/{catalog.digest([stem, record.task, asked])[:8]}",
        language=record.prompt.language,
        prompt=record.prompt.text,
        code=record.code.text,
        family=record.prompt.family or record.prompt.id,
        stratum=stratum,
        weight=weight,
        judge=record.verdict.judge,
    )
    return row.model_copy(update={"digest": row.content_digest()})


def _refuse_labels(output: Path) -> None:
    """Raise UsageError where `output` has labels, or is no label file at all."""
    if not output.exists():
        return
    try:
        labels = [Row.model_validate(words).label for words in read_json_lines(output)]
    except (UsageError, ValidationError) as error:
        raise UsageError(f"{str(output)!r} is there and is no label file. Give another file: --output.") from error
    if done := sum(label is not None for label in labels):
        raise UsageError(f"{str(output)!r} has {done} label(s), which would be lost. Give another file: --output.")
