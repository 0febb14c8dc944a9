"""Render a request through a model's own chat template into token ids. It decides no wording.

Templates are a quiet source of wrong numbers: thinking is off unless asked for, a system text is folded into the
user turn where a template knows no system role, special tokens are added by the template alone (so that BOS never
stands twice), and a base model without a template gets a plain completion prompt.
"""

from typing import Any

import torch
from jinja2 import TemplateError
from transformers import PreTrainedTokenizerBase

_MARK = "\u2063system\u2063"


def render(
    tokenizer: PreTrainedTokenizerBase, user: str, *, system: str | None = None, thinking: bool = False
) -> list[int]:
    """Return the token ids of one user turn, ready for the model's answer.

    `user` and `system` are plain text: a special token spelled inside `user` is broken up, so that no data can end
    its turn early or speak for another role.
    """
    user = _plain(tokenizer, user)
    if not tokenizer.chat_template:
        text = f"{system}\n\n{user}\n\n" if system else f"{user}\n\n"
        return list(tokenizer(text)["input_ids"])
    if system and not has_system_role(tokenizer):
        user, system = f"{system}\n\n{user}", None
    turns = [{"role": "system", "content": system}] if system else []
    text = _apply(tokenizer, [*turns, {"role": "user", "content": user}], thinking)
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


def _plain(tokenizer: PreTrainedTokenizerBase, text: str) -> str:
    text = text.encode("utf-8", "replace").decode()  # lone surrogates cannot be tokenized
    for token in tokenizer.all_special_tokens:
        if len(token) > 1 and token in text:
            text = text.replace(token, f"{token[0]} {token[1:]}")
    return text


def has_system_role(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Return whether the chat template shows a system text at all (Gemma's refuses it)."""
    turns = [{"role": "system", "content": _MARK}, {"role": "user", "content": "x"}]
    try:
        return _MARK in _apply(tokenizer, turns, thinking=False)
    except TemplateError:
        return False


def _apply(tokenizer: PreTrainedTokenizerBase, turns: list[dict[str, Any]], thinking: bool) -> str:
    text = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True, enable_thinking=thinking)
    return str(text)


def end_of_turn(tokenizer: PreTrainedTokenizerBase) -> int:
    """Return the token id that the chat template puts after an answer; EOS where it puts none."""
    if tokenizer.chat_template:
        turns = [{"role": "user", "content": "x"}, {"role": "assistant", "content": _MARK}]
        try:
            text = str(tokenizer.apply_chat_template(turns, tokenize=False))
        except TemplateError:
            text = ""
        tail: list[Any] = list(tokenizer(text.rpartition(_MARK)[2], add_special_tokens=False)["input_ids"])
        if tail and tail[0] in tokenizer.added_tokens_decoder:
            return int(tail[0])
    return int(tokenizer.eos_token_id)  # type: ignore[arg-type]


def stop_ids(tokenizer: PreTrainedTokenizerBase, generation_config: Any = None) -> list[int]:
    """Return every token id that ends an answer: EOS, the model's own list, and the template's end of turn."""
    own = getattr(generation_config, "eos_token_id", None)
    ids: list[Any] = [tokenizer.eos_token_id, end_of_turn(tokenizer), *(own if isinstance(own, list) else [own])]
    return sorted({int(token) for token in ids if token is not None})


def pad_left(rows: list[list[int]], pad_id: int, device: Any = None) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return input ids, attention mask and position ids, each [rows, longest], padded on the left."""
    longest = max(map(len, rows))
    ids = torch.tensor([[pad_id] * (longest - len(row)) + row for row in rows], device=device)
    mask = torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in rows], device=device)
    return ids, mask, (mask.cumsum(1) - 1).clamp(min=0)
