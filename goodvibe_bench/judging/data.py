"""Labelled code for judges: what they learn from, and what they are measured on. It trains and judges nothing."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

import numpy as np

from goodvibe_bench import catalog
from goodvibe_bench.errors import UsageError, nearest
from goodvibe_bench.judge.definition import Fit, JudgeDefinition
from goodvibe_bench.judging import contrast
from goodvibe_bench.judging.mend import mended
from goodvibe_bench.run import Show
from goodvibe_bench.task import load as load_task
from goodvibe_bench.task.definition import HubSource, TaskDefinition
from goodvibe_bench.task.load import at_hand, load_rows
from goodvibe_bench.task.rows import data_folder, numbered_rows, read_json_lines
from goodvibe_bench.types import LANGUAGES, Labelled, Language, Pair

Use = Literal["calibration", "transfer"]

BUNDLED = "bundled-pairs"
"""The set of the pairs of all hand-written tasks."""
OURS = "Apache-2.0"
"""The licence of what was written for this project."""


def gather(
    recipe: Fit, beside: Path, data: Path | None, show: Show
) -> tuple[list[Labelled], list[Labelled], dict[str, Any]]:
    """Return snippets to learn from, snippets to calibrate on, and where they came from: counts, digests, licences.

    `beside` is the folder of the judge's definition, which contrast sets lie below.
    """
    learn: list[Labelled] = []
    calibration: list[Labelled] = []
    sources: dict[str, Any] = {}
    for done, name in enumerate(recipe.tasks):
        show("gather", done, len(recipe.tasks) + len(recipe.files), name)
        task = load_task(name, data=data)
        own = _mended(name, data) if recipe.mend else task.pairs["judge-train"]
        parts = _sides(own), [*_sides(task.pairs["calibration"]), *task.cases]
        learn += parts[0]
        calibration += parts[1]
        licence = catalog.read("tasks", name, TaskDefinition).content.license
        counts = {"learn": len(parts[0]), "calibration": len(parts[1])}
        sources[name] = counts | {"digest": task.digest, "license": licence}
    for name in recipe.files:
        path = data_folder(data) / name
        pairs = file_pairs(path, recipe.file_share)
        learn += _sides(pairs)
        licence = ", ".join(sorted({str(row.get("license") or "not said") for row in read_json_lines(path)}))
        counts = {"learn": 2 * len(pairs), "calibration": 0}
        sources[name] = counts | {"digest": catalog.digest(catalog.plain(pairs)), "license": licence}
    licence = OURS if recipe.contrast and _is_ours(beside / recipe.contrast) else "not said"
    for file, (sets, digest) in contrast.read(beside / recipe.contrast).items() if recipe.contrast else ():
        snippets = contrast.labelled(sets)
        learn += snippets
        counts = {"learn": len(snippets), "calibration": 0}
        sources[f"{recipe.contrast}/{file}"] = counts | {"digest": digest, "license": licence}
    return [item for item in learn if _hashed(item.family) < recipe.share], calibration, sources


def _is_ours(folder: Path) -> bool:
    """Return whether contrast sets lie where those of this project do."""
    return folder.resolve() == (catalog.root() / "judges" / "contrast.d").resolve()


def _mended(name: str, data: Path | None) -> list[Pair]:
    return list(mended(load_rows(name, data=data)[1].of("judge-train")))


def file_pairs(path: Path, share: float) -> list[Pair]:
    """Return the pairs of a JSON Lines file whose commit falls into the learning share, by a hash of the commit.

    The rest is for transfer tests; no commit is in both. Rows that another file repeats (`also_in`) are left out.
    """
    return [_pair(row, where) for where, row in _numbered(path) if _counts(row) and _learns(row, share)]


def _sides(pairs: Sequence[Pair]) -> list[Labelled]:
    from goodvibe_bench.trainer.train import labelled  # loads torch: only when there are rows

    return labelled(pairs)


def _learns(row: dict[str, Any], share: float) -> bool:
    commit = str(row.get("commit") or row.get("id"))
    return _hashed(commit) < share


def _hashed(name: str) -> float:
    """Return a number in [0, 1) that depends on the name alone."""
    return int(sha256(name.encode()).hexdigest()[:8], 16) / 2**32


def _counts(row: dict[str, Any]) -> bool:
    """Return whether a row is to be read: no repeat of another file, and of a language of ours, if it names any."""
    return not row.get("also_in") and row.get("language", LANGUAGES[0]) in LANGUAGES


def _pair(row: dict[str, Any], where: str) -> Pair:
    fields = {key: row[key] for key in ("id", "language", "secure", "insecure", "source") if key in row}
    return catalog.parse(fields | {"prompt": row.get("prompt") or ""}, Pair, where)


def _numbered(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the rows of a file, each with its file and line for messages."""
    yield from ((f"{path}, line {number}", row) for number, row in numbered_rows(path))


