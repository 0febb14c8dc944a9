"""The processes of one training, as `accelerate launch` starts them: who is first, and where they wait. No torch."""

import os
from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeVar, cast

from goodvibe_bench.errors import UsageError

Made = TypeVar("Made")

_PATIENCE = timedelta(days=1)
"""How long processes wait for one another: the first may wait for a run that has the lock. One that dies ends all."""


def count() -> int:
    """Return how many processes train together; 1 without a launcher."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def rank() -> int:
    """Return which of them this process is, from 0."""
    return int(os.environ.get("RANK", "0")) if count() > 1 else 0


def is_first() -> bool:
    """Return whether this is the process that locks, writes and reports."""
    return rank() == 0


def agree(yes: bool) -> bool:
    """Return whether every process says yes; every process must call it."""
    if count() == 1:
        return yes
    from accelerate.utils import gather_object

    _state()
    return all(gather_object([yes]))


def from_first(make: Callable[[], Made]) -> Made:
    """Return what `make` returns in the first process, which alone calls it; every process must call this.

    A UsageError of `make` is raised in all of them.
    """
    if count() == 1:
        return make()
    from accelerate.utils import broadcast_object_list

    _state()
    made: list[Any] = [None]
    if is_first():
        try:
            made = [make()]
        except UsageError as error:
            made = [error]
    broadcast_object_list(made)
    if isinstance(made[0], UsageError):
        raise made[0]
    return cast(Made, made[0])


def meet() -> None:
    """Wait until every process is here."""
    if count() > 1:
        _state().wait_for_everyone()


def _state() -> Any:
    """Return accelerate's view of the processes; on CPUs it joins them only when told that they compute there."""
    from accelerate import PartialState

    from goodvibe_bench.model.load import best_device

    return PartialState(cpu=best_device().type == "cpu", timeout=_PATIENCE)
