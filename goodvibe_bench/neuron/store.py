"""Write and read the neuron file: one safetensors file with a model's security neurons and what they came from.

It selects nothing, and it does not decide whether a file may be used again: trainer/neurons.py compares the `key`.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from goodvibe_bench import disk
from goodvibe_bench.errors import UsageError
from goodvibe_bench.model.linears import layer_index
from goodvibe_bench.neuron.attribution import Profiles
from goodvibe_bench.neuron.selection import Neurons, Selection
from goodvibe_bench.types import PROJECTIONS

PARTS = ("rows", "scores", "clusters", "silhouette", "profile", "mass", "width")
"""The tensors of a module; each is called by the module's path, a dot and one of these."""
_SOURCES = ("model", "data", "template", "dtype", "attribution", "seed")
_READ = ("samples", "tokens", "seconds", "shapes", "half_overlap")
NOTE = (*_SOURCES, *_READ, "key", "content")
"""The metadata: digests of the weights, of the snippets read and of the chat template; dtype; how rows were scored;
seed; number of snippets and of real tokens read; seconds it took; [[batch, padded length], ...] of the forward passes
as JSON; agreement of the halves ("" where unknown); digest of all that decides the file; digest of its tensors."""
CUT = ("cut", "max_code_tokens")
"""Metadata that older files lack: how many snippets were read without their middle, since longer than so many tokens.
"""


@dataclass(frozen=True)
class NeuronFile:
    """What a neuron file holds; every dict is by module path, in the order of layers and projections."""

    selection: Selection
    profiles: Profiles
    """float32 [samples, k]: each sample's scores of the selected rows, in the order of `rows`."""
    mass: dict[str, float]
    """Share of the module's summed importance that its selected rows hold; nan where nothing was read."""
    width: dict[str, int]
    """Rows of the whole module, d_out."""
    note: dict[str, str]


def write(path: Path, selection: Selection, profiles: Profiles, note: dict[str, str]) -> None:
    """Write `selection` with its share of `profiles` ([samples, d_out] a module); the file is whole or absent.

    `note` holds the keys of NOTE but `content`, and may hold those of CUT. Where its `samples` is "0" scores and their
    share mean nothing: nan.
    """
    tensors: dict[str, torch.Tensor] = {}
    for name, neurons in selection.items():
        importance = profiles[name].double().mean(0)
        mass = importance[neurons.rows].sum() / importance.sum()
        found = {
            "rows": neurons.rows,
            "scores": neurons.scores,
            "clusters": neurons.clusters,
            "silhouette": torch.tensor(neurons.silhouette),
            "profile": profiles[name][:, neurons.rows].float(),
            "mass": torch.tensor(float("nan")) if note["samples"] == "0" else mass.float(),
            "width": torch.tensor(profiles[name].shape[1]),
        }
        tensors |= {f"{name}.{part}": found[part].contiguous() for part in PARTS}
    words = note | {"content": digest_tensors(tensors)}
    with disk.whole(path) as partial:
        save_file(tensors, partial, metadata={key: words[key] for key in (*NOTE, *CUT) if key in NOTE or key in words})


def read(path: Path) -> NeuronFile:
    """Return the neuron file at `path`. Raises UsageError when there is none, or when parts of it are missing."""
    if not path.is_file():
        raise UsageError(f"There is no neuron file at {str(path)!r}. Training by a goodvibe trainer writes one.")
    try:
        with safe_open(path, "pt") as file:
            note = file.metadata() or {}
            tensors = {key: file.get_tensor(key) for key in file.keys()} if set(NOTE) <= set(note) else {}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise _refusal(path, f"is not readable as safetensors: {error}") from error
    if missing := [key for key in NOTE if key not in note]:
        raise _refusal(path, f"its metadata lack {', '.join(missing)}")
    names = _in_order(path, {key.rpartition(".")[0] for key in tensors})
    if missing := [f"{name}.{part}" for name in names for part in PARTS if f"{name}.{part}" not in tensors]:
        raise _refusal(path, f"it lacks {', '.join(missing[:3])}")
    found = _parsed(path, names, tensors, note)
    if note["content"] != digest_tensors(tensors):
        raise _refusal(path, "it was damaged after it was written")
    return found


def digest_tensors(tensors: dict[str, torch.Tensor]) -> str:
    """Return 16 hex digits of SHA-256 over names, dtypes, shapes and values."""
    total = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        total.update(f"{name} {tensor.dtype} {tuple(tensor.shape)} ".encode())
        total.update(tensor.contiguous().numpy().tobytes())
    return total.hexdigest()[:16]


def _parsed(path: Path, names: Sequence[str], tensors: dict[str, torch.Tensor], note: dict[str, str]) -> NeuronFile:
    selection: Selection = {}
    for name in names:
        rows, scores, clusters, silhouette, profile, mass, width = (tensors[f"{name}.{part}"] for part in PARTS)
        lists, scalars = (rows, scores, clusters), (silhouette, mass, width)
        if {part.shape for part in lists} != {profile.shape[1:]} or any(part.numel() != 1 for part in scalars):
            raise _refusal(path, f"the shapes of {name}'s parts do not agree")
        selection[name] = Neurons(rows, scores, clusters, float(silhouette))
    return NeuronFile(
        selection=selection,
        profiles={name: tensors[f"{name}.profile"] for name in names},
        mass={name: float(tensors[f"{name}.mass"]) for name in names},
        width={name: int(tensors[f"{name}.width"]) for name in names},
        note=note,
    )


def _in_order(path: Path, names: set[str]) -> list[str]:
    """Return module paths by layer, then as projections are listed in types.py."""

    def place(name: str) -> tuple[int, int, str]:
        leaf = name.rpartition(".")[2]
        return layer_index(name), PROJECTIONS.index(leaf) if leaf in PROJECTIONS else len(PROJECTIONS), name

    try:
        return sorted(names, key=place)
    except ValueError as error:
        raise _refusal(path, str(error)) from error


def _refusal(path: Path, why: str) -> UsageError:
    return UsageError(f"{path} is no whole neuron file: {why}. Training by a goodvibe trainer writes one.")
