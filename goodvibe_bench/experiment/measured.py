"""Rates that results hold: tokens a second of training and of generating, by model and method. It measures nothing."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from goodvibe_bench.errors import UsageError
from goodvibe_bench.experiment.devices import Device
from goodvibe_bench.request import Request
from goodvibe_bench.result import store
from goodvibe_bench.run import read_trainers
from goodvibe_bench.types import Record, Result


@dataclass(frozen=True)
class Rate:
    """What one model and method took on one device."""

    trained_per_second: float | None
    """Real tokens; None where nothing was trained."""
    attribution_seconds: float
    generated_per_second: float | None
    """None where the texts of the samples are not at hand."""


@dataclass
class Rates:
    """Results by model, each with its file."""

    known: dict[str, list[tuple[Result, Path]]] = field(default_factory=dict)

    def of(self, request: Request, device: Device) -> Rate | None:
        """Return the newest measured rates of the request's model and method on the device, or None.

        Generating is as fast after every training, so its rate may be another method's.
        """
        (trainer,) = read_trainers(request.methods, request.overrides)
        there = [found for found in self.known.get(request.model, []) if _was_on(found[0], device)]
        there.sort(key=lambda found: found[0].date, reverse=True)
        own = [result for result, _ in there if result.method == trainer.name]
        if not there or (not own and trainer.content.tuner.kind != "none"):
            return None
        reports = own[0].training if own else ()
        seconds = sum(report.training_seconds for report in reports)
        generated = (_generated(path) for _, path in there)
        return Rate(
            trained_per_second=sum(report.tokens for report in reports) / seconds if seconds else None,
            attribution_seconds=sum(report.attribution_seconds for report in reports),
            generated_per_second=next((rate for rate in generated if rate is not None), None),
        )


def read(places: Sequence[Path]) -> Rates:
    """Return the rates of the results in these folders; a folder that is not there holds none."""
    rates = Rates()
    for path in sorted(path for place in places for path in place.glob("*.json")):
        try:
            result = store.read_result(path)
        except UsageError:
            continue
        rates.known.setdefault(result.model.id, []).append((result, path))
    return rates


def _was_on(result: Result, device: Device) -> bool:
    """Return whether the result was made on such a device; a bare model's result does not say where it was made."""
    names = [str(report.details.get("device", "")) for report in result.training]
    return bool(names) and all(device.known_by in name for name in names)


def _generated(path: Path) -> float | None:
    try:
        records = store.read_lines(path.parent / "records" / f"{path.stem}.jsonl", Record)
    except UsageError:
        return None
    seconds = sum(record.completion.seconds for record in records)
    return sum(record.completion.tokens for record in records) / seconds if seconds else None
