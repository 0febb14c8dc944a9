"""What a grid will take before it is run: FLOPs, memory, hours and cost, on a number of devices of one kind.

Times come from measured tokens a second where results of the same model and method are at hand, else from FLOPs and a
stated utilisation. It loads no weights and runs nothing.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from goodvibe_bench import plan
from goodvibe_bench.errors import UsageError
from goodvibe_bench.experiment.devices import Device
from goodvibe_bench.experiment.grid import Cell
from goodvibe_bench.experiment.measured import Rate, Rates
from goodvibe_bench.generating import AUTO
from goodvibe_bench.model import known_as
from goodvibe_bench.plan import Plan, Workload
from goodvibe_bench.request import Request
from goodvibe_bench.run import read_trainers
from goodvibe_bench.task import load as load_task
from goodvibe_bench.task.load import at_hand
from goodvibe_bench.types import Task

PAPER_PAIRS, PAPER_TOKENS = 424, 512
"""What a language's training is taken to be where its data is not at hand."""
ASSUMED_PROMPTS, PROMPT_TOKENS = 82, 128
LETTERS_PER_TOKEN = 3.0
USABLE_MEMORY = 0.9
"""Share of a device's memory that a training step may fill."""
READING = 0.2
"""Share of a device's bandwidth at which one step of generation reads the weights; a loop in Python does no better."""
FIXED_SECONDS = 60.0
"""Of every cell: loading weights, judging, writing."""


@dataclass(frozen=True)
class Amount:
    """What one cell trains on and generates."""

    work: Workload
    prompts: int
    assumed: bool
    """Whether the data was not at hand."""


@dataclass(frozen=True)
class Forecast:
    """One cell."""

    cell: Cell
    amount: Amount
    plan: Plan
    generation_flops: int
    """Upper bound: every answer at full length."""
    devices: int
    """That the memory of its training, or of its weights, needs together."""
    seconds: float | None
    """On that many devices; None where the device is not known."""
    measured: bool


@dataclass(frozen=True)
class Schedule:
    """All cells on a number of devices."""

    hours: float
    """From the first cell's start to the last one's end."""
    device_hours: float
    """That the devices work; the rest of devices x hours they wait."""
    too_big: tuple[Cell, ...]
    """Cells that need more devices than there are; they are in no figure."""


def forecast(cells: Sequence[Cell], device: Device | None, utilisation: float, rates: Rates) -> list[Forecast]:
    """Return a forecast for every cell. Raises UsageError for a model whose config nobody can be asked for."""
    found = []
    plans: dict[str, Plan] = {}
    tasks: dict[str, Task] = {}
    for cell in cells:
        amount = _amount(cell.request, tasks)
        planned = _plan(cell.request, amount.work, plans)
        if device is not None and planned.peak_memory_bytes > _usable(device):
            planned = _plan(cell.request, amount.work, plans, checkpointing=True)
        found.append(_forecast(cell, planned, amount, device, utilisation, rates))
    return found


def _amount(request: Request, known: dict[str, Task]) -> Amount:
    """Return what a request trains on and generates: counted where its data is at hand, else as the paper has it."""
    pairs = prompts = letters = 0
    assumed = False
    for name in request.tasks:
        if at_hand(name, request.data):
            if name not in known:
                known[name] = load_task(name, data=request.data, quality=request.quality)
            task = known[name]
            chosen = task.pairs["tuner-train"][: request.train_limit]
            pairs, prompts = pairs + len(chosen), prompts + len(task.prompts[: request.limit])
            letters += sum(len(pair.prompt) + len(pair.secure) for pair in chosen)
        else:
            assumed = True
            fewer = min(PAPER_PAIRS, request.train_limit or PAPER_PAIRS)
            pairs, prompts = pairs + fewer, prompts + min(ASSUMED_PROMPTS, request.limit or ASSUMED_PROMPTS)
            letters += round(fewer * PAPER_TOKENS * LETTERS_PER_TOKEN)
    tokens = max(16, round(letters / LETTERS_PER_TOKEN / pairs)) if pairs else PAPER_TOKENS
    (trainer,) = read_trainers(request.methods, request.overrides)
    training = trainer.content.training_for(known_as(request.model))
    words = {"pairs": max(1, pairs), "tokens_per_pair": tokens, "epochs": max(1, math.ceil(training.epochs))}
    dtype: Any = "bfloat16" if request.dtype == AUTO else request.dtype  # what an accelerator is quick in
    work = Workload(**words, micro_batch=training.micro_batch_size, dtype=dtype)
    return Amount(work, prompts * request.sampling.attempts, assumed)


