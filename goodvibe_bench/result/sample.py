"""What names a sample in a result, and which samples are not independent. It knows no verdict."""

from typing import Any


def sample_key(row: dict[str, Any]) -> tuple[str, str, int]:
    """Return what names a sample in its result: task, prompt and attempt."""
    return row["task"], row["prompt_id"], row["attempt"]


def family(row: dict[str, Any]) -> str:
    """Return what a sample shares with those that it is not independent of: task and family, else task and prompt."""
    return f"{row['task']}/{row.get('family') or row['prompt_id']}"
