"""The paper's tables as data: every file loads, and what it prints is what its cells give, or is said not to be."""

import pytest

from goodvibe_bench import catalog, plan
from goodvibe_bench.errors import UsageError
from goodvibe_bench.experiment.definition import Column, ExperimentDefinition
from goodvibe_bench.trainer import TrainerDefinition

NAMES = [f"table{number}" for number in range(1, 10)] + ["figure3", "figure4"]
FOUND = {name: catalog.read("experiments", name, ExperimentDefinition).content for name in NAMES}


def _column(name: str, group: str, heading: str) -> Column:
    (found,) = [one for one in FOUND[name].column if (one.group, one.heading) == (group, heading)]
    return found


def test_every_table_and_figure_of_the_paper_is_there() -> None:
    assert catalog.names("experiments") == sorted(NAMES)
    printed = {name: sum(len(column.paper or ()) for column in FOUND[name].column) for name in NAMES}
    assert printed == {
        "table1": 48,
        "table2": 18,
        "table3": 6,
        "table4": 24,
        "table5": 24,
        "table6": 24,
        "table7": 18,
        "table8": 18,
        "table9": 18,
        "figure3": 0,
        "figure4": 0,
    }


@pytest.mark.parametrize("name", NAMES)
def test_an_experiment_names_what_exists(name: str) -> None:
    assert set(FOUND[name].models) <= set(plan.known())
    for column in FOUND[name].column:
        assert column.task in catalog.names("tasks")
        content = catalog.read("trainers", column.method, TrainerDefinition).content
        assert all(content.known(key) for key in column.overrides)


@pytest.mark.parametrize(
    ("name", "group", "heading", "model", "cell"),
    [
        ("table1", "C++", "GoodVibe", "codellama-7b-instruct", 86.6),
        ("table1", "C++", "Full FT", "llama-3-8b-instruct", 96.5),
        ("table1", "Java", "LoRA", "qwen3-14b", 82.8),
        ("table1", "Java", "GoodVibe", "gemma-3-12b-it", 61.3),
        ("table2", "C++", "LoRA", "gemma-3-12b-it", 8.6),
        ("table2", "C++", "Full Fine-tuning", "qwen3-8b", 8190.7),
        ("table3", "TFLOPs per second", "LoRA", "codellama-7b-instruct", 6.4),
        ("table4", "Go", "LoRA", "qwen3-8b", 34.9),
        ("table5", "Java", "Activ.", "codellama-7b-instruct", 38.2),
        ("table6", "C++", "w/o", "gemma-3-4b-it", 94.6),
        ("table7", "C++", "0.1", "qwen3-14b", 71.7),
        ("table8", "C++", "100", "llama-3-8b-instruct", 91.8),
        ("table9", "C++", "3", "gemma-3-12b-it", 75.2),
    ],
)
def test_a_cell_is_the_papers(name: str, group: str, heading: str, model: str, cell: float) -> None:
    paper = _column(name, group, heading).paper
    assert paper is not None
    assert paper[FOUND[name].models.index(model)] == cell


def test_goodvibes_column_is_one_and_the_same_in_every_table() -> None:
    same = {"C++": _column("table1", "C++", "GoodVibe"), "Java": _column("table1", "Java", "GoodVibe")}
    for name, heading in [
        ("table5", "Gradient"),
        ("table6", "w/"),
        ("table7", "0.05"),
        ("table8", "50"),
        ("table9", "2"),
    ]:
        for group in {column.group for column in FOUND[name].column}:
            found = _column(name, group, heading)
            assert (found.paper, found.average, found.overrides) == (same[group].paper, same[group].average, {})


def test_averages_are_computed_from_the_cells_and_three_printed_ones_are_far_off() -> None:
    far = {
        f"{name} {column.group} {column.heading}": (column.average, round(column.computed, 1))
        for name in NAMES
        for column in FOUND[name].column
        if column.computed is not None and column.average is not None and abs(column.average - column.computed) > 2
    }
    assert far == {
        "table1 C++ Baseline": (35.1, 32.8),
        "table1 Java Baseline": (59.3, 57.2),
        "table1 Java Full FT": (83.0, 85.5),
    }
    assert not _column("table1", "C++", "Baseline").follows
    assert _column("table7", "C++", "0.01").follows
    assert _column("table4", "Swift", "Baseline").follows, "where no cells are printed nothing can be computed"


def test_22_of_48_cells_of_table_1_lie_above_what_the_papers_judge_can_report() -> None:
    cells = [cell for column in FOUND["table1"].column for cell in column.paper or ()]
    assert sum(cell > 84 for cell in cells) == 22


def test_a_row_of_cells_that_is_too_short_is_refused() -> None:
    words = {"description": "x", "section": "1", "models": ["qwen3-8b", "qwen3-14b"]}
    column = {"group": "C++", "heading": "x", "task": "cpp", "method": "none", "paper": [1.0]}
    with pytest.raises(UsageError, match="2 cells are wanted"):
        catalog.parse(words | {"column": [column]}, ExperimentDefinition, "x.toml")
    with pytest.raises(UsageError, match="benchmark goes with metric utility"):
        catalog.parse(
            words | {"column": [column | {"paper": None, "metric": "utility"}]}, ExperimentDefinition, "x.toml"
        )
