"""Near twins: texts that are almost the same, by TF-IDF cosine of character n-grams. It moves no row; split.py does."""

from collections.abc import Sequence

import numpy as np
from scipy.sparse import coo_matrix, csr_matrix
from scipy.sparse.csgraph import connected_components
from sklearn.feature_extraction.text import TfidfVectorizer

Space = Sequence[tuple[int, str]]
"""Texts of one sort (prompts, or code) with the row that each belongs to."""


def twin_rows(space: Space, cosine: float) -> np.ndarray:
    """Return the pairs of different rows that have near twins in `space`, int64 [pairs, 2], each both ways.

    Cosine is that of TF-IDF weighted character 3- to 5-grams within words, weighted over `space` itself.
    """
    if not any(text.strip() for _, text in space):
        return np.zeros((0, 2), dtype=np.int64)
    rows = np.array([row for row, _ in space])
    vectors = csr_matrix(
        TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5)).fit_transform([text for _, text in space])
    )
    alike = coo_matrix((vectors @ vectors.T) >= cosine)
    found = np.stack([rows[alike.row], rows[alike.col]], axis=1)
    return np.unique(found[found[:, 0] != found[:, 1]], axis=0)


def twin_groups(spaces: Sequence[Space], count: int, cosine: float, families: Sequence[str | None]) -> np.ndarray:
    """Return one group number for each of `count` rows.

    Rows are joined when they are near twins in any space, or of one family, directly or in a chain.
    """
    links = [twin_rows(space, cosine) for space in spaces]
    first: dict[str, int] = {}
    named = [(first.setdefault(name, row), row) for row, name in enumerate(families) if name is not None]
    links.append(np.array(named, dtype=np.int64).reshape(-1, 2))
    left, right = np.concatenate(links).T
    graph = csr_matrix((np.ones(len(left), dtype=bool), (left, right)), shape=(count, count))
    return connected_components(graph, directed=False)[1]
