"""Reads the tensors of the judges that need no model. It writes none, and knows nothing of what they mean."""

from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file

from goodvibe_bench.errors import UsageError
from goodvibe_bench.types import LANGUAGES


def read(path: Path, *names: str) -> list[np.ndarray]:
    """Return the vectors of these names in a safetensors file.

    Raises UsageError where there is no file, it is damaged, or it holds anything but these, each of one dimension.
    """
    again = f"Fit it: goodvibe-bench judge fit --judge {path.parent.name}"
    if not path.is_file():
        raise UsageError(f"No fitted weights at {path}. {again}")
    try:
        found = load_file(path)
    except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:  # the latter two: an unknown dtype
        raise UsageError(f"{path} cannot be read as weights: {error}. {again}") from error
    fit = all(tensor.ndim == 1 and tensor.size and tensor.dtype.kind == "f" for tensor in found.values())
    if set(found) != set(names) or not fit:
        raise UsageError(f"{path} does not hold what it should: vectors of numbers named {', '.join(names)}. {again}")
    return [found[name] for name in names]


def vector(path: Path, features: int, kind: str) -> np.ndarray:
    """Return the weights [features + languages] in a file. Raises UsageError as `read` does, and for another size."""
    (weights,) = read(path, "weights")
    if len(weights) != features + len(LANGUAGES):
        raise UsageError(f"{path} has weights for other {kind}. Fit it again: judge fit --judge {path.parent.name}")
    return weights
