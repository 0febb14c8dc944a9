import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from goodvibe_bench.errors import UsageError
from goodvibe_bench.neuron import selection, store
from goodvibe_bench.neuron.attribution import Profiles

NAMES = [f"model.layers.{layer}.self_attn.{leaf}" for layer in (0, 2, 10) for leaf in ("q_proj", "k_proj")]


def note(**changes: str) -> dict[str, str]:
    return {key: key for key in store.NOTE} | {"samples": "6", "half_overlap": "0.9000", "shapes": "[]"} | changes


def profiles() -> Profiles:
    generator = torch.Generator().manual_seed(0)
    return {name: torch.rand(6, 20 if "q_proj" in name else 8, generator=generator) for name in NAMES}


def written(path: Path, **changes: str) -> tuple[selection.Selection, store.NeuronFile]:
    chosen = selection.select(profiles(), top_k=5)
    store.write(path, chosen, profiles(), note(**changes))
    return chosen, store.read(path)


def test_what_is_written_is_read(tmp_path: Path):
    chosen, file = written(tmp_path / "n.safetensors")
    assert file.note | {"content": "content"} == note()
    assert list(file.selection) == NAMES, "in the order of layers and projections"
    for name, neurons in chosen.items():
        found = file.selection[name]
        assert torch.equal(found.rows, neurons.rows)
        assert found.rows.dtype == torch.int64
        assert torch.equal(found.scores, neurons.scores)
        assert torch.equal(found.clusters, neurons.clusters)
        assert found.silhouette == pytest.approx(neurons.silhouette)
        assert torch.equal(file.profiles[name], profiles()[name][:, neurons.rows])
        assert file.width[name] == (20 if "q_proj" in name else 8)


def test_mass_is_the_share_of_all_rows_importance(tmp_path: Path):
    chosen, file = written(tmp_path / "n.safetensors")
    for name, profile in profiles().items():
        importance = profile.mean(0)
        assert file.mass[name] == pytest.approx(float(importance[chosen[name].rows].sum() / importance.sum()))


def test_random_rows_have_no_mass(tmp_path: Path):
    _, file = written(tmp_path / "n.safetensors", samples="0")
    assert all(math.isnan(mass) for mass in file.mass.values())


def test_a_module_without_rows_is_kept(tmp_path: Path):
    chosen = selection.select(profiles(), top_k=5, min_silhouette=1.0, on_low_silhouette="freeze")
    store.write(tmp_path / "n.safetensors", chosen, profiles(), note())
    file = store.read(tmp_path / "n.safetensors")
    assert all(len(found.rows) == 0 for found in file.selection.values())
    assert set(file.mass.values()) == {0.0}


def test_writing_leaves_one_file(tmp_path: Path):
    written(tmp_path / "n.safetensors")
    written(tmp_path / "n.safetensors")
    assert [path.name for path in tmp_path.iterdir()] == ["n.safetensors"]


def test_a_missing_file_is_refused(tmp_path: Path):
    with pytest.raises(UsageError, match="There is no neuron file"):
        store.read(tmp_path / "none")


def test_a_file_that_is_not_safetensors_is_refused(tmp_path: Path):
    (tmp_path / "n").write_bytes(b"torch" * 100)
    with pytest.raises(UsageError, match="not readable as safetensors"):
        store.read(tmp_path / "n")


def test_weights_are_no_neurons(tmp_path: Path):
    save_file({"model.weight": torch.ones(2)}, tmp_path / "n", metadata={"format": "pt"})
    with pytest.raises(UsageError, match="metadata lack model, data"):
        store.read(tmp_path / "n")


@pytest.mark.parametrize("part", store.PARTS)
def test_a_missing_part_is_named(tmp_path: Path, part: str):
    path = tmp_path / "n"
    written(path)
    tensors = load_file(path)
    del tensors[f"{NAMES[0]}.{part}"]
    save_file(tensors, path, metadata=note())
    with pytest.raises(UsageError, match=f"lacks {NAMES[0]}.{part}"):
        store.read(path)


@pytest.mark.parametrize(
    ("key", "value"), [("profile", torch.ones(6, 4)), ("scores", torch.ones(4)), ("mass", torch.ones(2))]
)
def test_parts_that_do_not_agree_are_refused(tmp_path: Path, key: str, value: torch.Tensor):
    path = tmp_path / "n"
    written(path)
    save_file(load_file(path) | {f"{NAMES[0]}.{key}": value}, path, metadata=note())
    with pytest.raises(UsageError, match="do not agree"):
        store.read(path)


def test_a_changed_number_is_refused(tmp_path: Path):
    path = tmp_path / "n"
    _, file = written(path)
    save_file(load_file(path) | {f"{NAMES[0]}.mass": torch.tensor(0.5)}, path, metadata=file.note)
    with pytest.raises(UsageError, match="damaged"):
        store.read(path)


def test_a_file_of_no_decoder_layer_is_refused(tmp_path: Path):
    path = tmp_path / "n"
    written(path)
    tensors = load_file(path)
    save_file({key.replace(".layers.", "."): value for key, value in tensors.items()}, path, metadata=note())
    with pytest.raises(UsageError, match="no numbered layer"):
        store.read(path)
