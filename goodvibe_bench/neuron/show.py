"""Show a neuron file: a row a module, a summary, and a figure of clusters after the paper's Figure 4.

It computes no scores and no clusters; all that it shows stands in the file. It prints nothing: cli.py does.
"""

import math
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.decomposition import PCA

from goodvibe_bench.errors import UsageError, nearest
from goodvibe_bench.model.linears import layer_index
from goodvibe_bench.neuron.store import NeuronFile

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SUFFIXES = (".png", ".svg")
MOST_PANELS = 12
COLUMNS = 3
"""Panels side by side."""
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#222222", "#999933")
"""Told apart by colour-blind readers too; markers tell the clusters apart in print."""
MARKERS = "os^DvPX*"


def choose(file: NeuronFile, patterns: Sequence[str] | None) -> list[str]:
    """Return the module paths that a pattern (* and ?) matches in full or from a dot on; all when None.

    Raises UsageError for a pattern that matches none.
    """
    if patterns is None:
        return list(file.selection)
    found: list[str] = []
    for pattern in patterns:
        matches = [name for name in file.selection if fnmatchcase(f".{name}", f"*.{pattern}")]
        if not matches:
            leaves = sorted({name.rpartition(".")[2] for name in file.selection})
            raise UsageError(
                f"No module of the neuron file matches {pattern!r}. {nearest(pattern, leaves)} "
                f"A module's path is like {next(iter(file.selection))!r}."
            )
        found += matches
    return [name for name in file.selection if name in found]


def rows(file: NeuronFile, modules: Sequence[str]) -> list[dict[str, Any]]:
    """Return one row a module: layer, projection, and the figures of its neurons; None where a figure is unknown."""
    found = []
    for name in modules:
        neurons, width = file.selection[name], file.width[name]
        found.append(
            {
                "layer": layer_index(name),
                "projection": name.rpartition(".")[2],
                "importance_mass": _known(file.mass[name]),
                "rows": len(neurons.rows),
                "of_rows": width,
                "share_of_rows": _known(len(neurons.rows) / width),
                "clusters": neurons.cluster_count,
                "silhouette": _known(neurons.silhouette),
            }
        )
    return found


def summary(file: NeuronFile, modules: Sequence[str]) -> str:
    """Return one line: how many rows hold how much of the importance, in how many clusters, and from what."""
    table, note = rows(file, modules), file.note
    selected, width = (sum(row[key] for row in table) for key in ("rows", "of_rows"))
    words = [f"{len(table)} modules: {selected} of {width} rows ({selected / width:.2%})"]
    words += [f"median importance mass {value:.2f}" for value in _median(table, "importance_mass")]
    words.append(f"{sum(row['clusters'] for row in table)} clusters")
    words += [f"median silhouette {value:.2f}" for value in _median(table, "silhouette")]
    halves = f", whose halves agree on {float(note['half_overlap']):.0%}" if note["half_overlap"] else ""
    source = f"{note['attribution']} attribution"
    source += f" of {note['samples']} snippets{halves}{_cut(note)}" if note["samples"] != "0" else ", nothing read"
    return f"{', '.join(words)}; {source}; model {note['model']}, {note['dtype']}, seed {note['seed']}."


def _cut(note: dict[str, str]) -> str:
    """Return how many snippets were not read whole; nothing where all were, or where the file does not say."""
    if note.get("cut", "0") == "0":
        return ""
    return f", {note['cut']} of them longer than {note['max_code_tokens']} tokens and read without their middle"


def draw(file: NeuronFile, patterns: Sequence[str] | None, path: Path) -> list[str]:
    """Write a figure (PNG or SVG by its suffix) with a panel a module; return the modules drawn.

    A point is a selected row, at the first two principal components of its per-sample scores, coloured by cluster.
    Without patterns the modules are the first, middle and last layer's q_proj, or else the three best silhouettes.
    Raises UsageError for another suffix, too many modules, or a file that cannot be written.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise UsageError(f"A figure is written as {' or '.join(SUFFIXES)}, not as {str(path)!r}.")
    modules = _typical(file) if patterns is None else choose(file, patterns)
    if len(modules) > MOST_PANELS:
        raise UsageError(f"{len(modules)} modules match, and a figure holds {MOST_PANELS}. Narrow --modules.")
    from matplotlib.figure import Figure

    columns = min(COLUMNS, len(modules))
    lines = math.ceil(len(modules) / columns)
    figure = Figure(figsize=(4.2 * columns, 3.9 * lines + 0.3), layout="constrained")
    panels = list(figure.subplots(lines, columns, squeeze=False).flat)
    for name, axes in zip(modules, panels, strict=False):
        _panel(file, name, axes)
    for axes in panels[len(modules) :]:
        axes.set_visible(False)
    figure.suptitle("Selected rows by their score in each snippet", fontsize=12)
    try:
        figure.savefig(path, dpi=150)
    except OSError as error:
        raise UsageError(f"Cannot write the figure {str(path)!r}: {error.strerror}.") from error
    return modules


def _typical(file: NeuronFile) -> list[str]:
    queries = [name for name in file.selection if name.endswith(".q_proj")]
    if queries:
        return list(dict.fromkeys([queries[0], queries[(len(queries) - 1) // 2], queries[-1]]))
    known = [name for name, found in file.selection.items() if math.isfinite(found.silhouette)]
    best = sorted(known, key=lambda name: -file.selection[name].silhouette)
    return (best or list(file.selection))[:3]


def _panel(file: NeuronFile, name: str, axes: "Axes") -> None:
    neurons = file.selection[name]
    silhouette = f"silhouette {neurons.silhouette:.2f}" if math.isfinite(neurons.silhouette) else "no silhouette"
    count = neurons.cluster_count
    axes.set_title(f"layer {layer_index(name)}, {name.rpartition('.')[2]}: {silhouette}", fontsize=10)
    places, shares = _components(file.profiles[name].T.double().numpy())
    ids = neurons.clusters.numpy()
    if count > len(COLOURS):
        axes.scatter(*places.T, s=26, c=COLOURS[0], alpha=0.8, label=f"{count} clusters, {len(ids)} rows")
    for cluster in range(count if count <= len(COLOURS) else 0):
        points = places[ids == cluster]
        words = f"cluster {cluster + 1}: {len(points)} row{'' if len(points) == 1 else 's'}"
        axes.scatter(*points.T, s=30, c=COLOURS[cluster], marker=MARKERS[cluster], alpha=0.8, label=words)
    axes.set_xlabel(f"component 1 ({shares[0]:.0%} of variance)", fontsize=9)
    axes.set_ylabel(f"component 2 ({shares[1]:.0%})", fontsize=9)
    axes.tick_params(labelsize=8)
    axes.grid(alpha=0.25)
    if count:
        axes.legend(fontsize=8, framealpha=0.7)


def _components(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return places [k, 2], in standard deviations of all scores, and both components' shares of the variance."""
    places, shares = np.zeros((len(vectors), 2)), np.zeros(2)
    if len(vectors) < 2 or not np.ptp(vectors, axis=0).any():
        return places, shares
    count = min(2, *vectors.shape)
    pca = PCA(count, random_state=0)
    places[:, :count] = pca.fit_transform(vectors / vectors.std())  # gradients may be 1e-9
    shares[:count] = pca.explained_variance_ratio_
    return places, shares


def _known(value: float) -> float | None:
    return round(value, 4) if math.isfinite(value) else None


def _median(table: list[dict[str, Any]], key: str) -> list[float]:
    known = [row[key] for row in table if row[key] is not None]
    return [median(known)] if known else []
