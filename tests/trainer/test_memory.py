import torch
from transformers import LlamaConfig

from goodvibe_bench.trainer.cost import Batch
from goodvibe_bench.trainer.memory import free_memory, needs_checkpointing, peak_memory
from goodvibe_bench.tuner.spec import LoraSpec

CPU = torch.device("cpu")
SMALL = {"hidden_size": 32, "intermediate_size": 48, "num_attention_heads": 4, "vocab_size": 64}


def test_free_memory_is_that_of_this_machine():
    assert 2**20 < free_memory(CPU) < 2**50


def test_a_small_step_needs_no_checkpointing_and_a_huge_one_does():
    config, spec = LlamaConfig(num_hidden_layers=2, **SMALL), LoraSpec(kind="lora")
    assert not needs_checkpointing(config, spec, Batch(2, 64, 8), torch.float32, CPU)
    # 4096 rows of 32768 tokens are estimated on the meta device: nothing of that size is allocated.
    assert needs_checkpointing(config, spec, Batch(4096, 32768, 8), torch.float32, CPU)


def test_the_peak_counts_what_is_allocated_meanwhile():
    with peak_memory(CPU) as peak:
        held = torch.ones(2**26)
        assert held.sum() == 2**26
        del held
    assert peak() > 0.9 * 2**28
