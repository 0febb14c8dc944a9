import copy

import pytest
import torch
from transformers import GraniteConfig, GraniteForCausalLM, OPTConfig, OPTForCausalLM

from goodvibe_bench.model.load import Loaded
from goodvibe_bench.trainer.top import decoder_of, hidden_below, top_only
from tests.tiny import short_of_memory

IDS = [list(range(5, 5 + length)) for length in (7, 20, 12, 31)]


def test_the_top_layers_answer_from_kept_states_as_the_whole_model_does(loaded: Loaded):
    states, shapes = hidden_below(loaded.model, IDS, 1, batch_tokens=64)
    assert sum(rows for rows, _ in shapes) == len(IDS)
    assert len(shapes) > 1
    for ids, state in zip(IDS, states, strict=True):
        tokens = torch.tensor([ids])
        with torch.no_grad():
            whole = loaded.model(input_ids=tokens, use_cache=False).logits
            with top_only(loaded.model, 1):
                cut = loaded.model(inputs_embeds=state.unsqueeze(0), use_cache=False).logits
        assert torch.allclose(cut, whole, atol=1e-5)


def test_states_enter_as_they_are_where_a_decoder_scales_embeddings():
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_attention_heads": 4, "num_key_value_heads": 2}
    config = GraniteConfig(vocab_size=64, num_hidden_layers=3, embedding_multiplier=12.0, **sizes)
    model = GraniteForCausalLM(config).eval()
    (state,), _ = hidden_below(model, IDS[1:2], 1)
    with torch.no_grad():
        whole = model(input_ids=torch.tensor(IDS[1:2]), use_cache=False).logits
        with top_only(model, 1):
            cut = model(inputs_embeds=state.unsqueeze(0), use_cache=False).logits
        again = model(input_ids=torch.tensor(IDS[1:2]), use_cache=False).logits
    assert torch.allclose(cut, whole, atol=1e-5)
    assert torch.equal(again, whole)


def test_states_enter_as_they_are_where_embeddings_are_narrower_and_norms_come_last():
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "ffn_dim": 48, "num_attention_heads": 4, "word_embed_proj_dim": 16}
    model = OPTForCausalLM(OPTConfig(vocab_size=64, num_hidden_layers=3, do_layer_norm_before=False, **sizes)).eval()
    states, _ = hidden_below(model, IDS, 1)
    for ids, state in zip(IDS, states, strict=True):
        with torch.no_grad():
            whole = model(input_ids=torch.tensor([ids]), use_cache=False).logits
            with top_only(model, 1):
                cut = model(inputs_embeds=state.unsqueeze(0), use_cache=False).logits
        assert torch.allclose(cut, whole, atol=1e-5)


def test_the_cut_is_undone(loaded: Loaded):
    before = list(decoder_of(loaded.model).layers)
    types = copy.copy(getattr(loaded.model.config, "layer_types", None))
    with top_only(loaded.model, 1):
        assert len(decoder_of(loaded.model).layers) == 1
    assert list(decoder_of(loaded.model).layers) == before
    assert getattr(loaded.model.config, "layer_types", None) == types


def test_states_do_not_depend_on_the_batch(loaded: Loaded):
    one, _ = hidden_below(loaded.model, IDS, 1, batch_tokens=1)
    many, shapes = hidden_below(loaded.model, IDS, 1, batch_tokens=4096)
    assert len(shapes) == 1
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(one, many, strict=True))


def test_states_are_read_in_halves_where_memory_is_short(loaded: Loaded):
    whole, shapes = hidden_below(loaded.model, IDS, 1)
    seen = short_of_memory(loaded, 1)
    halves, same = hidden_below(loaded.model, IDS, 1)
    assert same == shapes
    assert max(seen) > 1
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(whole, halves, strict=True))


def test_a_model_without_a_decoder_is_refused():
    with pytest.raises(ValueError, match="no decoder"):
        decoder_of(torch.nn.Linear(2, 2))
