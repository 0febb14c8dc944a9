"""The audit of the data: what every two parts share, and whether style alone tells the labels. It changes nothing."""

import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from goodvibe_bench import catalog
from goodvibe_bench.errors import UsageError
from goodvibe_bench.judge import JudgeDefinition
from goodvibe_bench.judge.definition import Fit
from goodvibe_bench.judge.linear import style_auc
from goodvibe_bench.judging import contrast
from goodvibe_bench.judging.data import file_pairs
from goodvibe_bench.run import Show
from goodvibe_bench.task import leaks
from goodvibe_bench.task.definition import Split
from goodvibe_bench.task.load import Rows, at_hand, load_rows
from goodvibe_bench.task.rows import data_folder
from goodvibe_bench.trainer.train import labelled
from goodvibe_bench.types import LANGUAGES, Pair

Table = list[dict[str, Any]]


def audit(data: Path | None, show: Show) -> tuple[Table, Table]:
    """Return two tables: what every two parts share, and how well n-grams alone tell each task's labels.

    It reads every row, damaged ones as well, of the tasks at hand, and what judges learn from besides.
    """
    bodies: list[leaks.Body] = []
    styles: Table = []
    names = [name for name in catalog.names("tasks") if at_hand(name, data)]
    for done, name in enumerate(names):
        show("read", done, len(names), name)
        language, rows = load_rows(name, data=data)
        bodies += leaks.bodies(name, language, rows)
        styles += _styles(name, rows)
    bodies += [*_file_bodies(data), *_contrast_bodies()]
    show("read", len(names), len(names), f"{sum(body.rows for body in bodies)} rows")
    crossings: Table = []
    for crossing in leaks.crossings(bodies, Split().twin_cosine):
        show("compare", len(crossings), leaks.comparisons(bodies), crossing.left)
        crossings.append(asdict(crossing) | {"closest": f"{math.floor(crossing.closest * 100) / 100:.2f}"})
    show("compare", len(crossings), len(crossings))
    return crossings, styles


def _styles(name: str, rows: Rows) -> Table:
    """Return one row for all pairs and, where some are flagged, one for those without flags."""
    clean = [pair for pair in rows.pairs if not pair.flags]
    kinds = {"all": rows.pairs} | ({"clean": clean} if len(clean) < len(rows.pairs) else {})
    groups = {pair.id: str(group) for pair, group in zip(rows.pairs, rows.groups, strict=True)}
    return [
        {"task": name, "rows": kind, "pairs": len(kept), "style_auc": f"{_style(kept, groups):.3f}"}
        for kind, kept in kinds.items()
    ]


def _style(pairs: Sequence[Pair], groups: dict[str, str]) -> float:
    found = [item.model_copy(update={"family": groups[pair.id]}) for pair in pairs for item in labelled([pair])]
    return style_auc(found)


def _recipes() -> list[tuple[Path, Fit]]:
    """Return the recipe of every judge that has one, with the folder of its definition."""
    read = [catalog.read("judges", name, JudgeDefinition) for name in catalog.names("judges")]
    return [(one.path.parent, one.content.fit) for one in read if one.content.fit]


def _contrast_bodies() -> list[leaks.Body]:
    """Return the contrast sets that any judge learns from, one body a file."""
    folders = {beside / recipe.contrast for beside, recipe in _recipes() if recipe.contrast}
    return [
        leaks.body(f"{folder.name}/{name}", "all", file.language, (), (), contrast.labelled(file))
        for folder in sorted(folders)
        for name, (file, _) in contrast.read(folder).items()
    ]


def _file_bodies(data: Path | None) -> list[leaks.Body]:
    """Return the files that any judge learns from, those at hand, one body a language."""
    files = sorted({file for _, recipe in _recipes() for file in recipe.files})
    try:
        folder = data_folder(data)
    except UsageError:
        return []
    found = []
    for file in files:
        if (folder / file).is_file():
            pairs = file_pairs(folder / file, 1.0)
            found += [leaks.body(file, "all", lang, [p for p in pairs if p.language == lang]) for lang in LANGUAGES]
    return found
