from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goodvibe_bench import catalog
from goodvibe_bench.trainer import TrainerDefinition
from goodvibe_bench.trainer.definition import _number, _value


def _read(name: str) -> TrainerDefinition:
    return catalog.read("trainers", name, TrainerDefinition).content


def test_an_override_wins_over_a_preset():
    changed = _read("goodvibe").with_overrides({"training.learning_rate": "5e-4"})
    assert changed.training_for("smollm2-135m").learning_rate == 5e-4
    assert changed.training_for("another").learning_rate == 5e-4


@pytest.mark.parametrize(("text", "value"), [("[4, 5]", [4, 5]), ("4", [4, 4]), ("none", None)])
def test_lists_and_words_are_read_as_toml_reads_them(text: str, value: object):
    changed = _read("goodvibe").with_overrides({"tuner.clusters": text})
    assert changed.model_dump(mode="json")["tuner"]["clusters"] == value


def test_a_value_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="clusters"):
        _read("goodvibe").with_overrides({"tuner.clusters": "3,3"})


@pytest.mark.parametrize("text", ["[8, 2]", "[1, 1]", "[0, 3]", "[-1, 3]", "1", "0", "true", "2.5"])
def test_clusters_that_group_nothing_are_refused_before_anything_is_read(text: str):
    with pytest.raises(ValueError, match="clusters"):
        _read("goodvibe").with_overrides({"tuner.clusters": text})


def test_keys_that_a_trainer_lacks_are_left_out():
    assert _read("full").with_overrides({"tuner.top_k": "7"}) == _read("full")


@given(st.floats(-1, 1) | st.floats(0, 1e20))
def test_a_numbers_spelling_is_read_back_to_the_same_bits(value: float):
    text = _number(value)
    assert float(_value(text, 0.0)) == value
    assert len(text) <= len(f"{Decimal(repr(value)):f}")


def test_controls_differ_from_goodvibe_in_what_they_control():
    goodvibe = _read("goodvibe").tuner.model_dump()

    def changed(name: str) -> dict[str, object]:
        return {key: value for key, value in _read(name).tuner.model_dump().items() if goodvibe[key] != value}

    for name in ("activation", "random-rows", "random-clusters", "no-clusters", "top8", "parameter"):
        control = _read(f"goodvibe-{name}")
        assert (control.training, control.presets) == (_read("goodvibe").training, _read("goodvibe").presets), name
    assert changed("goodvibe-activation") == {"attribution": "activation"}
    assert changed("goodvibe-random-rows") == {"attribution": "random", "random_clusters": 2}
    assert changed("goodvibe-random-clusters") == {"random_clusters": 2}
    assert changed("goodvibe-no-clusters") == {"clusters": None}
    assert changed("goodvibe-top8") == {"top_layers": 8, "clusters": None}
    assert changed("goodvibe-gradient-activation") == {"attribution": "gradient_activation"}
    assert changed("goodvibe-parameter") == {"attribution": "parameter"}


def test_none_unsets_a_key_and_names_need_no_brackets():
    changed = _read("goodvibe-random-clusters").with_overrides({"tuner.random_clusters": "none"})
    assert changed.tuner == _read("goodvibe").tuner
    for text in ("q_proj,k_proj", '["q_proj", "k_proj"]', "q_proj, k_proj"):
        tuner = _read("lora").with_overrides({"tuner.projections": text}).tuner
        assert tuner.model_dump()["projections"] == ("q_proj", "k_proj")


def test_a_whole_table_is_no_key():
    """Its other keys could be gone, and a result names every key's value."""
    definition = _read("goodvibe")
    assert not definition.known("tuner")
    assert not definition.known("training")
    assert definition.known("scope")
