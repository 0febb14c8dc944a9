"""Batches that are halved where memory does not hold them, so that a run goes on. It chooses no first size."""

import logging
from collections.abc import Callable, Sequence
from typing import TypeVar

from accelerate.utils.memory import clear_device_cache, should_reduce_batch_size

from goodvibe_bench.errors import UsageError

T = TypeVar("T")
R = TypeVar("R")


class Halving:
    """The largest batch that fits, as far as is known; it starts without a limit."""

    def __init__(self, what: str) -> None:
        """`what` says in the log and in errors what the batches are for, such as "generation"."""
        self.what = what
        self.limit: int | None = None

    def run(self, rows: Sequence[T], work: Callable[[Sequence[T]], list[R]]) -> list[R]:
        """Return what `work` makes of all rows, in order, on as many at once as fit.

        It is called with parts of `rows`; what a part that did not fit had done is done again. Raises UsageError when
        a single row does not fit.
        """
        found: list[R] = []
        while len(found) < len(rows):
            part = rows[len(found) : len(found) + (self.limit or len(rows))]
            try:
                done = work(part)
            except RuntimeError as error:
                if not should_reduce_batch_size(error):
                    raise
                done = None
            if done is None:  # outside of except: the error holds the tensors that did not fit
                self.shrink(len(part))
            else:
                found += done
        return found

    def shrink(self, size: int) -> None:
        """Let no batch be larger than half of `size`, which did not fit. Raises UsageError for a size of 1."""
        if size == 1:
            raise UsageError(
                f"Out of memory in {self.what}, with one row at a time. Use shorter rows (--max_new_tokens, "
                "--set training.max_length), a 16-bit --dtype, a smaller model, or a device with more memory."
            )
        if self.limit is None:
            logging.getLogger("goodvibe_bench").warning(
                "%s ran out of memory with %d rows at once; it goes on in halves", self.what, size
            )
        self.limit = size // 2
        clear_device_cache(garbage_collection=True)
