"""From a definition and the command line's changes to runs."""

from pathlib import Path
from typing import Any

import pytest

from goodvibe_bench.errors import UsageError
from goodvibe_bench.experiment import grid
from goodvibe_bench.experiment.grid import Changes
from goodvibe_bench.generator.sampling import Sampling

SHARED: dict[str, Any] = {"sampling": Sampling(max_new_tokens=8), "output": Path("o"), "scratch": Path("s")}


def test_table_1_is_48_runs_of_a_language_each_on_raw_rows() -> None:
    cells = grid.make("table1", Changes(), SHARED).cells()
    assert len(cells) == 48
    assert {len(cell.request.tasks) for cell in cells} == {1}
    assert {cell.request.quality for cell in cells} == {"raw"}
    assert "meta-llama/Meta-Llama-3-8B-Instruct" in {cell.request.model for cell in cells}


def test_tables_share_the_runs_that_they_have_in_common() -> None:
    first = {cell.key for cell in grid.make("table1", Changes(), SHARED).cells()}
    for name, own in {
        "table2": 0,
        "table3": 0,
        "table5": 12,
        "table6": 12,
        "table7": 12,
        "table8": 12,
        "table9": 12,
    }.items():
        cells = grid.make(name, Changes(), SHARED).cells()
        assert len({cell.key for cell in cells} - first) == own, name


def test_a_model_that_is_none_of_the_papers_stands_beside_its_average() -> None:
    made = grid.make("table1", Changes(models=("smollm2-135m", "Qwen/Qwen3-8B")), SHARED)
    column = made.columns[0]
    assert made.models == ("smollm2-135m", "qwen3-8b")
    assert made.stands_in("smollm2-135m")
    assert made.paper("smollm2-135m", column) == pytest.approx(32.783, abs=1e-3)
    assert (made.stands_in("qwen3-8b"), made.paper("qwen3-8b", column)) == (False, 39.4)
    assert made.cell("smollm2-135m", column, 0).request.model == "smollm2-135m", "carried: not fetched from the hub"


def test_tasks_take_the_place_of_those_of_their_language() -> None:
    made = grid.make("table1", Changes(tasks=("cpp",)), SHARED)
    assert {cell.request.tasks for cell in made.cells()} == {("cpp",)}
    both = grid.make("table1", Changes(tasks=("cpp", "cybernative-cpp", "java")), SHARED)
    assert {cell.request.tasks for cell in both.cells()} == {("cpp", "cybernative-cpp"), ("java",)}
    with pytest.raises(UsageError, match="--tasks go: this experiment is of cpp, java"):
        grid.make("table1", Changes(tasks=("go",)), SHARED)


def test_controls_stand_beside_the_papers_methods_in_every_language() -> None:
    made = grid.make("table5", Changes(methods=("goodvibe-random-rows", "goodvibe")), SHARED)
    assert [column.method for column in made.columns] == ["goodvibe-activation", "goodvibe", "goodvibe-random-rows"] * 2
    with pytest.raises(UsageError, match="tables of rates"):
        grid.make("table2", Changes(methods=("goodvibe-random-rows",)), SHARED)


def test_seeds_are_runs_of_their_own() -> None:
    cells = grid.make("table3", Changes(seeds=(0, 1)), SHARED).cells()
    assert sorted(cell.request.seed for cell in cells) == [0, 0, 0, 1, 1, 1]


def test_other_benchmarks_take_the_place_of_figure_3s() -> None:
    made = grid.make("figure3", Changes(utility=("small_choice",)), SHARED)
    assert [(column.group, column.metric) for column in made.columns] == [
        ("small_choice", "utility"),
        ("small_choice", "utility"),
        ("All benchmarks", "utility_change"),
    ]
    assert made.columns[-1].average is None, "the paper's drop is of its own benchmarks"
    assert {cell.request.utility for cell in made.cells()} == {("small_choice",)}
    with pytest.raises(UsageError, match="figure3"):
        grid.make("table1", Changes(utility=("small_choice",)), SHARED)


def test_an_unknown_experiment_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(UsageError, match="table1"):
        grid.make("tabel1", Changes(), SHARED)