@dataclass(frozen=True)
class LabelledSet:
    """Labelled code that judges are measured on."""

    name: str
    use: Use
    """Thresholds are chosen on calibration sets; no judge has seen a transfer set."""
    rows: tuple[Labelled, ...]
    pairs: tuple[tuple[int, int], ...]
    """Places in `rows` of the secure and the insecure side of every minimal pair."""

    def only(self, places: Collection[int]) -> "LabelledSet":
        """Return the set of these rows, in their order, with the pairs that stay whole."""
        kept = {place: new for new, place in enumerate(sorted(places))}
        pairs = [(kept[a], kept[b]) for a, b in self.pairs if a in kept and b in kept]
        return replace(self, rows=tuple(self.rows[place] for place in kept), pairs=tuple(pairs))


def labelled_sets(
    data: Path | None,
    show: Show,
    judges: Sequence[str] = (),
    tasks: Sequence[str] | None = None,
    languages: Sequence[str] = LANGUAGES,
) -> list[LabelledSet]:
    """Return every labelled set at hand: of `tasks` (those of `languages` when None), and of files in the data folder.

    Tasks give their calibration parts: of a hub data set without and with damaged rows (-raw), of hand-written tasks
    pairs and single cases. A file gives what neither a judge of the project nor one of `judges` learns from. What is
    missing is left out with a line. Raises UsageError for malformed rows, with file and line, and when nothing is left.
    """
    found: dict[str, LabelledSet] = {}
    _refuse_unknown("language", languages, LANGUAGES)
    task_sets = _task_sets(_tasks_of(languages) if tasks is None else tasks, data, show)
    for name, one in [*((one.name, one) for one in task_sets), *_file_sets(data, show, judges)]:
        key = one.name if one.name not in found else name
        found[key] = replace(one, name=key)
    if not found:
        raise UsageError("There is no labelled code at hand: give --data FOLDER.")
    return list(found.values())


def refuse_unknown_sets(names: Sequence[str], data: Path | None, languages: Sequence[str] = LANGUAGES) -> None:
    """Raise UsageError for a name that no set of `labelled_sets` can have; no row is read for that."""
    _refuse_unknown("language", languages, LANGUAGES)
    groups = [_group(name, catalog.read("tasks", name, TaskDefinition).content) for name in _tasks_of(languages)]
    known = [*groups, *(f"{group}-raw" for group in groups if group != BUNDLED), "bundled-cases"]
    with suppress(UsageError):  # no folder of local data
        files = [name for _, name in _files(data_folder(data))]
        known += map(_short, files)
        names = [name for name in names if name not in files]  # of two files of one name the second has its path's
    _refuse_unknown("set", names, list(dict.fromkeys(known)))


