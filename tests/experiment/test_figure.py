"""Figures: drawn from our numbers, which are printed beside them."""

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from goodvibe_bench.experiment import figure, grid, table
from goodvibe_bench.experiment.grid import Changes
from goodvibe_bench.types import Result
from tests.conftest import Call
from tests.experiment.runs import reduced
from tests.result.builders import outcomes, result


def _drawn(folder: Path) -> list[str]:
    paths = sorted((folder / "results" / "figures").iterdir())
    for path in paths:
        if path.suffix == ".png":
            assert path.read_bytes().startswith(b"\x89PNG")
        else:
            assert ElementTree.parse(path).getroot().tag.endswith("svg")
    return [path.name for path in paths]


def test_figure_4_draws_the_clusters_of_three_projections_and_prints_their_silhouettes(
    call: Call, tmp_path: Path
) -> None:
    code, out, err = call("experiment", "figure4", *reduced(tmp_path, "--tasks", "cpp"), "--json")
    assert code == 0, err
    found = json.loads(out)
    assert [line["heading"] for line in found["lines"]] == ["q_proj", "k_proj", "v_proj"]
    (rows,) = found["clusters"].values()
    assert {(row["layer"], row["projection"]) for row in rows} == {
        (layer, leaf) for layer in (0, 1) for leaf in ("q_proj", "k_proj", "v_proj")
    }
    for line in found["lines"]:
        known = [row["silhouette"] for row in rows if row["projection"] == line["heading"] and row["silhouette"]]
        assert line["ours"] is None if not known else min(known) - 1e-3 <= line["ours"] <= max(known) + 1e-3
    assert len(_drawn(tmp_path)) == len(found["drawn"]) == 2


def _measured(method: str, right: str) -> Result:
    """Return a result whose model answered three questions."""
    asked = {"docs": "d", "correct": {"acc,none": right}}
    block = {
        "digest": "d",
        "languages": ["cpp"],
        "tasks": {"small_choice": {"samples": {"x": asked}}},
        "forgetting": {},
    }
    return result(outcomes(secure=2), method=method).model_copy(update={"utility": {"models": [block]}})


def test_figure_3_draws_utility_before_and_after(tmp_path: Path) -> None:
    shared = {"output": tmp_path / "results", "scratch": tmp_path}
    made = grid.make("figure3", Changes(models=("smollm2-135m",), utility=("small_choice",)), shared)
    before, after = (made.cell("smollm2-135m", column, 0).key for column in made.columns[:2])
    found = {before: _measured("none", "110"), after: _measured("goodvibe", "010")}
    lines = table.lines(made, found)
    assert [line["ours"] for line in lines] == [pytest.approx(value) for value in (200 / 3, 100 / 3, -100 / 3)]
    assert len(figure.draw(made, lines, found)) == 2
    assert _drawn(tmp_path) == ["figure3.png", "figure3.svg"]


def test_nothing_is_drawn_where_nothing_is_done(tmp_path: Path) -> None:
    shared = {"output": tmp_path / "results", "scratch": tmp_path}
    for name in ("figure3", "figure4", "table1"):
        made = grid.make(name, Changes(models=("smollm2-135m",)), shared)
        assert figure.draw(made, table.lines(made, {}), {}) == []
