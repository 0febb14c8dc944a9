from pathlib import Path

import numpy as np
import pytest
import torch

from goodvibe_bench.errors import UsageError
from goodvibe_bench.model import chat
from goodvibe_bench.model.linears import target_linears
from goodvibe_bench.model.load import Loaded
from goodvibe_bench.neuron import store
from goodvibe_bench.objective.verdict import VerdictObjective
from goodvibe_bench.trainer.neurons import FoundNeurons, find_neurons, subsample
from goodvibe_bench.trainer.train import labelled
from goodvibe_bench.tuner.spec import GoodVibeSpec
from goodvibe_bench.types import PROJECTIONS, Labelled, Pair
from tests.tiny import tiny_model

NEVER_ENOUGH = {"enough_overlap": 1.0, "top_k": 16, "projections": PROJECTIONS}
"""So many rows that halves never agree on all of them."""


@pytest.fixture
def little(tmp_path: Path) -> Loaded:
    return tiny_model(tmp_path / "model")


@pytest.fixture
def many() -> list[Labelled]:
    """Both sides of 60 pairs of short code of random letters."""
    letters = np.random.default_rng(0).choice(list("abcdefghijklmnop(){};=+ "), (60, 20))
    return [
        Labelled(
            id=f"{pair}/{label}",
            code="".join(letters[pair]) + "gets(s);" * label,
            language="cpp",
            label=1 if label else 0,
            family=str(pair),
        )
        for pair in range(60)
        for label in (0, 1)
    ]


def spec(**changes) -> GoodVibeSpec:
    return GoodVibeSpec(kind="goodvibe", **({"top_k": 4, "projections": ("q_proj", "k_proj")} | changes))


def found(loaded: Loaded, path: Path, snippets: list[Labelled], *, seed: int = 0, **changes) -> FoundNeurons:
    return find_neurons(loaded, spec(**changes), snippets, path / "n.safetensors", seed=seed)


def test_a_subsample_keeps_both_sides_of_a_pair(pairs: list[Pair]):
    sample = subsample(labelled(pairs), 8, seed=1)
    assert len(sample) == 8
    assert sum(item.label for item in sample) == 4
    assert len({item.family for item in sample}) == 4
    assert sample == subsample(labelled(pairs), 8, seed=1) != subsample(labelled(pairs), 8, seed=2)


def test_a_smaller_subsample_is_part_of_a_larger_one(many: list[Labelled]):
    sizes = [{item.id for item in subsample(many, count, 3)} for count in (8, 64, 97)]
    assert sizes[0] < sizes[1] < sizes[2]


def test_reading_stops_when_halves_agree_and_not_before_32_snippets(little: Loaded, tmp_path, many):
    early = found(little, tmp_path, many, samples=110, enough_overlap=0.01)
    assert early.figures["attribution_samples"] == 32
    late = found(little, tmp_path, many, samples=110, **NEVER_ENOUGH)
    assert late.figures["attribution_samples"] == 110
    assert 0.01 < late.figures["half_overlap"] < 1.0


def test_fewer_snippets_than_asked_are_all_read(little: Loaded, tmp_path, many):
    assert found(little, tmp_path, many[:10]).figures["attribution_samples"] == 10
    assert found(little, tmp_path, many, samples=7).figures["attribution_samples"] == 6


def test_one_family_leaves_the_overlap_unknown(little: Loaded, tmp_path, many):
    assert found(little, tmp_path, many[:2]).figures["half_overlap"] is None


def test_what_was_read_is_counted(little: Loaded, tmp_path, many):
    seen: list[tuple[str, int, int]] = []
    result = find_neurons(
        little,
        spec(samples=110, **NEVER_ENOUGH),
        many,
        tmp_path / "n",
        seed=0,
        progress=lambda stage, done, total, text: seen.append((stage, done, total)),
    )
    examples = VerdictObjective(little.tokenizer).examples(subsample(many, 110, 0))
    assert result.tokens == sum(len(example["input_ids"]) for example in examples)
    assert sum(rows for rows, _ in result.shapes) == 110
    assert result.tokens <= sum(rows * length for rows, length in result.shapes)
    assert ("attribute", 110, 110) in seen
    assert seen[-1] == ("cluster", 14, 14)


def test_snippets_that_are_not_read_whole_are_counted(little: Loaded, tmp_path, many):
    """Beyond 512 tokens the middle is left out; a megabyte is cut before it is tokenized, a surrogate is no cut."""
    codes = ["x" * 512, "x" * 513, "x" * 10**6, "\ud800"]
    sample = [item.model_copy(update={"code": code}) for item, code in zip(many, codes, strict=False)] + many[4:10]
    said: list[str] = []
    result = find_neurons(
        little, spec(), sample, tmp_path / "n", seed=0, progress=lambda stage, done, total, text: said.append(text)
    )
    assert result.figures["attribution_cut"] == 2
    file = store.read(tmp_path / "n")
    assert (file.note["cut"], file.note["max_code_tokens"]) == ("2", "512")
    assert any(text.endswith("; 2 snippets longer than 512 tokens, read without their middle") for text in said)


@pytest.mark.parametrize("attribution", ["gradient", "activation", "gradient_activation", "parameter", "random"])
def test_only_the_top_layers_are_scored(little: Loaded, tmp_path, many, attribution):
    top = found(little, tmp_path, many[:10], top_layers=1, attribution=attribution)
    assert set(top.selection) == set(target_linears(little.model, ("q_proj", "k_proj"), 1))


def test_the_top_layers_get_the_rows_that_they_get_among_all(little: Loaded, tmp_path, many):
    every = found(little, tmp_path, many[:10]).selection
    top = found(little, tmp_path, many[:10], top_layers=1).selection
    assert all(torch.equal(every[name].rows, top[name].rows) for name in top)