def chosen(
    sets: Sequence[LabelledSet],
    names: Sequence[str] = (),
    languages: Sequence[str] = LANGUAGES,
    limit: int | None = None,
) -> list[LabelledSet]:
    """Return the sets of these names (all when none), of these languages, at most `limit` rows a set and language.

    The limit takes whole families, drawn by a fixed seed. Raises UsageError for unknown names and when nothing is left.
    """
    known = [one.name for one in sets]
    _refuse_unknown("set", names, known)
    _refuse_unknown("language", languages, LANGUAGES)
    if limit is not None and limit < 1:
        raise UsageError(f"--limit {limit}: give 1 or more.")
    kept = [
        one.only([place for language in LANGUAGES if language in languages for place in _some(one, language, limit)])
        for one in sets
        if not names or one.name in names
    ]
    if not any(one.rows for one in kept):
        raise UsageError(f"No labelled code in {', '.join(languages)} in {', '.join(names or known)}.")
    return [one for one in kept if one.rows]


def _refuse_unknown(kind: str, words: Sequence[str], valid: Sequence[str]) -> None:
    for word in words:
        if word not in valid:
            raise UsageError(f"Unknown {kind} {word!r}. {nearest(word, list(valid))}")


def _tasks_of(languages: Sequence[str]) -> list[str]:
    read = {name: catalog.read("tasks", name, TaskDefinition).content for name in catalog.names("tasks")}
    return [name for name, content in read.items() if content.language in languages]


def _group(name: str, content: TaskDefinition) -> str:
    """Return the name of the set that a task's pairs are in."""
    return name.removesuffix(f"-{content.language}") if isinstance(content.source, HubSource) else BUNDLED


def _some(one: LabelledSet, language: Language, limit: int | None) -> list[int]:
    """Return the places of the rows of one language, whole families until the limit is reached."""
    families: dict[str, list[int]] = defaultdict(list)
    for place, row in enumerate(one.rows):
        if row.language == language:
            families[row.family].append(place)
    order = list(families.values())
    if limit is None:
        return [place for places in order for place in places]
    taken: list[int] = []
    for place in np.random.default_rng(0).permutation(len(order)):
        places = order[place]
        if not taken or len(taken) + len(places) <= limit:
            taken += places
    return taken


def _task_sets(names: Sequence[str], data: Path | None, show: Show) -> list[LabelledSet]:
    pairs: dict[str, list[Pair]] = defaultdict(list)
    cases: list[Labelled] = []
    lost: set[str] = set()
    for done, name in enumerate(names):
        show("gather", done, len(names), name)
        content = catalog.read("tasks", name, TaskDefinition).content
        source = content.source.dataset if isinstance(content.source, HubSource) else ""
        if source in lost:
            continue
        try:
            _, rows = load_rows(name, data=data)
        except UsageError as error:
            if at_hand(name, data):
                raise
            lost.add(source)
            show.line(f"{source} is left out. {error}")
            continue
        group = _group(name, content)
        pairs[group] += [pair for pair in rows.of("calibration") if not pair.flags]
        if source:
            pairs[f"{group}-raw"] += rows.of("calibration")
        cases += rows.cases
    show("gather", len(names), len(names))
    found = [_of_pairs(name, "calibration", kept) for name, kept in pairs.items()]
    return [one for one in [*found, _of_rows("bundled-cases", "calibration", cases)] if one.rows]


def _of_pairs(name: str, use: Use, pairs: Sequence[Pair]) -> LabelledSet:
    return LabelledSet(name, use, tuple(_sides(pairs)), tuple((2 * i, 2 * i + 1) for i in range(len(pairs))))


def _of_rows(name: str, use: Use, rows: Sequence[Labelled]) -> LabelledSet:
    """Return a set of single snippets; a family of one secure and one insecure snippet is a minimal pair."""
    families: dict[str, list[int]] = defaultdict(list)
    for place, row in enumerate(rows):
        families[row.family].append(place)
    ordered = [sorted(places, key=lambda place: rows[place].label) for places in families.values()]
    pairs = [(p[0], p[1]) for p in ordered if [rows[place].label for place in p] == [0, 1]]
    return LabelledSet(name, use, tuple(rows), tuple(pairs))


