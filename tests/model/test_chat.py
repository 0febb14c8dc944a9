from goodvibe_bench.model import chat
from tests.tiny import NO_SYSTEM_TEMPLATE, tiny_tokenizer


def test_a_system_text_is_folded_where_the_template_knows_none():
    tokenizer = tiny_tokenizer(NO_SYSTEM_TEMPLATE)
    text = tokenizer.decode(chat.render(tokenizer, "Hello", system="Be brief."))
    assert not chat.has_system_role(tokenizer)
    assert "user\nBe brief.\n\nHello" in text


def test_a_system_text_has_its_own_turn_where_the_template_knows_it():
    tokenizer = tiny_tokenizer()
    assert "system\nBe brief.<|im_end|>" in tokenizer.decode(chat.render(tokenizer, "Hello", system="Be brief."))


def test_bos_stands_once():
    tokenizer = tiny_tokenizer(NO_SYSTEM_TEMPLATE)
    assert chat.render(tokenizer, "Hello").count(tokenizer.bos_token_id) == 1


def test_a_base_model_gets_a_plain_prompt():
    tokenizer = tiny_tokenizer(None)
    assert tokenizer.decode(chat.render(tokenizer, "Hello")) == "Hello\n\n"


def test_the_templates_end_of_turn_stops_an_answer():
    tokenizer = tiny_tokenizer()
    tokenizer.eos_token = "<|bos|>"
    assert tokenizer.convert_tokens_to_ids("<|im_end|>") in chat.stop_ids(tokenizer)


def test_padding_is_on_the_left_and_positions_count_from_the_text():
    ids, mask, positions = chat.pad_left([[5, 6, 7], [8]], pad_id=0)
    assert ids.tolist() == [[5, 6, 7], [0, 0, 8]]
    assert mask.tolist() == [[1, 1, 1], [0, 0, 1]]
    assert positions.tolist() == [[0, 1, 2], [0, 0, 0]]
