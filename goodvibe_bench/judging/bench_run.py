"""Measure several judges and save each to its card as soon as it is done. It prints nothing and reads no data."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from goodvibe_bench.judging import bench, bench_card
from goodvibe_bench.judging.data import LabelledSet
from goodvibe_bench.judging.probes import ProbeReport
from goodvibe_bench.run import Show


@dataclass
class Measured:
    """What came of several judges; a judge that failed has what was measured of it before."""

    rows: dict[str, list[bench.Row]] = field(default_factory=dict[str, list[bench.Row]])
    probes: dict[str, ProbeReport] = field(default_factory=dict[str, ProbeReport])
    failed: list[Exception] = field(default_factory=list[Exception])


def measured(
    judges: Sequence[str],
    sets: Sequence[LabelledSet],
    show: Show,
    *,
    probed: Sequence[LabelledSet] | None = None,
    states: Mapping[str, str] | None = None,
    warn: Callable[[str], None],
) -> Measured:
    """Return each judge's rows on `sets`, and what probes of `probed` found (none where None).

    Where `states` are given, those of the judges' cards before (`bench_card.state`), every judge is saved to its card
    when it is measured, and again when it is probed. What a card loses, and a judge that failed, are told to `warn`;
    the other judges go on.
    """
    found = Measured()
    for name, rows in bench.each(judges, sets, show):
        try:
            if isinstance(rows, Exception):
                raise rows
            found.rows[name] = rows
            if states:
                if lost := bench_card.dropped(name, rows):
                    warn(lost)
                bench_card.save(name, rows, of=states[name])
            if probed is not None:
                found.probes[name] = bench.probe(name, probed, show)
            if states and name in found.probes:
                bench_card.save(name, rows, found.probes[name], states[name])
        except Exception as error:  # noqa: BLE001 - raised by whoever asked, when the others are told
            found.failed.append(error)
            warn(f"judge {name} failed: {error}")
    return found
