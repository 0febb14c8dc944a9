"""The processes of one training, as `accelerate launch` starts them: who is first, and where they wait. No torch."""

import os


def count() -> int:
    """Return how many processes train together; 1 without a launcher."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_first() -> bool:
    """Return whether this is the process that locks, writes and reports."""
    return int(os.environ.get("RANK", "0")) == 0


def meet() -> None:
    """Wait until every process is here."""
    if count() > 1:
        from accelerate import PartialState

        PartialState().wait_for_everyone()
