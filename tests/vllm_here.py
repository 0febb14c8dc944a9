"""What all tests on vLLM share: they skip where it is not installed, and use little of the machine."""

import os
from collections.abc import Iterator

import pytest

from goodvibe_bench.engine import process, settings

LITTLE = {"VLLM_CPU_KVCACHE_SPACE": "1", "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1"}


def need_vllm() -> None:
    """Skip the module without vLLM."""
    if settings.installed() is None:
        pytest.skip("vLLM is not installed (make vllm)", allow_module_level=True)


@pytest.fixture(scope="module", autouse=True)
def little() -> Iterator[None]:
    """Have engines take little, and end the last one."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in LITTLE.items():
            patch.setenv(name, value)
        yield
        process.stop()


def environment() -> dict[str, str]:
    """Return the environment of a vLLM that a test starts by itself, on a CPU as on a GPU."""
    return dict(os.environ) | LITTLE
