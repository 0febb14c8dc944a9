"""Load a model and its tokenizer from safetensors, and digest the weights. It trains and generates nothing."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    GenerationConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from goodvibe_bench import disk, types
from goodvibe_bench.errors import UsageError, nearest
from goodvibe_bench.model import cpu, dtypes
from goodvibe_bench.model.source import Source, digest_folder, locate

DTYPES = {"bfloat16": torch.bfloat16, "float32": torch.float32, "float16": torch.float16}


@dataclass
class Loaded:
    """A model in memory with its tokenizer (left padding, pad token set) and its noun."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    noun: types.Model

    @property
    def device(self) -> torch.device:
        return self.model.device


@dataclass(frozen=True)
class OnDisk:
    """A model whose weights another process loads: where they are, and all that is needed to speak to it."""

    folder: Path
    tokenizer: PreTrainedTokenizerBase
    generation_config: GenerationConfig
    longest: int | None
    """Tokens that the model was made for; None where its config does not say."""
    noun: types.Model


def best_device() -> torch.device:
    """Return the accelerator where there is one (each launched process its own), else the CPU."""
    kind = torch.accelerator.current_accelerator() if _accelerated() else None
    return torch.device("cpu") if kind is None else torch.device(kind.type, int(os.environ.get("LOCAL_RANK", "0")))


def best_dtype() -> tuple[str, str]:
    """Return the dtype that the device is quick in, and why: bfloat16, but on a CPU without instructions for it."""
    kind = best_device().type
    if kind != "cpu":
        return "bfloat16", f"there is {kind}"
    known = cpu.features()
    found = [name for name in cpu.BF16 if name in known]
    if found:
        return "bfloat16", f"the processor multiplies in it ({', '.join(found)})"
    return "float32", "the processor is not known to multiply in bfloat16"


def check_dtype(dtype: str) -> None:
    """Raise UsageError for a dtype that no model is loaded in."""
    if dtype not in DTYPES:
        raise UsageError(f"Unknown dtype {dtype!r}. {nearest(dtype, list(DTYPES))}")


def _accelerated() -> bool:
    return torch.accelerator.is_available()


def load(
    name: str,
    *,
    revision: str | None = None,
    dtype: str = "bfloat16",
    device: torch.device | str | None = None,
    trust_remote_code: bool = False,
) -> Loaded:
    """Return the model `name` (hub id, folder or carried name) in `dtype` on `device`, in evaluation mode.

    Raises UsageError for an unknown model, missing weights, an unknown dtype, an architecture that transformers does
    not know, or a tokenizer without padding and end tokens.
    """
    check_dtype(dtype)
    source = locate(name, revision)
    with _explained(name, source):
        model: Any = AutoModelForCausalLM.from_pretrained(
            source.folder,
            dtype=DTYPES[dtype],
            use_safetensors=True,
            trust_remote_code=trust_remote_code,
            local_files_only=True,
        )
        tokenizer = _tokenizer(source, trust_remote_code)
    if tokenizer.pad_token_id is None:
        raise UsageError(
            f"The tokenizer of model {name!r} has neither a padding nor an end token, so no batch can be padded and no "
            "answer ends. Name its eos_token in tokenizer_config.json."
        )
    model.eval().to(device or best_device())
    return Loaded(model, tokenizer, describe(source))


def on_disk(name: str, *, revision: str | None = None, trust_remote_code: bool = False) -> OnDisk:
    """Return the model `name` without its weights. Raises UsageError as `load` does."""
    source = locate(name, revision)
    with _explained(name, source):
        config: Any = AutoConfig.from_pretrained(
            source.folder, trust_remote_code=trust_remote_code, local_files_only=True
        )
        if (source.folder / "generation_config.json").is_file():
            generation = GenerationConfig.from_pretrained(source.folder, local_files_only=True)
        else:
            generation = GenerationConfig.from_model_config(config)
        tokenizer = _tokenizer(source, trust_remote_code)
    longest = getattr(config.get_text_config(), "max_position_embeddings", None)
    return OnDisk(source.folder, tokenizer, generation, longest, describe(source))


@contextmanager
def _explained(name: str, source: Source) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, SafetensorError) as error:
        raise UsageError(f"Model {name!r} could not be loaded from {str(source.folder)!r}: {error}") from error


def _tokenizer(source: Source, trust_remote_code: bool) -> PreTrainedTokenizerBase:
    tokenizer: Any = AutoTokenizer.from_pretrained(
        source.folder, trust_remote_code=trust_remote_code, local_files_only=True
    )
    tokenizer.padding_side = "left"
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def describe(source: Source) -> types.Model:
    """Return the noun of a located model; its digest covers weights, config and tokenizer."""
    return types.Model(id=source.id, revision=source.revision, digest=digest_folder(source.folder))


def save(loaded: Loaded, folder: Path, note: dict[str, Any]) -> None:
    """Write model, tokenizer and a note (goodvibe.json) to `folder`, safetensors only.

    The note, written last, also holds the digest of the rest, so that damage can be told.
    """
    loaded.model.save_pretrained(folder)
    loaded.tokenizer.save_pretrained(folder)
    words = note | {"digest": digest_folder(folder)}
    disk.write_text(folder / "goodvibe.json", json.dumps(words, indent=2, sort_keys=True))


def with_adapter(loaded: Loaded, folder: Path) -> Loaded:
    """Return the model with the peft adapter in `folder` merged into its weights."""
    from peft import PeftModel

    kept = dtypes.of(loaded.model)
    merged: Any = PeftModel.from_pretrained(loaded.model.float(), str(folder)).merge_and_unload()
    dtypes.restore(merged, kept)
    merged.eval().requires_grad_(False)
    noun = loaded.noun.model_copy(update={"adapter": digest_folder(folder)})
    return Loaded(merged, loaded.tokenizer, noun)
