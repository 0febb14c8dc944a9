import json
from dataclasses import replace
from pathlib import Path

import pytest

from goodvibe_bench import catalog, plan
from goodvibe_bench.errors import UsageError
from goodvibe_bench.objective.sft import SftObjective
from goodvibe_bench.plan import Workload
from goodvibe_bench.trainer.definition import TrainerDefinition
from goodvibe_bench.trainer.train import train
from goodvibe_bench.types import Pair
from tests.conftest import Call
from tests.tiny import tiny_folder, tiny_model


def test_seven_models_are_known_and_their_configs_are_read() -> None:
    assert list(plan.known()) == [
        "codellama-7b-instruct",
        "gemma-3-12b-it",
        "gemma-3-4b-it",
        "llama-3-8b-instruct",
        "qwen3-14b",
        "qwen3-8b",
        "smollm2-135m",
    ]
    for name, facts in plan.known().items():
        assert plan.read_config(name).model_type == facts.config["model_type"]


@pytest.mark.parametrize("name", ["Qwen/Qwen3-14B", "qwen/qwen3-14b", "qwen3-14b"])
def test_a_known_model_goes_by_its_hub_id_as_well(name: str) -> None:
    assert plan.read_config(name).hidden_size == 5120


def test_a_plan_of_the_papers_model_gives_its_exact_counts_and_the_reasons_for_differences() -> None:
    plans, notes = plan.plan("codellama-7b-instruct", ("none", "lora", "goodvibe"), Workload())
    base, lora, goodvibe = plans
    assert (base.trainable_parameters, base.training_flops, base.attribution_flops, base.adapter_bytes) == (0,) * 4
    assert (lora.trainable_parameters, lora.total_parameters) == (4_997_120, 6_738_546_688)
    assert lora.adapter_bytes == 4 * lora.trainable_parameters
    assert goodvibe.trainable_parameters == 2_277_376
    assert lora.counted_over_analytic == pytest.approx(1, abs=0.01)
    assert goodvibe.counted_over_analytic == pytest.approx(1, abs=0.01)
    assert 13.5e9 < goodvibe.peak_memory_bytes < lora.peak_memory_bytes < 40e9
    assert any(note.startswith("lora: 4.997 million trained, the paper prints 4.9") for note in notes)
    assert any("2 clusters a module assumed" in note for note in notes)
    assert any(note.startswith("Table 3") for note in notes)


def test_exact_cluster_counts_are_not_called_assumed() -> None:
    _, notes = plan.plan("smollm2-135m", ("goodvibe-no-clusters", "goodvibe-random-clusters"), Workload(pairs=2))
    assert not any("assumed" in note for note in notes)


@pytest.mark.parametrize(
    ("clusters", "said"),
    [
        ("[2,8]", "2 clusters a module assumed; k-means decides from 2 to 8 (best k was 2 in 204"),
        (
            "[4,5]",
            "4 clusters a module assumed; k-means decides from 4 to 5. In a module whose silhouette is below 0.05",
        ),
        ("4", "4 clusters a module assumed; k-means is given that number. In a module"),
    ],
)
def test_how_many_clusters_there_may_be_is_said_as_the_definition_has_it(clusters: str, said: str) -> None:
    content = catalog.read("trainers", "goodvibe", TrainerDefinition).content
    content = content.with_overrides({"tuner.clusters": clusters, "tuner.on_low_silhouette": "single"})
    trainer = catalog.Definition("own", Path(), content, "")
    _, notes = plan.plan("smollm2-135m", ("own",), Workload(pairs=2), [trainer])
    (note,) = [note for note in notes if "assumed" in note]
    assert note.startswith(f"own: {said}")
    assert note.endswith("all rows share one update.")


def test_of_one_model_a_language_it_is_said_that_one_is_planned() -> None:
    _, notes = plan.plan("smollm2-135m", ("goodvibe", "paper-table2"), Workload(pairs=2))
    (note,) = [note for note in notes if "one model a language" in note]
    assert note.startswith("paper-table2: ")


def test_attribution_reads_no_more_snippets_than_there_are() -> None:
    few, many = (plan.plan("smollm2-135m", ("goodvibe",), Workload(pairs=n))[0][0] for n in (8, 800))
    assert many.attribution_flops == 10 * few.attribution_flops


def test_a_local_folder_needs_its_config_only(tmp_path: Path) -> None:
    folder = tiny_folder(tmp_path / "tiny", kind="qwen3")
    (folder / "model.safetensors").unlink()
    (found,), _ = plan.plan(str(folder), ("full",), Workload(pairs=3, tokens_per_pair=16, micro_batch=2))
    assert found.trainable_parameters == found.total_parameters > 0
    assert found.paper_millions is None


@pytest.mark.parametrize("name", ["lora", "lora-top8"])
def test_a_plan_has_the_flops_of_the_training_that_it_plans(tmp_path: Path, pairs: list[Pair], name: str) -> None:
    """Of one pair over and over, so that all examples have one length."""
    trainer = catalog.read("trainers", name, TrainerDefinition)
    words = {"training.epochs": "2", "training.batch_size": "4"}
    words |= {"tuner.top_layers": "1"} if name == "lora-top8" else {}
    trainer = replace(trainer, content=trainer.content.with_overrides(words))
    loaded = tiny_model(tmp_path / "tiny")
    row = SftObjective(loaded.tokenizer).examples(pairs[:1])[0]
    work = Workload(
        pairs=8,
        tokens_per_pair=len(row["input_ids"]),
        answer_tokens=row["answer_length"],
        micro_batch=trainer.content.training.micro_batch_size,
    )
    (planned,), _ = plan.plan(str(tmp_path / "tiny"), (name,), work, [trainer])
    report = train(loaded, trainer.content, pairs[:1] * 8, seed=0, scratch=tmp_path / "scratch")
    assert report.flops is not None
    assert (report.flops.training, report.flops.headline) == (planned.training_flops, planned.headline_flops)


