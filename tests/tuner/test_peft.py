"""GoodVibe is a PEFT method like any other."""

from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel, get_peft_model
from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING, PEFT_TYPE_TO_PREFIX_MAPPING, PEFT_TYPE_TO_TUNER_MAPPING
from torch import nn
from transformers import (
    AutoModelForCausalLM,
    Gemma3Config,
    Gemma3ForConditionalGeneration,
    Trainer,
    TrainingArguments,
)

from goodvibe_bench.errors import UsageError
from goodvibe_bench.model.linears import target_linears
from goodvibe_bench.model.load import Loaded
from goodvibe_bench.neuron.selection import Neurons, select
from goodvibe_bench.tuner import goodvibe
from goodvibe_bench.tuner.export import export_lora
from goodvibe_bench.tuner.goodvibe import GoodVibeConfig, GoodVibeLinear
from tests.tiny import tiny_folder
from tests.tuner.test_goodvibe import logits, some_rows, step


def _base(folder: Path, **more: Any) -> Any:
    return AutoModelForCausalLM.from_pretrained(tiny_folder(folder), dtype=torch.float32, **more)


def _trained(loaded: Loaded) -> Any:
    tuned = goodvibe.attach(loaded.model, some_rows(loaded, clusters=3))
    step(tuned)
    return tuned


def test_peft_still_reads_the_mappings_that_goodvibe_is_written_to():
    """Fails when a peft upgrade moves them."""
    for mapping in (PEFT_TYPE_TO_CONFIG_MAPPING, PEFT_TYPE_TO_TUNER_MAPPING, PEFT_TYPE_TO_PREFIX_MAPPING):
        assert "LORA" in mapping
        assert "GOODVIBE" in mapping


def test_an_adapter_survives_saving_and_loading(loaded: Loaded, tmp_path: Path):
    folder = tmp_path / "base"
    loaded.model.save_pretrained(folder)
    tuned = _trained(loaded)
    expected = logits(tuned)
    tuned.save_pretrained(tmp_path / "adapter")
    assert {path.name for path in (tmp_path / "adapter").iterdir()} >= {
        "adapter_config.json",
        "adapter_model.safetensors",
    }
    base = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    again = PeftModel.from_pretrained(base, str(tmp_path / "adapter"))
    assert torch.equal(logits(again), expected)
    assert not any(weight.requires_grad for weight in again.parameters())


def test_merging_unloads_to_a_plain_model_and_unmerging_restores_every_bit(loaded: Loaded):
    loaded.model.to(torch.bfloat16)
    before = {name: weight.clone() for name, weight in loaded.model.state_dict().items()}
    tuned = _trained(loaded)
    tuned.merge_adapter()
    tuned.unmerge_adapter()
    for module in tuned.modules():
        assert not isinstance(module, GoodVibeLinear) or not module.merged
    bare = tuned.unload()
    assert all(torch.equal(weight, before[name]) for name, weight in bare.state_dict().items())


def test_a_merged_model_answers_as_the_adapter_did(loaded: Loaded):
    tuned = _trained(loaded)
    expected = logits(tuned)
    plain = tuned.merge_and_unload()
    assert not any(isinstance(module, GoodVibeLinear) for module in plain.modules())
    assert torch.allclose(logits(plain), expected, atol=1e-5)


def test_adapters_can_be_switched_off_and_stacked(loaded: Loaded):
    before = logits(loaded.model)
    tuned = _trained(loaded)
    first = logits(tuned)
    with tuned.disable_adapter():
        assert torch.equal(logits(tuned), before)
    tuned.add_adapter("second", GoodVibeConfig(task_type="CAUSAL_LM", selection=_reversed_rows(tuned)))
    tuned.set_adapter("second")
    assert torch.equal(logits(tuned), before)
    tuned.set_adapter("default")
    assert torch.equal(logits(tuned), first)


def _reversed_rows(tuned: Any) -> dict[str, Neurons]:
    found = {}
    for name, module in tuned.named_modules():
        if isinstance(module, GoodVibeLinear):
            rows = module.goodvibe_rows["default"].flip(0)
            ids = torch.zeros_like(rows)
            found[name.removeprefix("base_model.model.")] = Neurons(rows, torch.ones(len(rows)), ids, 0.5)
    return found


