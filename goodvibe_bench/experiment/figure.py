"""The paper's figures, drawn from our numbers as SVG and PNG: bars before and after, and clusters of neurons.

It computes nothing: lines are table.py's, clusters stand in the neuron files. matplotlib is loaded where it draws.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from goodvibe_bench.errors import UsageError
from goodvibe_bench.experiment.execute import Answers
from goodvibe_bench.experiment.grid import Grid
from goodvibe_bench.experiment.neurons import neuron_file
from goodvibe_bench.experiment.table import AVERAGE, Line
from goodvibe_bench.result import store

if TYPE_CHECKING:
    from goodvibe_bench.neuron.store import NeuronFile

SUFFIXES = (".svg", ".png")


def draw(grid: Grid, lines: Sequence[Line], found: Answers) -> list[Path]:
    """Write the experiment's figures below its output folder; return their paths, none where nothing is done.

    Raises UsageError where they cannot be written.
    """
    folder: Path = grid.shared["output"] / "figures"
    if grid.definition.figure == "bars":
        known = [line for line in lines if line["ours"] is not None and line["metric"] == "utility"]
        return _save(_bars(grid, known), folder / grid.name) if known else []
    if grid.definition.figure == "clusters":
        files = clustered(grid, found)
        return [
            path
            for model, file in files.items()
            for path in _save(_clusters(grid, model, file), folder / store.file_name(grid.name, model))
        ]
    return []


def clustered(grid: Grid, found: Answers) -> "dict[str, NeuronFile]":
    """Return the neuron file of each model that has one, of its first seed."""
    files = {}
    for model in grid.models:
        cell = grid.cell(model, grid.columns[0], grid.seeds[0])
        file = neuron_file(found[cell.key], cell.request.scratch) if cell.key in found else None
        if file is not None:
            files[model] = file
    return files


def shown(grid: Grid, file: "NeuronFile") -> list[str]:
    """Return the modules that a figure of clusters has: first, middle and last layer of the columns' projections."""
    wanted = [column.projection for column in grid.columns]
    by_projection = {leaf: [name for name in file.selection if name.rpartition(".")[2] == leaf] for leaf in wanted}
    found: list[str] = []
    for names in by_projection.values():
        found += dict.fromkeys([names[0], names[(len(names) - 1) // 2], names[-1]]) if names else {}
    return found


def numbers(grid: Grid, found: Answers) -> dict[str, list[dict[str, Any]]]:
    """Return, by model, a row a module that a figure of clusters shows; nothing for other experiments."""
    if grid.definition.figure != "clusters":
        return {}
    from goodvibe_bench.neuron import show

    return {model: show.rows(file, shown(grid, file)) for model, file in clustered(grid, found).items()}


def _save(figure: Any, stem: Path) -> list[Path]:
    paths = [stem.with_name(stem.name + suffix) for suffix in SUFFIXES]
    store.writable(stem.parent)
    for path in paths:
        try:
            figure.savefig(path, dpi=150)
        except OSError as error:
            raise UsageError(f"Cannot write the figure {str(path)!r}: {error.strerror}.") from error
    return paths


def _bars(grid: Grid, lines: Sequence[Line]) -> Any:
    from matplotlib.figure import Figure

    groups = list(dict.fromkeys(line["group"] for line in lines))
    models = [model for model in grid.models if any(line["model"] == model for line in lines)]
    figure = Figure(figsize=(max(4.0, 1.1 * len(models) + 1.5) * len(groups), 4.2), layout="constrained")
    panels = figure.subplots(1, len(groups), squeeze=False, sharey=True)[0]
    for group, axes in zip(groups, panels, strict=True):
        own = [line for line in lines if line["group"] == group and line["model"] != AVERAGE]
        _panel(group, models, own, axes)
    panels[0].set_ylabel("right answers in %")
    panels[0].legend(fontsize=8)
    return figure


def _panel(group: str, models: Sequence[str], own: Sequence[Line], axes: Any) -> None:
    headings = list(dict.fromkeys(line["heading"] for line in own))
    values = {(line["model"], line["heading"]): line["ours"] or 0.0 for line in own}
    width = 0.8 / len(headings)
    for place, heading in enumerate(headings):
        at = [number + (place - (len(headings) - 1) / 2) * width for number in range(len(models))]
        heights = [values.get((model, heading), 0.0) for model in models]
        axes.bar(at, heights, width, label=heading, color=("#56b4e9", "#d55e00")[place % 2])
    for number, model in enumerate(models):
        both = [values[model, heading] for heading in headings if (model, heading) in values]
        if len(both) == 2:
            axes.annotate(f"{both[1] - both[0]:+.2f}", (number, max(both)), ha="center", va="bottom", fontsize=8)
    axes.set_title(group, fontsize=10)
    axes.set_xticks(range(len(models)), models, rotation=20, ha="right", fontsize=8)
    axes.margins(y=0.12)


def _clusters(grid: Grid, model: str, file: "NeuronFile") -> Any:
    from matplotlib.figure import Figure

    from goodvibe_bench.model.linears import layer_index
    from goodvibe_bench.neuron.show import COLOURS, MARKERS

    modules = shown(grid, file)
    columns = min(3, len(modules))
    rows = math.ceil(len(modules) / columns)
    figure = Figure(figsize=(4.0 * columns, 3.2 * rows + 0.4), layout="constrained")
    panels = list(figure.subplots(rows, columns, squeeze=False).flat)
    for name, axes in zip(modules, panels, strict=False):
        neurons = file.selection[name]
        for cluster in range(neurons.cluster_count):
            own = neurons.clusters == cluster
            colour, marker = COLOURS[cluster % len(COLOURS)], MARKERS[cluster % len(MARKERS)]
            axes.scatter(neurons.rows[own], neurons.scores[own], s=18, c=colour, marker=marker, alpha=0.8)
        silhouette = f", silhouette {neurons.silhouette:.2f}" if math.isfinite(neurons.silhouette) else ""
        axes.set_title(f"layer {layer_index(name)} {name.rpartition('.')[2]}{silhouette}", fontsize=9)
        axes.set_xlabel("row of the layer", fontsize=8)
        axes.set_ylabel("importance", fontsize=8)
        axes.tick_params(labelsize=7)
    for axes in panels[len(modules) :]:
        axes.set_visible(False)
    figure.suptitle(f"Security neurons of {model}, one colour a cluster", fontsize=11)
    return figure
