"""Attribution's readings of groups of snippets, kept by all that decides them: another k, threshold or number of
clusters needs none anew. It chooses no rows.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from goodvibe_bench import catalog, disk
from goodvibe_bench.model.load import Loaded
from goodvibe_bench.neuron import store
from goodvibe_bench.neuron.attribution import Profiles
from goodvibe_bench.types import Labelled

FOLDER = "attribution"
"""The folder of the scratch that readings are kept in."""
_NOTE = ("tokens", "shapes", "seconds", "content")


@dataclass(frozen=True)
class Reading:
    """What a group of snippets scored, and what reading it cost when it was done."""

    profiles: Profiles
    """float32 [snippets, d_out] a module."""
    tokens: int
    shapes: list[tuple[int, int]]
    """(batch, padded length) of each forward pass."""
    seconds: float


def name(loaded: Loaded, kind: str, modules: Sequence[str], snippets: Sequence[Labelled]) -> str:
    """Return the file name of a reading, which is a digest of all that decides it."""
    words = {
        "model": [loaded.noun.digest, loaded.noun.adapter],
        "dtype": str(loaded.model.dtype),
        "attention": loaded.model.config._attn_implementation,
        "device": loaded.device.type,
        "template": template(loaded),
        "data": data(snippets),
        "kind": kind,
        "modules": list(modules),
        "code": catalog.code_digest("model", "neuron", "objective"),
        "libraries": catalog.versions(*catalog.MODEL_LIBRARIES),
    }
    return f"{catalog.digest(words)}.safetensors"


def template(loaded: Loaded) -> str:
    """Return a digest of the chat template."""
    return catalog.digest(loaded.tokenizer.chat_template)


def data(snippets: Sequence[Labelled]) -> str:
    """Return a digest of snippets and their labels, in their order."""
    return catalog.digest([[item.id, item.code, item.label, item.family] for item in snippets])


def load(path: Path) -> Reading | None:
    """Return the reading in `path`; None where there is none, or none that is whole."""
    try:
        with safe_open(path, "pt") as file:
            note = file.metadata() or {}
            profiles = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        if not set(_NOTE) <= set(note) or note["content"] != store.digest_tensors(profiles):
            return None
        shapes = [(int(rows), int(length)) for rows, length in json.loads(note["shapes"])]
        return Reading(profiles, int(note["tokens"]), shapes, float(note["seconds"]))
    except (OSError, SafetensorError, ValueError, TypeError):
        return None


def save(path: Path, reading: Reading) -> None:
    """Write a reading to `path`, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    note = {"tokens": str(reading.tokens), "shapes": json.dumps(reading.shapes), "seconds": f"{reading.seconds:.3f}"}
    profiles: dict[str, torch.Tensor] = {key: found.contiguous() for key, found in reading.profiles.items()}
    with disk.whole(path) as partial:
        save_file(profiles, partial, metadata=note | {"content": store.digest_tensors(profiles)})
