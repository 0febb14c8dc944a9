"""Hours and cost before a grid is run, and what they are reckoned from."""

import json
from pathlib import Path
from typing import Any

import pytest

from goodvibe_bench.errors import UsageError
from goodvibe_bench.experiment import devices, forecast, grid, measured, planned
from goodvibe_bench.experiment.devices import Device
from goodvibe_bench.experiment.forecast import Forecast, schedule
from goodvibe_bench.experiment.grid import Cell, Changes
from goodvibe_bench.generator.sampling import Sampling
from goodvibe_bench.plan import Plan
from goodvibe_bench.result import store
from goodvibe_bench.types import Result, TrainReport
from tests.conftest import Call
from tests.result.builders import outcomes, record, result

SHARED: dict[str, Any] = {"sampling": Sampling(max_new_tokens=100), "output": Path("o"), "scratch": Path("s")}
H100 = devices.find("h100")
PLAN = Plan("x", 1, 1, 1, 0, None, None, 1, 1, None)


@pytest.fixture(autouse=True)
def _no_data_at_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GOODVIBE_BENCH_DATA", raising=False)


def _cells(name: str, *models: str, **shared: Any) -> list[Cell]:
    return grid.make(name, Changes(models=models), SHARED | shared).cells()


def _forecasts(cells: list[Cell], device: Device = H100, rates: measured.Rates | None = None) -> list[Forecast]:
    return forecast.forecast(cells, device, 0.3, rates or measured.Rates())


def test_devices_have_a_source_and_a_price_and_an_unknown_one_is_refused() -> None:
    assert len(devices.known()) >= 5
    assert all(device.source for device in devices.known().values())
    with pytest.raises(UsageError, match="h100"):
        devices.find("h10")


def test_training_time_is_flops_at_the_stated_utilisation() -> None:
    (lora,) = [one for one in _forecasts(_cells("table3")) if one.plan.method == "lora"]
    training = lora.plan.training_flops / (0.3 * 989.4e12)
    writing = 6 * 100 * max(2 * 6_738_546_688 / (0.2 * 3350e9), 2 * 6_738_546_688 * 16 / (0.3 * 989.4e12))
    assert lora.seconds == pytest.approx(training + writing + 60)
    assert (lora.devices, lora.measured) == (1, False)


def test_full_fine_tuning_of_a_large_model_needs_several_devices_and_fewer_pairs_less_time() -> None:
    (large,) = [one for one in _forecasts(_cells("table2", "qwen3-14b")) if one.plan.method == "full"]
    assert large.devices == 5
    (few,) = [one for one in _forecasts(_cells("table2", "qwen3-14b", train_limit=8)) if one.plan.method == "full"]
    assert few.plan.training_flops < large.plan.training_flops / 50
    assert few.seconds is not None
    assert large.seconds is not None
    assert few.seconds < large.seconds


def test_cells_that_are_alike_but_for_the_language_are_reckoned_once_and_alike() -> None:
    cells = _cells("table1", "smollm2-135m")
    found = {one.cell.request.tasks: one for one in _forecasts(cells) if one.plan.method == "goodvibe"}
    assert found["cybernative-cpp",].plan is found["cybernative-java",].plan


def _report(tokens: int, seconds: float, device: str) -> TrainReport:
    words = dict.fromkeys(TrainReport.model_fields, 0) | {"flops": None, "details": {"device": device}}
    words |= {"tokens": tokens, "training_seconds": seconds, "attribution_seconds": 7.0}
    return TrainReport.model_validate(words)


def _written(folder: Path, device: str, seconds_each: float) -> Result:
    """Write a result of LoRA on Qwen3-8B with its records, 3 tokens a sample."""
    made = result(outcomes(secure=4), method="lora")
    made = made.model_copy(
        update={
            "model": made.model.model_copy(update={"id": "Qwen/Qwen3-8B"}),
            "training": (_report(2000, 10, device),),
        }
    )
    store.write_result(made, folder / "one.json")
    (folder / "records").mkdir()
    rows = [record(number, outcome) for number, outcome in enumerate([row["outcome"] for row in made.outcomes])]
    timed = [
        row.model_copy(update={"completion": row.completion.model_copy(update={"seconds": seconds_each})})
        for row in rows
    ]
    (folder / "records" / "one.jsonl").write_text("".join(row.model_dump_json() + "\n" for row in timed))
    return made


def test_measured_tokens_a_second_on_such_a_device_come_before_flops(tmp_path: Path) -> None:
    _written(tmp_path, "NVIDIA H100 80GB HBM3", 0.1)
    found = {one.plan.method: one for one in _forecasts(_cells("table2", "qwen3-8b"), rates=measured.read([tmp_path]))}
    assert {method: one.measured for method, one in found.items()} == {"goodvibe": False, "lora": True, "full": False}
    training, writing = 424 * 512 * 2 / 200, 82 * 100 / 30
    assert found["lora"].seconds == pytest.approx(training + 7 + writing + 60)
    other = _forecasts(_cells("table2", "qwen3-8b"), devices.find("l40s"), measured.read([tmp_path]))
    assert not any(one.measured for one in other)


def _of(seconds: float, count: int) -> Forecast:
    (cell,) = _cells("table3")[:1]
    return Forecast(cell, PLAN, 0, count, seconds, False)


def test_cells_share_the_devices_and_those_that_are_too_big_are_named() -> None:
    found = schedule([_of(3600, 1), _of(3600, 1), _of(7200, 1)], 2)
    assert (found.hours, found.device_hours, found.too_big) == (2, 4, ())
    wide = schedule([_of(3600, 2), _of(3600, 1), _of(3600, 5)], 2)
    assert (wide.hours, wide.device_hours, len(wide.too_big)) == (2, 3, 1)


def test_the_plan_of_table_1_tells_hours_and_cost_of_8_gpus_and_a_price_can_be_given(call: Call) -> None:
    words = ("experiment", "table1", "--plan", "--gpus", "8", "--gpu", "h100", "--model", "qwen3-8b,gemma-3-4b-it")
    code, out, _ = call(*words)
    said = " ".join(out.split())
    assert code == 0
    assert "table1: 16 cells" in out
    assert "at 3 a device and hour (an assumption; --price says yours)" in said
    assert "424 pairs of 512 tokens" in said
    _, priced, _ = call(*words, "--price", "10", "--json")
    found = json.loads(priced)
    assert len(found["cells"]) == 16
    assert any("at 10 a device and hour (as given)" in note for note in found["notes"])


def test_a_time_reads_as_people_say_it() -> None:
    assert [planned.length(seconds) for seconds in (42, 600, 7200)] == ["42 s", "10 min", "2.0 h"]
