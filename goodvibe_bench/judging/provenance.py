"""What each language's calibration in a card rests on: sources, date, scaling. It reads cards and changes none."""

import re
from collections.abc import Collection
from typing import Any

from goodvibe_bench import catalog
from goodvibe_bench.errors import UsageError
from goodvibe_bench.judge.definition import Card
from goodvibe_bench.task.definition import TaskDefinition

LABEL_FILE = re.compile(r"(.*) \([0-9a-f]{8}\)")
"""A file of people's labels as a source: its name and the beginning of its digest."""


def block(card: Card, language: str) -> dict[str, Any]:
    """Return when, how and on which sources a language of the card was calibrated.

    A card without blocks per language has one for all languages that it names; the others were calibrated by the fit.
    """
    recipe = card.recipe
    if language in recipe.get("calibrated", {}):
        return recipe["calibrated"][language]
    newest = recipe.get("calibration")
    if newest is None or language not in newest.get("languages", [language]):
        newest = _by_fit(card, language)
    sources = {name: row for name, row in newest["sources"].items() if _language(name) in (None, language)}
    return {key: found for key, found in newest.items() if key != "languages"} | {"sources": sources}


def line(card: Card, language: str) -> str:
    """Return when, how and on what a language of the card was calibrated, in one line."""
    found = block(card, language)
    names = ", ".join(f"{name} ({row['snippets']})" for name, row in found["sources"].items()) or "it is not said what"
    return f"{language}: on {names}; scaling {found['scaling']}; {found['when'] or 'by the fit'}"


def missing(card: Card, language: str, given: Collection[str], *, only_labels: bool) -> list[str]:
    """Return the sources that a language's calibration rests on and that are not `given`; no tasks if `only_labels`.

    A file of labels is the same source also with other labels in it.
    """
    known = {_plain(name) for name in given}
    return [
        name
        for name in block(card, language)["sources"]
        if _plain(name) not in known and not (only_labels and _plain(name) == name)
    ]


def _plain(name: str) -> str:
    found = LABEL_FILE.fullmatch(name)
    return found[1] if found else name


def _by_fit(card: Card, language: str) -> dict[str, Any]:
    found = card.calibration.get(language)
    return {
        "when": None,
        "scaling": found.scaling.kind if found and found.scaling else "none",
        "max_fpr": found.max_fpr if found else None,
        "seed": card.recipe.get("seed"),
        "sources": {
            name: {"snippets": row["calibration"], "digest": row.get("digest")}
            for name, row in card.data.items()
            if row.get("calibration")
        },
    }


def _language(task: str) -> str | None:
    """Return the language of a task, or None for what is no task at hand."""
    try:
        return catalog.read("tasks", task, TaskDefinition).content.language
    except UsageError:
        return None
