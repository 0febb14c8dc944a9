"""Choose the security neurons from their scores and group them (eq. 2, 3 and 7; section 4.2, appendix A).

It does no forward pass: profiles come from attribution.py, or from a seed for the random control.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

import numpy as np
import torch
from sklearn.cluster import KMeans
from sklearn.metrics import silhouette_score

from goodvibe_bench.neuron.attribution import Profiles

Features = Literal["profile", "importance", "profile_normalised"]
LowSilhouette = Literal["independent", "single", "freeze"]


@dataclass(frozen=True)
class Neurons:
    """The selected rows of one module and the cluster of each."""

    rows: torch.Tensor
    """int64 [k], ascending importance rank: most important first."""
    scores: torch.Tensor
    """float32 [k], the rows' importance (eq. 1)."""
    clusters: torch.Tensor
    """int64 [k], 0 .. C-1."""
    silhouette: float
    """Of the chosen clustering; nan where none was tried."""

    @property
    def cluster_count(self) -> int:
        return int(self.clusters.max()) + 1 if len(self.clusters) else 0


Selection = dict[str, Neurons]
"""Per module path, its neurons: eq. 3's subspace."""


def top_rows(importance: torch.Tensor, k: int) -> torch.Tensor:
    """Return the indices of the k largest scores, best first; ties go to the lower index (eq. 2)."""
    return torch.sort(importance, descending=True, stable=True).indices[:k]


def overlap_of_halves(profiles: Profiles, k: int, families: Sequence[str] | None = None) -> float:
    """Return the mean share of top-k rows that two halves of the samples agree on, over modules; nan for one sample.

    The halves hold every other sample; every other family where `families` names each sample's, since samples that
    alternate between secure and insecure sides would be parted by their labels.
    """
    groups = families or [str(place) for place in range(len(next(iter(profiles.values()))))]
    places = {family: place for place, family in enumerate(dict.fromkeys(groups))}
    if len(places) < 2:
        return float("nan")
    even = torch.tensor([places[family] % 2 == 0 for family in groups])
    shares = []
    for profile in profiles.values():
        first, second = (set(top_rows(half.mean(0), k).tolist()) for half in (profile[even], profile[~even]))
        shares.append(len(first & second) / max(1, len(first)))
    return float(np.mean(shares))


def select(
    profiles: Profiles,
    *,
    top_k: int,
    features: Features = "profile",
    clusters: tuple[int, int] | None = (2, 8),
    min_silhouette: float = 0.05,
    on_low_silhouette: LowSilhouette = "independent",
    random_clusters: int | None = None,
    seed: int = 0,
    progress: Callable[[int], None] = lambda done: None,
) -> Selection:
    """Return each module's top-k rows and their clusters.

    `profiles` holds [samples, rows] scores; importance is their mean over samples. `clusters` is the inclusive range
    of k-means' k, of which the best silhouette wins, or None for one update a row; below `min_silhouette` clustering
    is skipped (section 6.2 says such rows are updated independently). `random_clusters` replaces k-means by a random
    assignment to that many.
    """
    found: Selection = {}
    generator = np.random.default_rng(seed)
    for name, profile in profiles.items():
        importance = profile.mean(0)
        rows = top_rows(importance, top_k)
        if random_clusters is not None:
            ids, silhouette = _random_ids(len(rows), random_clusters, generator), float("nan")
        elif clusters is None:
            ids, silhouette = np.arange(len(rows)), float("nan")
        else:
            ids, silhouette = _cluster(_features(profile, rows, features), clusters, seed)
            if not silhouette >= min_silhouette:
                ids = _fallback(len(rows), on_low_silhouette)
                rows = rows[: len(ids)]
        found[name] = Neurons(rows, importance[rows], torch.from_numpy(ids.astype(np.int64)), silhouette)
        progress(1)
    return found


def random_profiles(rows: dict[str, int], seed: int) -> Profiles:
    """Return one sample of uniform scores a module: the control that selects rows blindly."""
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.rand(1, count, generator=generator) for name, count in rows.items()}


def _random_ids(rows: int, clusters: int, generator: np.random.Generator) -> np.ndarray:
    ids = np.arange(rows) % min(clusters, rows)
    generator.shuffle(ids)
    return ids


def _fallback(rows: int, rule: LowSilhouette) -> np.ndarray:
    return {
        "independent": np.arange(rows),
        "single": np.zeros(rows, dtype=np.int64),
        "freeze": np.arange(0),
    }[rule]


def _features(profile: torch.Tensor, rows: torch.Tensor, features: Features) -> np.ndarray:
    """Return [k, d] vectors: the rows' per-sample profiles, those at unit length, or their mean importance."""
    selected = profile[:, rows].T.double().numpy()
    if features == "importance":
        return selected.mean(1, keepdims=True)
    if features == "profile_normalised":
        return selected / np.maximum(np.linalg.norm(selected, axis=1, keepdims=True), 1e-300)
    return selected


def _cluster(vectors: np.ndarray, span: tuple[int, int], seed: int) -> tuple[np.ndarray, float]:
    """Return the ids of the best-silhouette k-means with k in `span`, and that silhouette (nan if none fits)."""
    best, best_score = np.zeros(len(vectors), dtype=np.int64), float("nan")
    scale = vectors.std()
    if len(vectors) < 3 or scale == 0 or not np.isfinite(scale):
        return best, best_score
    vectors = vectors / scale  # gradients may be 1e-9: k-means' tolerances are absolute
    kmeans = cast(Any, KMeans)  # its stubs know n_init as a text only
    for k in range(span[0], min(span[1], len(vectors) - 1) + 1):
        ids = kmeans(k, n_init=4, random_state=seed).fit_predict(vectors)
        if len(set(ids)) < 2:
            continue
        score = float(silhouette_score(vectors, ids))
        if not best_score >= score:
            best, best_score = ids, score
    return best, best_score
