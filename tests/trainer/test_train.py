import json
from pathlib import Path

import pytest
import torch

from goodvibe_bench import catalog, plan
from goodvibe_bench.errors import UsageError
from goodvibe_bench.model.linears import layer_index
from goodvibe_bench.model.load import Loaded, load, save
from goodvibe_bench.neuron import store
from goodvibe_bench.objective.sft import SftObjective
from goodvibe_bench.objective.training import Training
from goodvibe_bench.trainer import TrainerDefinition, cost
from goodvibe_bench.trainer import train as training_of
from goodvibe_bench.trainer.loop import Account, fit, last_checkpoint
from goodvibe_bench.trainer.train import train
from goodvibe_bench.tuner.attach import attach, fold
from goodvibe_bench.tuner.spec import LoraSpec
from goodvibe_bench.types import Pair
from tests.tiny import tiny_model


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", [name for name in catalog.names("trainers") if name != "none"])
def test_every_trainer_changes_the_model_lowers_the_loss_and_reports(name, dtype, tmp_path, pairs: list[Pair]):
    loaded = tiny_model(tmp_path / "model", dtype=dtype)
    definition = catalog.read("trainers", name, TrainerDefinition).content
    definition = definition.model_copy(update={"training": Training(learning_rate=1e-2, epochs=6, batch_size=4)})
    before = loaded.model.state_dict()["model.layers.0.self_attn.q_proj.weight"].clone()
    report = train(loaded, definition, pairs, seed=0, scratch=tmp_path)
    assert report.last_loss < report.first_loss
    assert report.steps == 18
    assert 0 < report.trainable_parameters <= report.total_parameters
    assert 0 < report.tokens <= report.padded_tokens
    assert report.flops is not None
    assert report.flops.counted_ratio == pytest.approx(1, abs=0.01)
    assert (report.flops.attribution > 0) == (report.attribution_tokens > 0)
    assert not (tmp_path / "trainer").exists()
    assert not torch.equal(before, loaded.model.state_dict()["model.layers.0.self_attn.q_proj.weight"])
    assert not any(weight.requires_grad for weight in loaded.model.parameters())
    json.dumps(report.model_dump(mode="json"), allow_nan=False)


@pytest.mark.parametrize("name", ["goodvibe", "lora", "full"])
def test_the_trained_model_in_memory_is_the_one_that_is_loaded_from_its_files(name: str, tmp_path: Path, pairs):
    """Rotary frequencies stay in float32, as transformers loads them beside 16-bit weights."""
    loaded = tiny_model(tmp_path / "model", dtype="bfloat16")
    definition = catalog.read("trainers", name, TrainerDefinition).content
    train(loaded, definition.with_overrides({"training.epochs": "1"}), pairs, seed=0, scratch=tmp_path / "a")
    save(loaded, tmp_path / "trained", {})
    again = load(str(tmp_path / "trained"), device="cpu").model
    again.set_attn_implementation(loaded.model.config._attn_implementation)
    parts = dict(again.named_buffers()) | dict(again.named_parameters())
    for key, part in [*loaded.model.named_buffers(), *loaded.model.named_parameters()]:
        assert part.dtype == parts[key].dtype, key
        assert torch.equal(part, parts[key]), key
    ids = torch.arange(200)[None]
    assert torch.equal(loaded.model(ids).logits, again(ids).logits)


def _weights_bytes(path: Path) -> int:
    """Return the bytes of a safetensors file without its header."""
    content = path.read_bytes()
    return len(content) - 8 - int.from_bytes(content[:8], "little")


@pytest.mark.parametrize("name", ["goodvibe", "goodvibe-random-clusters", "goodvibe-no-clusters", "lora", "full"])
def test_the_adapter_is_as_large_as_its_file_and_as_planned(name: str, tmp_path: Path, pairs: list[Pair]):
    """k-means' clusters are taken from what it found: a plan can but assume them."""
    loaded = tiny_model(tmp_path / "model", dtype="bfloat16")
    definition = catalog.read("trainers", name, TrainerDefinition).content
    report = train(loaded, definition.with_overrides({"training.epochs": "1"}), pairs, seed=0, scratch=tmp_path / "a")
    path = tmp_path / "a" / "adapter" / "adapter_model.safetensors"
    if name == "full":
        loaded.model.save_pretrained(tmp_path / "full")
        path = tmp_path / "full" / "model.safetensors"
    else:
        assert report.adapter_bytes == path.stat().st_size
    found = None
    if name == "goodvibe":
        chosen = store.read(tmp_path / "a" / "neurons.safetensors").selection
        found = {module: neurons.cluster_count for module, neurons in chosen.items()}
    shape = cost.Shape.from_config(loaded.model.config)
    expected = cost.file_bytes(shape, definition.tuner, torch.bfloat16.itemsize, found)
    assert _weights_bytes(path) == pytest.approx(expected, rel=0.01)
    if name == "full":
        assert report.adapter_bytes == expected
    if name != "goodvibe":
        (planned,), _ = plan.plan(str(tmp_path / "model"), (name,), plan.Workload(pairs=2, tokens_per_pair=16))
        assert planned.adapter_bytes == expected


