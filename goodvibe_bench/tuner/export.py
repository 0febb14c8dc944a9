"""Write adapters as ordinary LoRA adapters that load without any code of ours. It merges nothing."""

from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel
from safetensors.torch import save_file

from goodvibe_bench.tuner.goodvibe import GoodVibeLayer


def export(model: Any, folder: Path) -> Path:
    """Write a model's LoRA or GoodVibe adapter to `folder` as a LoRA adapter that servers such as vLLM take."""
    if any(isinstance(module, GoodVibeLayer) for module in model.modules()):
        return export_lora(model, folder)
    model.save_pretrained(str(folder), save_embedding_layers=False)
    (folder / "README.md").unlink(missing_ok=True)  # a card of peft's, empty but for questions
    return folder


def export_lora(model: Any, folder: Path, adapter: str | None = None) -> Path:
    """Write adapter_config.json and adapter_model.safetensors of an adapter, the active one if None, to `folder`.

    GoodVibe is LoRA of rank C with A = U and B the 0/1 cluster matrix, scale 1 (alpha = rank). Every module gets the
    largest C as its rank, the others filled with zeros, since servers such as vLLM want one rank. Raises ValueError
    when the model has no such adapter.
    """
    adapter = adapter or (str(model.active_adapter) if isinstance(model, PeftModel) else "default")
    layers = {
        name.removeprefix("base_model.model."): module
        for name, module in model.named_modules()
        if isinstance(module, GoodVibeLayer) and adapter in module.goodvibe_update
    }
    if not layers:
        raise ValueError(f"the model has no GoodVibe adapter named {adapter!r}")
    factors = {name: layer.factors(adapter) for name, layer in layers.items()}
    rank = max(len(a) for a, _ in factors.values())
    tensors: dict[str, torch.Tensor] = {}
    for name, (a, b) in factors.items():
        wide_a, wide_b = torch.zeros(rank, a.shape[1]), torch.zeros(b.shape[0], rank)
        wide_a[: len(a)], wide_b[:, : b.shape[1]] = a, b
        tensors[f"base_model.model.{name}.lora_A.weight"] = wide_a
        tensors[f"base_model.model.{name}.lora_B.weight"] = wide_b
    config = LoraConfig(
        r=rank,
        lora_alpha=rank,
        target_modules=list(layers),
        task_type="CAUSAL_LM",
        base_model_name_or_path=model.peft_config[adapter].base_model_name_or_path,
        inference_mode=True,
    )
    folder.mkdir(parents=True, exist_ok=True)
    config.save_pretrained(str(folder))
    save_file(tensors, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    return folder
