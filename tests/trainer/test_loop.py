from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from goodvibe_bench.objective.training import Training
from goodvibe_bench.trainer.loop import _arguments
from goodvibe_bench.trainer.order import ByLength

LENGTHS = st.lists(st.integers(1, 1000), min_size=1, max_size=60)


def _batches(sampler: ByLength) -> list[list[int]]:
    rows = list(sampler)
    return [rows[start : start + sampler.batch_size] for start in range(0, len(rows), sampler.batch_size)]


@given(LENGTHS, st.integers(1, 8), st.integers(0, 3))
def test_every_row_comes_once_an_epoch(lengths: list[int], batch_size: int, epoch: int):
    sampler = ByLength(lengths, batch_size, 0)
    sampler.set_epoch(epoch)
    assert sorted(sampler) == list(range(len(lengths)))
    assert len(sampler) == len(lengths)


@given(LENGTHS, st.integers(1, 8), st.integers(2, 12))
def test_an_epoch_is_filled_after_its_last_row(lengths: list[int], batch_size: int, fill: int):
    sampler = ByLength(lengths, batch_size, 0, fill)
    places, count = list(sampler), len(lengths)
    assert len(places) == len(sampler)
    assert len(sampler) % fill == 0
    assert places[:count] == list(ByLength(lengths, batch_size, 0)), "whatever is filled, the order is the same"
    assert places[count:] == [count] * (len(sampler) - count)
    assert len(sampler) - count < fill


def test_the_order_hangs_on_seed_and_epoch_alone():
    lengths = list(np.random.default_rng(0).integers(1, 500, 40))
    first = list(ByLength(lengths, 4, 0))
    assert first == list(ByLength(lengths, 4, 0))
    assert first != list(ByLength(lengths, 4, 1))
    later = ByLength(lengths, 4, 0)
    later.set_epoch(1)
    assert first != list(later)


def test_batches_hold_rows_of_like_length():
    lengths = list(np.random.default_rng(0).integers(1, 500, 400))
    padded = sum(len(batch) * max(lengths[row] for row in batch) for batch in _batches(ByLength(lengths, 4, 0)))
    assert padded < 1.1 * sum(lengths)


def test_the_same_rows_do_not_always_meet():
    lengths = [100] * 64
    first = {frozenset(batch) for batch in _batches(ByLength(lengths, 4, 0))}
    later = ByLength(lengths, 4, 0)
    later.set_epoch(1)
    assert not first & {frozenset(batch) for batch in _batches(later)}


def test_several_devices_without_a_launcher_are_one_device(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    model = SimpleNamespace(parameters=lambda: iter([torch.zeros(1)]), device=torch.device("cuda"))
    assert _arguments(model, Training(batch_size=8, micro_batch_size=4), 0, tmp_path, None).n_gpu == 1
