"""The rows of the bundled tasks, read once for all tests of them."""

from functools import cache

from goodvibe_bench.task.load import Rows, load_rows
from goodvibe_bench.types import Labelled


@cache
def rows(name: str) -> Rows:
    return load_rows(name)[1]


def snippets(name: str) -> dict[str, str]:
    """Return every piece of code of a task by an id of its own."""
    found = {f"{pair.id}/{side}": getattr(pair, side) for pair in rows(name).pairs for side in ("secure", "insecure")}
    return found | {case.id: case.code for case in rows(name).cases}


def labels(cases: list[Labelled]) -> list[int]:
    return [case.label for case in cases]
