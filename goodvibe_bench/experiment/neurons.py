"""Find the neuron file of the model that a result is of, in the scratch folder. It scores and clusters nothing."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

from goodvibe_bench.errors import UsageError
from goodvibe_bench.types import Result

if TYPE_CHECKING:
    from goodvibe_bench.neuron.store import NeuronFile


def neuron_file(result: Result, scratch: Path) -> "NeuronFile | None":
    """Return the neuron file beside the trained model; None where the scratch folder has it no more."""
    from goodvibe_bench.neuron import store

    path = _path(result.model.digest, scratch)
    try:
        return store.read(path) if path else None
    except UsageError:
        return None


def _path(digest: str, scratch: Path) -> Path | None:
    for note in sorted((scratch / "models").glob("*/goodvibe.json")):
        try:
            known = json.loads(note.read_bytes()).get("digest")
        except (OSError, ValueError, AttributeError):
            continue
        if known == digest:
            return note.parent / "neurons.safetensors"
    return None
