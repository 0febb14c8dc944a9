import numpy as np
import pytest
import torch

from goodvibe_bench.neuron import selection


def two_groups(rows: int = 20, samples: int = 30) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    centres = torch.rand(2, samples, generator=generator) * 1e-9
    noise = torch.rand(rows, samples, generator=generator) * 1e-11
    return (centres[torch.arange(rows) % 2] + noise).T


def test_ties_go_to_the_lower_row():
    assert selection.top_rows(torch.tensor([1.0, 3.0, 3.0, 2.0, 3.0]), 2).tolist() == [1, 2]


def test_two_groups_become_two_clusters_however_small_the_gradients():
    found = selection.select({"m": two_groups()}, top_k=20)["m"]
    assert found.cluster_count == 2
    assert found.silhouette > 0.8
    by_row = dict(zip(found.rows.tolist(), found.clusters.tolist(), strict=True))
    assert len({by_row[row] for row in range(0, 20, 2)}) == 1


@pytest.mark.parametrize(("rule", "clusters", "rows"), [("independent", 20, 20), ("single", 1, 20), ("freeze", 0, 0)])
def test_below_the_threshold_clustering_is_skipped(rule, clusters, rows):
    found = selection.select({"m": two_groups()}, top_k=20, min_silhouette=1.0, on_low_silhouette=rule)["m"]
    assert (found.cluster_count, len(found.rows)) == (clusters, rows)


def test_identical_rows_have_no_clusters_and_do_not_fail():
    found = selection.select({"m": torch.ones(5, 8)}, top_k=4)["m"]
    assert np.isnan(found.silhouette)
    assert found.cluster_count == 4


def test_random_clusters_are_seeded_and_of_the_number_asked():
    first, again, other = (
        selection.select({"m": two_groups()}, top_k=20, random_clusters=3, seed=s)["m"].clusters for s in (0, 0, 1)
    )
    assert first.tolist() == again.tolist() != other.tolist()
    assert set(first.tolist()) == {0, 1, 2}


def test_random_profiles_differ_by_seed_only():
    one, two, three = (selection.random_profiles({"m": 9}, seed)["m"] for seed in (0, 0, 1))
    assert torch.equal(one, two)
    assert not torch.equal(one, three)


def test_halves_of_equal_samples_agree():
    profile = torch.arange(40.0).repeat(6, 1)
    assert selection.overlap_of_halves({"m": profile}, 10) == 1.0


def test_halves_hold_whole_families_where_they_are_named():
    # Secure and insecure sides alternate and have rows of their own; halves by family see both.
    sides = torch.eye(2).repeat(4, 1)
    families = ["a", "a", "b", "b", "c", "c", "d", "d"]
    assert selection.overlap_of_halves({"m": sides}, 1) == 0.0
    assert selection.overlap_of_halves({"m": sides}, 1, families) == 1.0


def test_the_agreement_of_a_single_family_is_unknown():
    assert np.isnan(selection.overlap_of_halves({"m": torch.ones(2, 4)}, 1, ["a", "a"]))


def test_without_clusters_every_row_stands_alone():
    found = selection.select({"m": two_groups()}, top_k=6, clusters=None)["m"]
    assert found.clusters.tolist() == list(range(6))
    assert np.isnan(found.silhouette)


@pytest.mark.parametrize(("features", "together"), [("profile_normalised", "direction"), ("importance", "size")])
def test_rows_are_clustered_by_the_features_asked_for(features: selection.Features, together: str):
    """Rows point one of two ways and are small or ten times larger."""
    directions, sizes = torch.tensor([0, 0, 1, 1] * 3), torch.tensor([0, 1, 0, 1] * 3)
    ways = torch.tensor([[1.0, 0.0, 0.02], [0.0, 1.0, 0.02]])
    noise = 1 + 0.01 * torch.rand(12, 1, generator=torch.Generator().manual_seed(0))
    profile = (ways[directions] * (1 + 9 * sizes)[:, None] * noise).T
    found = selection.select({"m": profile}, top_k=12, features=features, clusters=(2, 2))["m"]
    kind = directions if together == "direction" else sizes
    clusters = {int(row): int(cluster) for row, cluster in zip(found.rows, found.clusters, strict=True)}
    assert {len({clusters[row] for row in range(12) if kind[row] == one}) for one in (0, 1)} == {1}
    assert len(set(clusters.values())) == 2