def test_random_rows_read_nothing(little: Loaded, tmp_path, many):
    embeddings = little.model.get_input_embeddings()
    handle = embeddings.register_forward_hook(lambda *_: pytest.fail("the model ran"))
    result = found(little, tmp_path, many, attribution="random")
    handle.remove()
    assert (result.tokens, result.shapes) == (0, ())
    assert result.figures["attribution_samples"] == 0
    assert result.figures["half_overlap"] is None
    assert result.figures["rows"] == 16


def test_without_clusters_every_row_is_its_own(little: Loaded, tmp_path, many):
    figures = found(little, tmp_path, many[:10], clusters=None).figures
    assert figures["clusters"] == figures["rows"] == 16
    assert figures["median_silhouette"] is None


def test_a_file_made_of_the_same_things_is_reused(little: Loaded, tmp_path, many):
    first = found(little, tmp_path, many[:10])
    handle = little.model.get_input_embeddings().register_forward_hook(lambda *_: pytest.fail("the model ran"))
    again = found(little, tmp_path, many[:10])
    handle.remove()
    assert (first.reused, again.reused) == (False, True)
    assert first.figures == again.figures
    assert (first.tokens, first.shapes) == (again.tokens, again.shapes), "what the neurons cost, whenever that was"
    for name, neurons in first.selection.items():
        assert torch.equal(neurons.rows, again.selection[name].rows)
        assert torch.equal(neurons.clusters, again.selection[name].clusters)


@pytest.mark.parametrize(
    "changes",
    [
        {"seed": 1},
        {"top_k": 5},
        {"top_layers": 1},
        {"enough_overlap": 0.5},
        {"attribution": "activation"},
        {"clusters": None},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_a_file_made_otherwise_is_not_reused(little: Loaded, tmp_path, many, changes):
    found(little, tmp_path, many[:10])
    assert found(little, tmp_path, many[:10], **changes).reused is False


@pytest.mark.parametrize("changes", [{"top_k": 2}, {"clusters": None}, {"min_silhouette": 0.9}], ids=str)
def test_another_choice_from_the_same_readings_reads_nothing(little: Loaded, tmp_path, many, changes):
    kept = tmp_path / "kept"
    find_neurons(little, spec(), many[:10], tmp_path / "a", seed=0, kept=kept)
    handle = little.model.get_input_embeddings().register_forward_hook(lambda *_: pytest.fail("the model ran"))
    again = find_neurons(little, spec(**changes), many[:10], tmp_path / "b", seed=0, kept=kept)
    handle.remove()
    fresh = find_neurons(little, spec(**changes), many[:10], tmp_path / "c", seed=0)
    assert (again.figures, again.tokens, again.shapes) == (fresh.figures, fresh.tokens, fresh.shapes)
    for name, neurons in fresh.selection.items():
        assert torch.equal(neurons.rows, again.selection[name].rows)
        assert torch.equal(neurons.scores, again.selection[name].scores)


def test_a_damaged_reading_is_read_anew(little: Loaded, tmp_path, many):
    kept = tmp_path / "kept"
    first = find_neurons(little, spec(), many[:10], tmp_path / "a", seed=0, kept=kept)
    (path,) = kept.iterdir()
    words = bytearray(path.read_bytes())
    words[-9] ^= 1
    path.write_bytes(words)
    again = find_neurons(little, spec(top_k=2), many[:10], tmp_path / "b", seed=0, kept=kept)
    assert again.tokens == first.tokens
    assert path.read_bytes() != words


def test_other_weights_data_or_templates_are_read_anew(little: Loaded, tmp_path, many):
    found(little, tmp_path, many[:10])
    flipped = [many[0].model_copy(update={"label": 1}), *many[1:10]]
    assert found(little, tmp_path, flipped).reused is False
    other = Loaded(little.model, little.tokenizer, little.noun.model_copy(update={"digest": "other"}))
    assert found(other, tmp_path, flipped).reused is False
    little.tokenizer.chat_template = str(little.tokenizer.chat_template) + " "
    assert found(other, tmp_path, flipped).reused is False
    assert found(other, tmp_path, flipped).reused is True


def test_changed_code_of_ours_reads_anew(little: Loaded, tmp_path, many, monkeypatch: pytest.MonkeyPatch):
    """The chat template's rendering and padding decide ids and positions."""

    def run() -> tuple[bool, int]:
        read: list[int] = []
        handle = little.model.get_input_embeddings().register_forward_hook(lambda *_: read.append(1))
        result = find_neurons(little, spec(), many[:10], tmp_path / "n.safetensors", seed=0, kept=tmp_path / "kept")
        handle.remove()
        return result.reused, len(read)

    assert run() == (False, 3)
    assert run() == (True, 0)
    path, text = Path(chat.__file__), Path.read_text
    monkeypatch.setattr(
        Path, "read_text", lambda self, *a, **k: text(self, *a, **k) + ("# changed" if self == path else "")
    )
    assert run() == (False, 3)


def test_a_broken_file_is_written_anew(little: Loaded, tmp_path, many):
    (tmp_path / "n.safetensors").write_bytes(b"torn")
    assert found(little, tmp_path, many[:10]).reused is False
    assert store.read(tmp_path / "n.safetensors").note["samples"] == "10"


def test_layers_that_are_all_frozen_for_their_silhouette_are_told(little: Loaded, many: list[Labelled], tmp_path: Path):
    with pytest.raises(UsageError, match=r"No row is left .* best silhouette of any layer is 0\.\d\d"):
        found(little, tmp_path, many[:8], min_silhouette=1.0, on_low_silhouette="freeze")
