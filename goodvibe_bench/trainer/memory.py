"""Memory of a training: its peak, what is free, and whether gradient checkpointing is needed. It frees nothing."""

import platform
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch

from goodvibe_bench.model.cpu import release_freed_memory
from goodvibe_bench.trainer import cost, meta_step
from goodvibe_bench.tuner.spec import FullSpec, GoodVibeSpec, LoraSpec

ROOM = 0.8
"""Share of the free memory that an estimated step may fill before checkpointing is switched on."""


def needs_checkpointing(
    config: Any, spec: FullSpec | LoraSpec | GoodVibeSpec, batch: cost.Batch, dtype: torch.dtype, device: torch.device
) -> bool:
    """Return whether a step on `batch` would not fit into the free memory without checkpointing, by estimate.

    The estimate takes attention as eager, so it is on the safe side. The weights are taken to be loaded.
    """
    estimate = meta_step.peak_memory(config, spec, batch, dtype)
    return estimate.total - estimate.weights > ROOM * free_memory(device)


def device_name(device: torch.device) -> str:
    """Return what a device is called: its maker's name, or "cpu" with its kind and the threads in use."""
    if device.type == "cuda":
        return str(torch.cuda.get_device_name(device))
    return f"{device.type}, {platform.machine()}, {torch.get_num_threads()} threads"


def free_memory(device: torch.device) -> int:
    """Return the bytes that are free on the device; on a CPU those that Linux says are available."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    available = _field(Path("/proc/meminfo"), "MemAvailable")
    return available if available is not None else 2**63


@contextmanager
def peak_memory(device: torch.device) -> Iterator[Callable[[], int]]:
    """Yield a function that returns the peak of memory in bytes above the level at the start.

    On a CUDA device that is the allocator's, elsewhere the process's resident set (Linux resets its peak), from which
    memory that was freed before is taken out.
    """
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        start = torch.cuda.memory_allocated(device)
        yield lambda: int(torch.cuda.max_memory_allocated(device) - start)
        return
    release_freed_memory()
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    start = _resident("VmRSS")
    yield lambda: max(0, _resident("VmHWM") - start)


def _resident(field: str) -> int:
    found = _field(Path("/proc/self/status"), field)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 if found is None else found


def _field(path: Path, name: str) -> int | None:
    """Return a field of a /proc file in bytes, or None where there is no such file."""
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(name)), None)
