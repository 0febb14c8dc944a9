"""What the measuring programs do before they measure."""

import importlib.util
from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest

from goodvibe_bench import catalog
from goodvibe_bench.errors import UsageError
from goodvibe_bench.judge.definition import JudgeDefinition
from goodvibe_bench.trainer.cost import Shape
from tests.tiny import tiny_folder

FOLDER = Path(__file__).parent.parent / "benchmarks"
LINEAR = 'description = "x"\n[judge]\nkind = "linear"\n'


def program(name: str) -> Any:
    """Return benchmarks/<name>.py as a module."""
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("head", ["[fit]", "[fit] # how", "  [ fit ]"])
def test_a_curve_learns_from_the_share_that_it_says(tmp_path: Path, head: str) -> None:
    (tmp_path / "own.toml").write_text(f'{LINEAR}{head}\ntasks = ["go"]')
    (tmp_path / "out").mkdir()
    path = program("judge_curve").with_share(str(tmp_path / "own.toml"), 0.25, tmp_path / "out")
    recipe = catalog.read("judges", str(path), JudgeDefinition).content.fit
    assert recipe is not None
    assert (recipe.share, recipe.tasks) == (0.25, ("go",))


@pytest.mark.parametrize("fit", ["", 'fit = { tasks = ["go"] }\n', '[fit]\ntasks = ["go"]\nshare = 0.5\n'])
def test_a_curve_refuses_a_definition_whose_share_it_cannot_set(tmp_path: Path, fit: str) -> None:
    (tmp_path / "own.toml").write_text(fit + LINEAR if fit.startswith("fit") else LINEAR + fit)
    (tmp_path / "out").mkdir()
    with pytest.raises(UsageError, match=r"own"):
        program("judge_curve").with_share(str(tmp_path / "own.toml"), 0.25, tmp_path / "out")


@pytest.mark.parametrize("trainer", ["goodvibe", "goodvibe-top8", "lora", "full"])
def test_steps_on_random_weights_are_measured(tmp_path: Path, trainer: str) -> None:
    words = Namespace(model=str(tiny_folder(tmp_path / "model")), rows=2, length=8, steps=1)
    found = program("shapes").one(words, trainer)
    assert found["tokens_per_second"] == pytest.approx(16 / found["step_seconds"])
    assert found["trained"] > 0
    assert found["pflops_a_step"] > 0
    assert trainer in program("shapes").table({trainer: found, "other": None})


def test_qwen3_06b_has_the_parameters_of_its_name() -> None:
    shape = Shape.from_config(program("shapes")._config("qwen3-0.6b"))
    assert shape.parameters == 596_049_920


def test_a_method_is_held_against_random_rows_at_their_own_learning_rate() -> None:
    """Rates are tuned per method, and the question is about rows: a control at another rate is still the control."""
    rows = "goodvibe-random-rows"
    methods = [f"{rows}[learning_rate=1e-3]", f"{rows}[top_k=10,learning_rate=1e-2]", "full[learning_rate=1e-4]"]
    methods += ["goodvibe[learning_rate=3e-3]", "goodvibe[top_k=10,learning_rate=3e-3]", "none"]
    found = list(program("quality")._against(methods))
    assert [pair for pair in found if pair[1] != "none"] == [
        ("full[learning_rate=1e-4]", f"{rows}[learning_rate=1e-3]"),
        ("goodvibe[learning_rate=3e-3]", f"{rows}[learning_rate=1e-3]"),
        ("goodvibe[top_k=10,learning_rate=3e-3]", f"{rows}[top_k=10,learning_rate=1e-2]"),
    ]
    assert [method for method, base in found if base == "none"] == methods[:-1]
    same = [*methods, f"{rows}[learning_rate=3e-3]"]
    against = [base for method, base in program("quality")._against(same) if method == "goodvibe[learning_rate=3e-3]"]
    assert against == ["none", f"{rows}[learning_rate=3e-3]"], "its own rate where that was trained too"


def test_methods_at_their_best_learning_rates_are_held_against_one_another_and_others_at_the_same_rate() -> None:
    quality, rows = program("quality"), "goodvibe-random-rows"
    best = quality._best(quality._read(FOLDER / "measured" / "quality-cpp-rates.json"))
    methods = [f"{rows}[learning_rate=1e-4]", f"{rows}[learning_rate=3e-3]", f"{rows}[top_k=10,learning_rate=3e-3]"]
    methods += ["full[learning_rate=1e-4]", "goodvibe[learning_rate=1e-4]", "goodvibe[learning_rate=3e-3]"]
    methods += ["goodvibe[top_k=10,learning_rate=3e-3]", "goodvibe[top_k=7,learning_rate=3e-3]"]
    assert [pair for pair in quality._against(methods, best) if pair[1] != "none"] == [
        ("full[learning_rate=1e-4]", f"{rows}[learning_rate=3e-3]"),
        ("goodvibe[learning_rate=1e-4]", f"{rows}[learning_rate=1e-4]"),
        ("goodvibe[learning_rate=3e-3]", f"{rows}[learning_rate=3e-3]"),
        ("goodvibe[top_k=10,learning_rate=3e-3]", f"{rows}[top_k=10,learning_rate=3e-3]"),
        ("goodvibe[top_k=7,learning_rate=3e-3]", f"{rows}[learning_rate=1e-4]"),
        ("goodvibe[top_k=7,learning_rate=3e-3]", f"{rows}[learning_rate=3e-3]"),
    ]
    all_at_one = ["full[learning_rate=1e-4]", f"{rows}[learning_rate=1e-4]"]
    assert list(quality._against(all_at_one, best)) == [tuple(all_at_one)]


def test_results_of_two_dtypes_are_in_no_table_together(tmp_path: Path) -> None:
    for folder in ("quality-cpp", "quality-java-paper-rate"):  # in bfloat16 and in float32
        path = next((FOLDER.parent / "results" / folder).glob("*--none--*.json"))
        (tmp_path / path.name).write_bytes(path.read_bytes())
    with pytest.raises(SystemExit, match="results in bfloat16 and float32, which are not compared"):
        program("quality").table(Namespace(folder=FOLDER.parent / "results" / "quality-cpp", also=[tmp_path]))