def _plan(request: Request, work: Workload, known: dict[str, Plan], *, checkpointing: bool = False) -> Plan:
    """Return a method's plan, reckoned once for all cells that are alike but for task names and seed.

    With `checkpointing` a trainer that leaves it to the memory at hand has it, as a run would.
    """
    (trainer,) = read_trainers(request.methods, request.overrides)
    if checkpointing and trainer.content.training_for(known_as(request.model)).checkpointing == "auto":
        trainer = replace(trainer, content=trainer.content.with_overrides({"training.checkpointing": "true"}))
    key = f"{request.model} {trainer.digest} {trainer.content.training.checkpointing} {work.model_dump_json()}"
    if key not in known:
        (known[key],), _ = plan.plan(request.model, request.methods, work, trainers=[trainer])
    return known[key]


def _usable(device: Device) -> float:
    """Return the bytes of a device that a training step may fill."""
    return USABLE_MEMORY * device.memory_gb * 1e9


def _forecast(
    cell: Cell, planned: Plan, amount: Amount, device: Device | None, utilisation: float, rates: Rates
) -> Forecast:
    answer = cell.request.sampling.max_new_tokens
    generation = 2 * planned.total_parameters * amount.prompts * (PROMPT_TOKENS + answer)
    if device is None:
        return Forecast(cell, amount, planned, generation, 1, None, False)
    needed = max(1, math.ceil(planned.peak_memory_bytes / _usable(device)))
    seconds = _measured_seconds(amount, answer, planned, rates.of(cell.request, device))
    measured = seconds is not None
    if seconds is None:
        share = device.utilisation or utilisation
        spent = (planned.training_flops + planned.attribution_flops) / (device.tflops * 1e12 * share * needed)
        seconds = spent + _generation_seconds(cell.request, planned, amount.prompts, device, share)
    return Forecast(cell, amount, planned, generation, needed, seconds + FIXED_SECONDS, measured)


def _measured_seconds(amount: Amount, answer: int, planned: Plan, rate: Rate | None) -> float | None:
    """Return training, attribution and generation at measured rates; None where one of them is not measured."""
    if rate is None or rate.generated_per_second is None:
        return None
    training = 0.0
    if planned.training_flops:
        if rate.trained_per_second is None:
            return None
        tokens = amount.work.pairs * amount.work.tokens_per_pair * amount.work.epochs
        training = tokens / rate.trained_per_second + rate.attribution_seconds
    return training + amount.prompts * answer / rate.generated_per_second


def _generation_seconds(request: Request, planned: Plan, prompts: int, device: Device, utilisation: float) -> float:
    """Return how long answers at full length take: the longer of reading the weights once a step, and computing."""
    batch = min(request.sampling.batch_size, max(1, prompts))
    reading = 2 * planned.total_parameters / ((device.reading or READING) * device.bandwidth_gb_per_second * 1e9)
    computing = 2 * planned.total_parameters * batch / (utilisation * device.tflops * 1e12)
    steps = math.ceil(prompts / batch) * request.sampling.max_new_tokens
    return steps * max(reading, computing)


def schedule(forecasts: Sequence[Forecast], devices: int) -> Schedule:
    """Return how long the cells take on `devices`, the longest first, each as soon as enough devices are free.

    Raises UsageError where a cell's time is not known.
    """
    if any(one.seconds is None for one in forecasts):
        raise UsageError("The time of some cells is not known. Name a device: --gpu h100.")
    free = [0.0] * devices
    worked, too_big = 0.0, []
    for one in sorted(forecasts, key=lambda one: -(one.seconds or 0.0)):
        if one.devices > devices:
            too_big.append(one.cell)
            continue
        free.sort()
        end = free[one.devices - 1] + (one.seconds or 0.0)
        free[: one.devices] = [end] * one.devices
        worked += one.devices * (one.seconds or 0.0)
    return Schedule(max(free) / 3600, worked / 3600, tuple(too_big))
