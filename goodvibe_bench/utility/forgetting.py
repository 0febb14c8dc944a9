"""Forgetting: a model's mean loss a token on a few kilobytes of fixed text and code of our own.

A number that rises after training says that the model got worse at ordinary text; it does not say at what.
"""

import json
from typing import Any

from goodvibe_bench import catalog, types
from goodvibe_bench.request import Request
from goodvibe_bench.result import share, store
from goodvibe_bench.utility.tasks import FOLDER


def loss(request: Request, name: str, model: types.Model) -> dict[str, Any]:
    """Return cross_entropy (nats a token), tokens, and by_kind the mean of every text, of the model `name`.

    Measured now or found in the scratch.
    """
    lines = (FOLDER / "forgetting.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    libraries = catalog.versions(*catalog.MODEL_LIBRARIES)
    words = [model.digest, request.dtype, rows, catalog.code_digest("model", "utility"), libraries]
    path = store.writable(request.scratch / "utility") / f"loss-{catalog.digest(words)}.json"
    with store.alone(request.scratch / "locks" / f"{path.stem}.lock"):
        return share.kept_json(request.share, path, lambda: _measure(request, name, rows))


def _measure(request: Request, name: str, rows: list[dict[str, str]]) -> dict[str, Any]:
    from goodvibe_bench.model.load import load

    loaded = load(name, revision=request.revision, dtype=request.dtype, trust_remote_code=request.trust_remote_code)
    sums = {row["kind"]: _summed(loaded, row["text"]) for row in rows}
    tokens = sum(count for _, count in sums.values())
    return {
        "cross_entropy": round(sum(total for total, _ in sums.values()) / tokens, 5),
        "tokens": tokens,
        "by_kind": {kind: round(total / count, 5) for kind, (total, count) in sums.items()},
    }


def _summed(loaded: Any, text: str) -> tuple[float, int]:
    """Return the summed loss over a text's tokens but the first, and how many they are."""
    import torch

    ids = torch.tensor([loaded.tokenizer(text)["input_ids"]], device=loaded.device)
    with torch.inference_mode():
        logits = loaded.model(input_ids=ids).logits[0, :-1].float()
        total = torch.nn.functional.cross_entropy(logits, ids[0, 1:], reduction="sum")
    return float(total), ids.shape[1] - 1
