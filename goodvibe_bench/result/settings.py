"""What must be the same on both sides of a comparison, and which results of the two sides belong together.

It compares no outcome.
"""

from collections.abc import Sequence
from typing import Any

from goodvibe_bench.types import Result

_SETTINGS = ("dtype", "backend", "quality", "train_limit", "limit", "sampling")


def by_seed(before: Sequence[Result], after: Sequence[Result]) -> list[tuple[Result, Result]]:
    """Return the results that are compared with one another: of one seed, or a single one with all of the other side.

    A seed that only one side has is left out.
    """
    lone = 1 in (len(before), len(after))
    return [(old, new) for old in before for new in after if lone or old.seed == new.seed]


def unequal_settings(before: Result, after: Result) -> list[str]:
    """Return a line for every setting that differs, besides the method's own and the seed."""
    both = zip(settings(before).items(), settings(after).values(), strict=True)
    return [f"settings differ: {key} {old} and {new}" for (key, old), new in both if old != new]


def settings(one: Result) -> dict[str, Any]:
    """Return what must be the same on both sides of a comparison, None for what a result does not tell."""
    return {key: _without_seed(one.config.get(key)) for key in _SETTINGS}


def _without_seed(setting: Any) -> Any:
    return {key: value for key, value in setting.items() if key != "seed"} if isinstance(setting, dict) else setting