def test_an_exported_lora_needs_no_code_of_ours(loaded: Loaded, tmp_path: Path):
    loaded.model.save_pretrained(tmp_path / "base")
    tuned = _trained(loaded)
    expected = logits(tuned)
    export_lora(tuned, tmp_path / "lora")
    text = (tmp_path / "lora" / "adapter_config.json").read_text()
    assert '"LORA"' in text
    assert "goodvibe" not in text.lower()
    base = AutoModelForCausalLM.from_pretrained(tmp_path / "base", dtype=torch.float32)
    plain = PeftModel.from_pretrained(base, str(tmp_path / "lora"))
    assert torch.allclose(logits(plain), expected, atol=1e-5)
    assert torch.allclose(logits(plain.merge_and_unload()), expected, atol=1e-5)


def test_the_active_adapter_is_exported_whatever_its_name(loaded: Loaded, tmp_path: Path):
    layers = target_linears(loaded.model, ("q_proj",))
    selection = select({name: torch.rand(4, layer.out_features) for name, layer in layers.items()}, top_k=3)
    tuned = get_peft_model(
        loaded.model, GoodVibeConfig(task_type="CAUSAL_LM", selection=selection), adapter_name="mine"
    )
    export_lora(tuned, tmp_path / "lora")
    assert (tmp_path / "lora" / "adapter_model.safetensors").is_file()
    with pytest.raises(ValueError, match="no GoodVibe adapter named 'other'"):
        export_lora(tuned, tmp_path / "other", "other")


def test_exporting_a_model_without_the_adapter_is_refused(loaded: Loaded, tmp_path: Path):
    with pytest.raises(ValueError, match="no GoodVibe adapter"):
        export_lora(loaded.model, tmp_path)


@pytest.mark.parametrize("kind", ["llama", "qwen3", "gemma3"])
@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_it_trains_under_every_setting(
    tmp_path: Path, kind: str, attention: str, checkpointing: bool, dtype: torch.dtype
):
    if kind == "gemma3":
        _gemma().save_pretrained(tmp_path)
    folder = tmp_path if kind == "gemma3" else tiny_folder(tmp_path, kind=kind)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, attn_implementation=attention)
    loaded = Loaded(model=model, tokenizer=None, noun=None)  # type: ignore[arg-type]
    tuned = goodvibe.attach(model, some_rows(loaded))
    tuned.train()
    if checkpointing:
        tuned.enable_input_require_grads()
        tuned.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    before = logits(tuned)
    step(tuned)
    assert not torch.equal(logits(tuned), before)
    updates = [weight for weight in tuned.parameters() if weight.requires_grad]
    assert all(weight.dtype == torch.float32 for weight in updates)
    assert all(weight.grad is not None and weight.grad.abs().sum() > 0 for weight in updates)


class _Rows(torch.utils.data.Dataset):
    def __len__(self) -> int:
        return 16

    def __getitem__(self, place: int) -> dict[str, Any]:
        ids = torch.arange(5 + place, 25 + place)
        return {"input_ids": ids, "labels": ids.clone()}


def _arguments(folder: Path, **more: Any) -> TrainingArguments:
    return TrainingArguments(
        output_dir=str(folder),
        per_device_train_batch_size=2,
        num_train_epochs=1,
        learning_rate=1e-2,
        save_strategy="steps",
        save_steps=4,
        report_to=[],
        disable_tqdm=True,
        use_cpu=True,
        dataloader_pin_memory=False,
        **more,
    )


def test_trainer_saves_checkpoints_and_resumes_to_the_same_weights(tmp_path: Path):
    whole = goodvibe.attach(_base(tmp_path / "a"), _rows_for(tmp_path / "a"))
    Trainer(model=whole, args=_arguments(tmp_path / "whole"), train_dataset=_Rows()).train()
    resumed = goodvibe.attach(_base(tmp_path / "a"), _rows_for(tmp_path / "a"))
    trainer = Trainer(model=resumed, args=_arguments(tmp_path / "again"), train_dataset=_Rows())
    trainer.train(resume_from_checkpoint=str(tmp_path / "whole" / "checkpoint-4"))
    for (name, one), (_, two) in zip(whole.named_parameters(), resumed.named_parameters(), strict=True):
        assert torch.equal(one, two), name


