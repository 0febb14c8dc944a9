"""A tiny random model with a real tokenizer and chat template, made in the test: no hub, no download."""

from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

from goodvibe_bench.model.load import Loaded, load

TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if enable_thinking is defined and not enable_thinking %}<think>\n\n</think>\n\n{% endif %}{% endif %}"
)
NO_SYSTEM_TEMPLATE = (
    "{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    "{{ bos_token }}{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def tiny_tokenizer(template: str | None = TEMPLATE) -> PreTrainedTokenizerFast:
    """Return a byte-level tokenizer with 300 tokens."""
    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)  # type: ignore[attr-defined]
    raw.decoder = decoders.ByteLevel()  # type: ignore[attr-defined]
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=["<|bos|>", "<|im_start|>", "<|im_end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    raw.train_from_iterator(["int main() { return 0; }", "func main() { print(1) }"] * 4, trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=raw, bos_token="<|bos|>", eos_token="<|im_end|>", additional_special_tokens=["<|im_start|>"]
    )
    tokenizer.chat_template = template
    return tokenizer


def tiny_folder(
    folder: Path,
    *,
    kind: str = "llama",
    template: str | None = TEMPLATE,
    seed: int = 0,
    head_dim: int = 8,
    layers: int = 2,
) -> Path:
    """Save a random model, of about 40,000 parameters in two layers, with its tokenizer; return the folder.

    vLLM's kernels for CPUs want a `head_dim` of 32 or more.
    """
    tokenizer = tiny_tokenizer(template)
    shape: dict[str, Any] = {
        "vocab_size": len(tokenizer),
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": layers,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 2048,
        "tie_word_embeddings": True,
        "eos_token_id": tokenizer.eos_token_id,
        "bos_token_id": tokenizer.bos_token_id,
    }
    torch.manual_seed(seed)
    if kind == "qwen3":
        model: Any = Qwen3ForCausalLM(Qwen3Config(**shape, head_dim=head_dim))
    else:
        model = LlamaForCausalLM(LlamaConfig(**shape, head_dim=head_dim))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def tiny_model(
    folder: Path, *, kind: str = "llama", dtype: str = "float32", template: str | None = TEMPLATE, layers: int = 2
) -> Loaded:
    """Return a tiny random model in memory."""
    return load(str(tiny_folder(folder, kind=kind, template=template, layers=layers)), dtype=dtype, device="cpu")


def short_of_memory(loaded: Loaded, rows: int) -> list[int]:
    """Have the model run out of memory above `rows` rows, as an accelerator says it; return the sizes that it sees."""
    seen: list[int] = []

    def limit(_module: Any, inputs: tuple[Any, ...], named: dict[str, Any]) -> None:
        asked = next(
            value for value in (*inputs, named.get("input_ids"), named.get("inputs_embeds")) if value is not None
        )
        seen.append(len(asked))
        if len(asked) > rows:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 1 EiB.")

    loaded.model.base_model.register_forward_pre_hook(limit, with_kwargs=True)
    return seen
