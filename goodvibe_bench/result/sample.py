"""What names a sample in a result, and which samples are not independent. It knows no verdict."""

from collections.abc import Callable
from operator import itemgetter
from typing import Any

sample_key: Callable[[dict[str, Any]], tuple[str, str, int]] = itemgetter("task", "prompt_id", "attempt")
"""Returns what names a sample in its result."""


def family(row: dict[str, Any]) -> str:
    """Return what a sample shares with those that it is not independent of: task and family, else task and prompt."""
    return family_name(row["task"], row["prompt_id"], row.get("family"))


def family_name(task: str, prompt_id: str, name: str | None) -> str:
    """Return `family` from what it is made of."""
    return f"{task}/{name or prompt_id}"