def _rows_for(folder: Path) -> dict[str, Neurons]:
    return some_rows(Loaded(model=_base(folder), tokenizer=None, noun=None))  # type: ignore[arg-type]


def _gemma() -> Gemma3ForConditionalGeneration:
    text = {
        "vocab_size": 64,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "sliding_window": 16,
    }
    vision = {
        "hidden_size": 16,
        "intermediate_size": 24,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "image_size": 28,
        "patch_size": 14,
    }
    torch.manual_seed(0)
    return Gemma3ForConditionalGeneration(
        Gemma3Config(text_config=text, vision_config=vision, mm_tokens_per_image=4, image_token_index=60)
    )


def test_gemma3_is_tuned_and_its_vision_tower_left_alone():
    model = _gemma()
    assert any("vision" in name and name.endswith("q_proj") for name, _ in model.named_modules())
    loaded = Loaded(model=model, tokenizer=None, noun=None)  # type: ignore[arg-type]
    before = {name: weight.clone() for name, weight in model.state_dict().items() if "vision" in name}
    tuned = goodvibe.attach(model, some_rows(loaded))
    trained = [name for name, weight in tuned.named_parameters() if weight.requires_grad]
    assert len(trained) == 14
    assert not any("vision" in name for name in trained)
    step(tuned)
    plain = tuned.merge_and_unload()
    assert all(torch.equal(plain.state_dict()[name], weight) for name, weight in before.items())


def test_a_tied_head_is_refused(loaded: Loaded):
    rows = Neurons(torch.tensor([1]), torch.ones(1), torch.zeros(1, dtype=torch.int64), 0.5)
    with pytest.raises(UsageError, match="tied to the input embeddings"):
        goodvibe.attach(loaded.model, {"lm_head": rows})


def test_layers_that_are_not_linear_are_refused():
    model = nn.Sequential(nn.Conv1d(2, 2, 1))
    rows = Neurons(torch.tensor([1]), torch.ones(1), torch.zeros(1, dtype=torch.int64), 0.5)
    with pytest.raises(UsageError, match=r"nn\.Linear"):
        get_peft_model(model, GoodVibeConfig(selection={"0": rows}))  # type: ignore[arg-type]


def test_an_empty_selection_is_refused():
    with pytest.raises(ValueError, match="at least one row"):
        GoodVibeConfig()


def test_experts_are_refused_loudly():
    from transformers import Qwen3MoeConfig, Qwen3MoeForCausalLM

    config = Qwen3MoeConfig(
        vocab_size=64, hidden_size=32, intermediate_size=48, moe_intermediate_size=16, num_hidden_layers=1,
        num_attention_heads=4, num_key_value_heads=2, head_dim=8, num_experts=4, num_experts_per_tok=2,
    )  # fmt: skip
    with pytest.raises(UsageError, match="mixture of experts"):
        target_linears(Qwen3MoeForCausalLM(config))


def test_trl_trains_it_as_it_trains_any_adapter(tmp_path: Path):
    trl = pytest.importorskip("trl", reason="the trl extra is not installed")
    from datasets import Dataset

    from tests.tiny import tiny_tokenizer

    rows = [{"prompt": f"number {place}", "completion": f"int f{place}() {{ return {place}; }}"} for place in range(8)]
    model = _base(tmp_path / "a")
    trainer = trl.SFTTrainer(
        model=model,
        args=trl.SFTConfig(
            output_dir=str(tmp_path / "out"),
            learning_rate=1e-2,
            per_device_train_batch_size=4,
            num_train_epochs=1,
            report_to=[],
            disable_tqdm=True,
            use_cpu=True,
            bf16=False,
            dataloader_pin_memory=False,
            save_strategy="no",
        ),
        train_dataset=Dataset.from_list(rows),
        processing_class=tiny_tokenizer(),
        peft_config=GoodVibeConfig(task_type="CAUSAL_LM", selection=_rows_for(tmp_path / "a")),
    )
    trainer.train()
    updates = [weight for weight in trainer.model.parameters() if weight.requires_grad]
    assert len(updates) == 14
    assert all(weight.abs().sum() > 0 for weight in updates)