def _file_sets(data: Path | None, show: Show, judges: Sequence[str]) -> Iterator[tuple[str, LabelledSet]]:
    """Yield the transfer sets in the data folder, each with its file's name."""
    try:
        folder = data_folder(data)
    except UsageError:
        show.line("Transfer sets are left out: no folder of local data is given (--data FOLDER).")
        return
    shares, trained = _learned_shares(folder, judges), {hub.dataset for hub in _hubs()}
    for path, name in _files(folder):
        one = _file_set(path, name, shares.get(path.resolve(), 0.0), trained, show)
        if one.rows:
            yield name, one
        else:
            show.line(f"{name} is left out: no labelled code that is no training data.")


def _hubs() -> list[HubSource]:
    sources = [catalog.read("tasks", name, TaskDefinition).content.source for name in catalog.names("tasks")]
    return [source for source in sources if isinstance(source, HubSource)]


def _files(folder: Path) -> Iterator[tuple[Path, str]]:
    """Yield the JSON Lines files of a data folder that are read as no task, each with its path below the folder."""
    hubs = _hubs()
    for path in sorted(folder.rglob("*.jsonl")):
        name = path.relative_to(folder).as_posix()
        if not any(Path(hub.local).parent in Path(name).parents[:-1] or hub.local == name for hub in hubs):
            yield path, name


def _short(name: str) -> str:
    """Return the name of the set in the file of this path below the data folder."""
    path = Path(name)
    return path.parent.name if path.stem == "pairs" and "/" in name else name.removesuffix(".jsonl")


def _learned_shares(folder: Path, judges: Sequence[str]) -> dict[Path, float]:
    """Return the largest share of every file that a judge may learn from."""
    shares: dict[Path, float] = {}
    for name in [*catalog.names("judges"), *judges]:
        recipe = catalog.read("judges", name, JudgeDefinition).content.fit
        for file in recipe.files if recipe else ():
            path = (folder / file).resolve()
            shares[path] = max(shares.get(path, 0.0), recipe.file_share if recipe else 0.0)
    return shares


def _file_set(path: Path, name: str, share: float, trained: set[str], show: Show) -> LabelledSet:
    """Return what a file holds besides `share` of its commits and rows from the data sets `trained`."""
    short = _short(name)
    rows = list(_numbered(path)) if path.stat().st_size else []
    first = set(rows[0][1]) if rows else set[str]()
    paired = {"secure", "insecure"} <= first
    if not (paired or {"code", "label"} <= first):
        return LabelledSet(short, "transfer", (), ())
    other = Counter(str(row.get("language")) for _, row in rows if row.get("language", "cpp") not in LANGUAGES)
    if other:
        show.line(f"{name}: {other.total()} rows in {', '.join(sorted(other))} are left out.")
    kept = [(where, row) for where, row in rows if _counts(row) and _source(row, where) not in trained]
    if paired:
        pairs = [_file_pair(row, where, name) for where, row in kept if not _learns(row, share)]
        return _of_pairs(short, "transfer", pairs)
    return _of_rows(short, "transfer", [_file_row(row, where, name) for where, row in kept])


def _source(row: dict[str, Any], where: str) -> str | None:
    source = row.get("source")
    if source is None or isinstance(source, str):
        return source
    raise UsageError(f"{where}: its source is {source!r}; give text, or leave it out.")


def _file_pair(row: dict[str, Any], where: str, name: str) -> Pair:
    made = {"id": str(row.get("id") or _made_id(where, name)), "source": str(row.get("source") or name)}
    found = _pair(row | made, where)
    return found.model_copy(update={"family": str(row.get("commit") or found.id)})


def _file_row(row: dict[str, Any], where: str, name: str) -> Labelled:
    made = str(row.get("id") or _made_id(where, name))
    fields = {key: row[key] for key in ("code", "language", "label") if key in row}
    return catalog.parse(fields | {"id": made, "family": str(row.get("family") or made)}, Labelled, where)


def _made_id(where: str, name: str) -> str:
    return f"{name}:{where.rpartition(' ')[2]}"
