import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from goodvibe_bench.model import cpu
from goodvibe_bench.model.attention import PLAIN
from tests.tiny import tiny_model


@pytest.fixture(params=["llama", "qwen3"])
def model(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    return tiny_model(tmp_path, kind=request.param, dtype="bfloat16").model


def test_short_sequences_in_16_bits_get_plain_attention_and_long_ones_fused(model: Any):
    assert model.config._attn_implementation == "sdpa"
    cpu.quicken(model, cpu.PLAIN_TOKENS)
    assert model.config._attn_implementation == PLAIN
    cpu.quicken(model, cpu.PLAIN_TOKENS + 1)
    assert model.config._attn_implementation == "sdpa"


def test_float32_keeps_its_attention(tmp_path: Path):
    model: Any = tiny_model(tmp_path).model
    cpu.quicken(model, 8)
    assert model.config._attn_implementation == "sdpa"


def test_both_attentions_give_the_same_logits_with_padding(model: Any):
    ids = torch.tensor([[5, 6, 7, 8, 9, 10], [0, 0, 0, 5, 6, 7]])
    words = {"input_ids": ids, "attention_mask": torch.tensor([[1] * 6, [0, 0, 0, 1, 1, 1]])}
    with torch.no_grad():
        fused = model(**words).logits[:, -3:]
        cpu.quicken(model, 6)
        plain = model(**words).logits[:, -3:]
    torch.testing.assert_close(plain, fused, atol=2e-2, rtol=2e-2)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the resident set is read from /proc")
def test_freed_memory_is_kept_until_it_is_released():
    """In a process of its own: what this one has freed before would blur the measure."""
    program = """
import torch
from goodvibe_bench.model import cpu
from goodvibe_bench.model.attention import PLAIN
from goodvibe_bench.trainer.memory import _resident

if not cpu._has_glibc():
    print("no glibc")
    raise SystemExit
cpu.keep_freed_memory()
start = _resident("VmRSS")
torch.ones(2**26)
kept = _resident("VmRSS") - start
cpu.release_freed_memory()
print(kept > 0.9 * 2**28, _resident("VmRSS") - start < 0.1 * 2**28)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() in {"True True", "no glibc"}
