"""What `experiment NAME --plan` prints: a row a cell, and hours and cost of them all. It reckons nothing of a cell."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from goodvibe_bench.experiment import forecast
from goodvibe_bench.experiment.devices import Device
from goodvibe_bench.experiment.forecast import Forecast, schedule
from goodvibe_bench.experiment.grid import Grid


@dataclass(frozen=True)
class Settings:
    """What hours and cost are of."""

    device: Device | None
    devices: int
    price: float | None
    """Dollars a device and hour; the device's own where None."""
    utilisation: float


def rows(grid: Grid, forecasts: Sequence[Forecast], done: Collection[str]) -> list[dict[str, str]]:
    """Return one row of text a cell: trained millions, 10^15 FLOPs, memory, devices, time, and whether it is `done`."""
    all_rows = [
        {
            "model": one.cell.request.model.rpartition("/")[2],
            "method": one.plan.method,
            "tasks": ",".join(one.cell.request.tasks),
            "seed": str(one.cell.request.seed),
            "trained_M": _millions(one.plan.trainable_parameters),
            "train_PF": f"{(one.plan.training_flops + one.plan.attribution_flops) / 1e15:.3g}",
            "write_PF": f"{one.generation_flops / 1e15:.3g}",
            "memory_GB": f"{one.plan.peak_memory_bytes / 1e9:.3g}",
            "devices": str(one.devices),
            "time": "?" if one.seconds is None else length(one.seconds) + (" m" if one.measured else ""),
            "done": "yes" if one.cell.key in done else "",
        }
        for one in forecasts
    ]
    idle = {"done"} if not done else set()
    idle |= {"seed"} if len(grid.seeds) == 1 else set()
    return [{key: word for key, word in row.items() if key not in idle} for row in all_rows]


def _millions(count: int) -> str:
    return f"{count / 1e6:.4g}" if count < 1e9 else f"{count / 1e6:.0f}"


def length(seconds: float) -> str:
    """Return a time as people say it."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def notes(forecasts: Sequence[Forecast], settings: Settings, done: Collection[str]) -> list[str]:
    """Return hours and cost of what is not `done` yet, and all that they assume."""
    left = [one for one in forecasts if one.cell.key not in done]
    found = [f"{len(done)} of {len(forecasts)} cells are done; the figures below are of the others."] if done else []
    device = settings.device
    if device is None:
        return [*found, "This machine's device is not in devices.toml: name one with --gpu for times and cost."]
    if left:
        found += _hours(left, settings, device)
    found += _assumptions(forecasts, settings, device)
    return found


def _hours(left: Sequence[Forecast], settings: Settings, device: Device) -> list[str]:
    whole = schedule(left, settings.devices)
    price = device.dollars_per_hour if settings.price is None else settings.price
    cost = settings.devices * whole.hours * price
    whose = "as given" if settings.price is not None else "an assumption; --price says yours"
    words = (
        f"{settings.devices} x {device.name}: {length(3600 * whole.hours)} from start to end, "
        f"{length(3600 * whole.device_hours)} of devices at work"
    )
    money = (
        f"; {cost:,.2f} dollars for all from start to end, at {price:g} a device and hour ({whose})" if price else ""
    )
    found = [words + money + "."]
    if whole.too_big:
        names = ", ".join(dict.fromkeys(f"{cell.request.model} {cell.request.methods[0]}" for cell in whole.too_big))
        found.append(f"Not in these figures, since they need more than {settings.devices} devices: {names}.")
    return found


def _assumptions(forecasts: Sequence[Forecast], settings: Settings, device: Device) -> list[str]:
    measured = sum(one.measured for one in forecasts)
    share, reading = device.utilisation or settings.utilisation, device.reading or forecast.READING
    found = []
    if measured:
        found.append(f"Times marked m ({measured} cells) are from measured tokens a second of this model and method.")
    if measured < len(forecasts):
        found.append(
            f"Times are from FLOPs at {share:g} of {device.tflops:g} TFLOP/s, and for writing answers from reading the "
            f"weights once a step at {reading:g} of {device.bandwidth_gb_per_second:g} GB/s, every answer at full "
            f"length; {forecast.FIXED_SECONDS:.0f} s a cell for loading and judging. {device.source}."
        )
    if any(one.devices > 1 for one in forecasts):
        found.append(
            f"Devices: as many as hold a training step's memory, filled to {forecast.USABLE_MEMORY:.0%}, with gradient "
            "checkpointing where one would not do, and as fast as their sum. What one cell can do on several today, "
            "docs/cluster.md says."
        )
    if any(one.amount.assumed for one in forecasts):
        found.append(
            f"Of tasks whose data is not at hand: {forecast.PAPER_PAIRS} pairs of {forecast.PAPER_TOKENS} tokens, as "
            f"the paper has them, and {forecast.ASSUMED_PROMPTS} prompts."
        )
    return found