def test_the_same_seed_trains_the_same_weights(tmp_path, pairs: list[Pair]):
    definition = catalog.read("trainers", "goodvibe", TrainerDefinition).content
    ends = []
    for place in ("a", "b"):
        loaded = tiny_model(tmp_path / place)
        train(loaded, definition, pairs, seed=3, scratch=tmp_path / place)
        ends.append(loaded.model.state_dict())
    assert all(torch.equal(ends[0][key], ends[1][key]) for key in ends[0])


@pytest.mark.parametrize(("dtype", "differ"), [("float32", 0.0), ("bfloat16", 1e-3)])
def test_micro_batches_do_not_change_a_step(
    tmp_path, pairs: list[Pair], monkeypatch: pytest.MonkeyPatch, dtype: str, differ: float
):
    """In bfloat16 a gradient that is all rounding has either sign, and Adam's first step is as long for it."""
    monkeypatch.setattr("goodvibe_bench.trainer.loop.best_dtype", lambda: (dtype, "the test says so"))
    ends = []
    for micro in (1, 4):
        loaded = tiny_model(tmp_path / str(micro))
        loaded.model.requires_grad_(True)
        objective = SftObjective(loaded.tokenizer)
        numbers = Training(batch_size=4, micro_batch_size=micro, epochs=1, learning_rate=1e-3)
        fit(loaded.model, objective, objective.examples(pairs[:4]), numbers, seed=0, scratch=tmp_path / f"t{micro}")
        ends.append(loaded.model.state_dict())
    same = torch.cat([torch.isclose(ends[0][key], ends[1][key], atol=1e-4).flatten() for key in ends[0]])
    assert (~same).float().mean() <= differ


@pytest.mark.parametrize(
    ("name", "layers"), [("goodvibe", 2), ("lora", 2), ("full", 2), ("lora-top8", 2), ("goodvibe-top8", 10)]
)
def test_a_killed_training_goes_on_to_the_same_weights(name, layers, tmp_path, pairs: list[Pair]):
    """The loop is stopped by an exception at step 5, as a kill would; checkpoints are written every 2 steps."""
    definition = catalog.read("trainers", name, TrainerDefinition).content
    training = Training(learning_rate=1e-2, epochs=3, batch_size=4, save_every=2)
    definition = definition.model_copy(update={"training": training, "presets": {}})

    class KilledError(Exception):
        pass

    def kill(stage: str, done: int, total: int, text: str) -> None:
        if stage == "train" and done == 5:
            raise KilledError

    whole = tiny_model(tmp_path / "a", layers=layers)
    before = {key: weight.clone() for key, weight in whole.model.state_dict().items()}
    report = train(whole, definition, pairs, seed=0, scratch=tmp_path / "whole")
    stopped = tiny_model(tmp_path / "a", layers=layers)
    with pytest.raises(KilledError):
        train(stopped, definition, pairs, seed=0, scratch=tmp_path / "cut", progress=kill)
    cut, _ = last_checkpoint(tmp_path / "cut" / "trainer")
    assert cut is not None
    assert cut.name == "checkpoint-4"
    resumed = tiny_model(tmp_path / "a", layers=layers)
    again = train(resumed, definition, pairs, seed=0, scratch=tmp_path / "cut")
    for key, weight in whole.model.state_dict().items():
        assert torch.equal(weight, resumed.model.state_dict()[key]), key
    assert (again.steps, again.tokens, again.last_loss) == (report.steps, report.tokens, report.last_loss)
    moved = {key for key, weight in whole.model.state_dict().items() if not torch.equal(weight, before[key])}
    if layers > 8:
        assert {layer_index(key) for key in moved} == set(range(layers - 8, layers)), "of the top 8 layers, each"


@pytest.mark.parametrize("name", ["goodvibe", "lora", "full", "goodvibe-top8"])
def test_checkpointing_changes_no_weight(name: str, tmp_path: Path, pairs: list[Pair]):
    ends, flops = [], []
    for on in (False, True):
        definition = catalog.read("trainers", name, TrainerDefinition).content
        training = Training(learning_rate=1e-2, epochs=1, batch_size=4, checkpointing=on)
        loaded = tiny_model(tmp_path / "model", layers=10 if name == "goodvibe-top8" else 2)
        definition = definition.model_copy(update={"training": training, "presets": {}})
        report = train(loaded, definition, pairs, seed=0, scratch=tmp_path / str(on))
        assert report.flops is not None
        ends.append(loaded.model.state_dict())
        flops.append(report.flops.training)
    for key, weight in ends[0].items():
        assert torch.equal(weight, ends[1][key]), key
    assert flops[1] > flops[0]


def test_a_checkpoint_without_its_account_was_cut_off_and_is_not_used(tmp_path):
    (tmp_path / "checkpoint-4").mkdir()
    assert last_checkpoint(tmp_path)[0] is None