def test_a_folder_has_the_preset_of_its_own_name(tmp_path: Path) -> None:
    folder, work = tiny_folder(tmp_path / "tiny"), Workload(pairs=2, tokens_per_pair=16)
    lora = catalog.read("trainers", "lora", TrainerDefinition)
    presets = {"tiny": {"checkpointing": True}}
    changed = replace(lora, content=lora.content.model_copy(update={"presets": presets}))
    (without, found), _ = plan.plan(str(folder), ("lora", "lora"), work, [lora, changed])
    assert found.training_flops > without.training_flops


def test_an_answer_longer_than_its_example_is_refused() -> None:
    with pytest.raises(UsageError, match="leaves no prompt"):
        plan.plan("smollm2-135m", ("lora",), Workload(tokens_per_pair=16, answer_tokens=16))


@pytest.mark.parametrize(("name", "word"), [("smollm2-135n", "'smollm2-135m'"), ("nobody/nothing", "could not be")])
def test_an_unknown_model_is_refused(call: Call, name: str, word: str) -> None:
    code, out, err = call("plan", "--model", name, "--method", "lora")
    assert (code, out) == (2, "")
    assert word in err
    assert "Traceback" not in err


def test_an_unknown_method_is_refused(call: Call) -> None:
    code, _, err = call("plan", "--model", "qwen3-8b", "--method", "lorra")
    assert code == 2
    assert "'lora'" in err


def test_the_command_prints_a_table_and_notes(call: Call) -> None:
    code, out, _ = call("plan", "--model", "smollm2-135m", "--method", "lora,goodvibe", "--pairs", "4")
    assert code == 0
    assert "4 pairs of 512 tokens, 2 epochs" in out
    assert "0.61056" in out
    assert "clusters a module assumed" in out


def test_json_has_every_method(call: Call) -> None:
    code, out, _ = call("plan", "--model", "smollm2-135m", "--method", "none,lora", "--pairs", "4", "--json")
    assert code == 0
    assert [one["method"] for one in json.loads(out)["plans"]] == ["none", "lora"]


def test_a_changed_trainer_is_planned_and_keys_that_a_plan_does_not_go_by_are_refused(call: Call) -> None:
    words = ("plan", "--model", "smollm2-135m", "--method", "lora,goodvibe-no-clusters", "--pairs", "4", "--json")
    code, out, _ = call(*words, "--set", "tuner.top_k=10", "--set", "training.checkpointing=true")
    assert code == 0
    lora, rows = json.loads(out)["plans"]
    assert [lora["method"], rows["method"]] == [
        "lora[checkpointing=true]",
        "goodvibe-no-clusters[top_k=10,checkpointing=true]",
    ]
    before = json.loads(call(*words)[1])["plans"]
    assert 5 * rows["trainable_parameters"] == before[1]["trainable_parameters"]
    assert lora["training_flops"] > before[0]["training_flops"]
    code, out, err = call(*words, "--set", "training.epochs=3")
    assert (code, out) == (2, "")
    assert "--epochs" in err
    assert call(*words, "--set", "training.learning_rate=3e-3")[0] == 0, "what changes no cost is no fault"


def test_the_wheel_carries_the_models() -> None:
    text = (catalog.root() / "pyproject.toml").read_text()
    assert 'models = "goodvibe_bench/definitions/models"' in text


def test_without_clusters_the_papers_count_with_the_lm_head_is_printed() -> None:
    _, notes = plan.plan("codellama-7b-instruct", ("goodvibe-no-clusters",), plan.Workload())
    assert any("57,139,200 with 50 rows of the LM head" in note for note in notes)


def test_figures_beside_the_papers_are_not_rounded_twice() -> None:
    """6738.546688 million is the paper's 6738.5; as 6738.55 it would seem to be another number."""
    plans, notes = plan.plan("codellama-7b-instruct", ("none", "full", "goodvibe"), Workload())
    rows = plan.table(plans)
    assert [row["trained_M"] for row in rows] == ["0", "6738.546688", "2.277376"]
    assert rows[1]["paper_M"] == "6738.5"
    assert any(
        "prints 1.7: rounded so, it is 12.59 to 13.35 x layers x hidden (12.75 to 12.94 fits" in n for n in notes
    )


def test_what_the_six_counts_have_in_common_is_what_the_note_says() -> None:
    spans = []
    for name, facts in plan.known().items():
        if facts.paper:
            text = plan.read_config(name).get_text_config()
            unit = text.num_hidden_layers * text.hidden_size / 1e6
            spans.append(((facts.paper["goodvibe"] - 0.05) / unit, (facts.paper["goodvibe"] + 0.05) / unit))
    assert len(spans) == 6
    assert (round(max(low for low, _ in spans), 2), round(min(high for _, high in spans), 2)) == (12.75, 12.94)
