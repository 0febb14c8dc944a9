"""In which order rows are trained: in micro-batches of like length, the same on any number of processes.

It trains nothing and knows no objective.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from torch.utils.data import Dataset, Sampler

FILLER = "filler"
"""Key of a row that only fills a batch."""
BLUR = 0.1
"""Lengths within this share of one another may swap places, so that epochs do not see the same batches."""


class ByLength(Sampler[int]):
    """Rows in micro-batches of like length, so that little is padded; both orders are drawn anew each epoch.

    The order hangs on seed and epoch alone, so that a training that goes on after a kill sees the same batches. An
    epoch is filled up to a multiple of `fill` rows with the number that comes after the last row's.
    """

    def __init__(self, lengths: Sequence[int], batch_size: int, seed: int, fill: int = 1) -> None:
        self.lengths = np.asarray(lengths, dtype=float)
        self.batch_size = batch_size
        self.seed = seed
        self.fill = fill
        self.epoch = 0

    def __len__(self) -> int:
        return math.ceil(len(self.lengths) / self.fill) * self.fill

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        dice = np.random.default_rng([self.seed, self.epoch])
        count = len(self.lengths)
        rows = np.argsort(self.lengths * dice.uniform(1 - BLUR, 1 + BLUR, count), kind="stable")
        whole = len(rows) // self.batch_size * self.batch_size
        batches = dice.permutation(rows[:whole].reshape(-1, self.batch_size))
        yield from (int(row) for row in [*batches.reshape(-1), *rows[whole:]])
        yield from [count] * (len(self) - count)


class Rows(Dataset[dict[str, Any]]):
    """Examples as the data set that Trainer wants, and after the last one what fills a process' batch."""

    def __init__(self, rows: list[dict[str, Any]]) -> None:
        self.rows = rows
        self.filler = min(rows, key=lambda row: len(row["input_ids"])) | {FILLER: True}

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, place: int) -> dict[str, Any]:
        return self.rows[place] if place < len(self.rows) else self.filler