def test_top_layers_from_kept_states_train_as_the_whole_model_would(tmp_path, pairs: list[Pair]):
    definition = catalog.read("trainers", "lora-top8", TrainerDefinition).content
    tuner = definition.tuner.model_copy(update={"top_layers": 1})
    definition = definition.model_copy(update={"tuner": tuner, "training": Training(learning_rate=1e-2, batch_size=4)})
    kept = tiny_model(tmp_path / "a")
    report = train(kept, definition, pairs, seed=0, scratch=tmp_path / "kept")
    plain = tiny_model(tmp_path / "a")
    attached = attach(plain.model, tuner)
    objective = SftObjective(plain.tokenizer)
    fit(attached.model, objective, objective.examples(pairs), definition.training, seed=0, scratch=tmp_path / "plain")
    folded, _ = fold(attached)
    for key, weight in folded.state_dict().items():
        assert torch.allclose(weight, kept.model.state_dict()[key], atol=1e-5), key
    assert report.flops is not None
    assert report.flops.counted_ratio == pytest.approx(1, abs=0.01)


def test_what_every_process_computes_below_the_top_layers_is_counted(monkeypatch, tmp_path, pairs: list[Pair]):
    loaded = tiny_model(tmp_path)
    monkeypatch.setattr(training_of, "fit", lambda *_, **__: Account())

    def below(count: int) -> list[tuple[int, int]]:
        monkeypatch.setattr(training_of.processes, "count", lambda: count)
        attached = attach(loaded.model, LoraSpec(kind="lora", top_layers=1))
        objective = SftObjective(loaded.tokenizer)
        examples, nothing = objective.examples(pairs), lambda *_: None
        words = (objective, examples, Training(), 0, tmp_path, nothing, None, lambda: 0)
        found = training_of._fit(attached, *words)[1]
        attached.model.unload()
        return found

    assert below(2) == 2 * below(1)


def test_a_loss_that_is_not_finite_stops_the_training(tmp_path, pairs: list[Pair]):
    loaded = tiny_model(tmp_path)
    objective = SftObjective(loaded.tokenizer)
    with torch.no_grad():
        loaded.model.get_input_embeddings().weight.fill_(float("nan"))
    loaded.model.requires_grad_(True)
    with pytest.raises(FloatingPointError, match="learning rate"):
        fit(loaded.model, objective, objective.examples(pairs), Training(), seed=0, scratch=tmp_path)


def test_a_last_step_that_leaves_no_numbers_is_no_trained_model(tmp_path, pairs: list[Pair]):
    loaded = tiny_model(tmp_path)
    objective = SftObjective(loaded.tokenizer)
    loaded.model.requires_grad_(True)
    once = Training(learning_rate=1e38, epochs=1, batch_size=64, micro_batch_size=64, warmup_ratio=0)
    with pytest.raises(FloatingPointError, match="learning rate"):
        fit(loaded.model, objective, objective.examples(pairs), once, seed=0, scratch=tmp_path)


def test_nothing_to_train_on_is_the_users_fault(loaded: Loaded, tmp_path):
    definition = catalog.read("trainers", "lora", TrainerDefinition).content
    with pytest.raises(UsageError, match="No training pairs"):
        train(loaded, definition, [], seed=0, scratch=tmp_path)


def test_the_carried_model_has_its_own_learning_rate():
    definition = catalog.read("trainers", "goodvibe", TrainerDefinition).content
    assert definition.training_for("smollm2-135m").learning_rate == 3e-3
    assert definition.training_for("Qwen/Qwen3-8B").learning_rate == 1e-4


@pytest.mark.parametrize("adapted", [True, False])
def test_a_training_killed_after_its_last_step_is_not_trained_on(adapted: bool, tmp_path: Path, pairs: list[Pair]):
    """One and a half epochs, of which Trainer would go on with the half."""
    numbers = Training(learning_rate=1e-2, epochs=1.5, batch_size=4, schedule="constant_with_warmup")
    definition = catalog.read("trainers", "lora" if adapted else "full", TrainerDefinition).content
    ends = []
    for _ in range(2):
        loaded = tiny_model(tmp_path / "model")
        objective = SftObjective(loaded.tokenizer)
        attached = attach(loaded.model, definition.tuner, None, seed=0)
        account = fit(attached.model, objective, objective.examples(pairs), numbers, seed=0, scratch=tmp_path / "t")
        ends.append((account.steps, account.tokens, account.losses, attached.model.state_dict()))
    assert ends[0][:3] == ends[1][:3]
    assert all(torch.equal(weight, ends[1][3][key]) for key, weight in ends[0][3].items())


def test_a_training_of_one_step_changes_the_weights(tmp_path: Path, pairs: list[Pair]):
    loaded = tiny_model(tmp_path / "model")
    loaded.model.requires_grad_(True)
    before = {key: weight.clone() for key, weight in loaded.model.state_dict().items()}
    objective = SftObjective(loaded.tokenizer)
    numbers = Training(batch_size=4, epochs=1, learning_rate=1e-3)
    account = fit(loaded.model, objective, objective.examples(pairs[:4]), numbers, seed=0, scratch=tmp_path / "t")
    assert account.steps == 1
    assert any(not torch.equal(weight, before[key]) for key, weight in loaded.model.state_dict().items())
