"""What makes a model quick on a CPU: its own dtype, plain attention, and memory that is kept for the next step.

It loads nothing, and on an accelerator it changes nothing.
"""

import ctypes
import gc
import platform
from functools import cache
from pathlib import Path
from typing import Any

import torch

from goodvibe_bench.model.attention import PLAIN

PLAIN_TOKENS = 1024
"""Longest sequence for which torch's fused attention in 16 bits is slower on a CPU than plain products.

One layer of SmolLM2's shape, forward and backward, 4 x 319, 4 x 512, 2 x 1024, 1 x 2048 tokens, in ms: fused 22, 50,
78, 165; transformers' eager products, which ours resemble, 11, 25, 54, 253.
"""
BF16 = ("amx_bf16", "avx512_bf16", "bf16")
"""Linux's names of instructions that multiply in bf16. Without one torch is slower in it than in float32: 7 to 9
against 49 to 52 GFLOP/s on a core with AVX2 alone, [32 or 512, 576] x [576, 1536]."""
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4
"""mallopt's names for its parameters (malloc.h)."""


def features(path: Path = Path("/proc/cpuinfo")) -> frozenset[str]:
    """Return the features that Linux names for the processor; none where there is no such file."""
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return frozenset()
    found = next((line for line in lines if line.lower().startswith(("flags", "features"))), "")
    return frozenset(found.partition(":")[2].split())


def quicken(model: Any, longest: int) -> None:
    """Choose the attention that is quicker for sequences of up to `longest` tokens, and keep freed memory.

    A model whose user or architecture chose its attention, one in float32 and one on an accelerator stay as they are.
    """
    if model.device.type != "cpu":
        return
    keep_freed_memory()
    if model.dtype in {torch.bfloat16, torch.float16} and model.config._attn_implementation in {"sdpa", PLAIN}:
        model.set_attn_implementation(PLAIN if longest <= PLAIN_TOKENS else "sdpa")


@cache
def keep_freed_memory() -> None:
    """Have glibc's malloc keep large blocks that were freed, since every step asks for the same sizes again.

    By default it hands them back to the kernel, which then clears every page anew: a third of a training step's time.
    The process keeps its peak of memory until `release_freed_memory`. Without glibc nothing happens.
    """
    if _has_glibc():
        mallopt = ctypes.CDLL(None).mallopt
        for name, value in ((_MMAP_MAX, 0), (_TRIM_THRESHOLD, 2**31 - 1), (_TOP_PAD, 64 * 2**20)):
            mallopt(name, value)


def release_freed_memory() -> None:
    """Hand kept memory back, so that the process's resident set is what is in use. Without glibc nothing happens."""
    if _has_glibc():
        gc.collect()
        ctypes.CDLL(None).malloc_trim(0)


def _has_glibc() -> bool:
    return platform.libc_ver()[0] == "glibc"
