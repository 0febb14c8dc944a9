"""Run by test_fsdp.py in two processes: the same training whole and sharded, then put together and folded; prints how
far the two are apart."""

import json
import sys
from typing import Any

import torch
import torch.distributed as dist
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor
from transformers import AutoConfig

from goodvibe_bench.model.linears import target_linears
from goodvibe_bench.model.load import load
from goodvibe_bench.neuron.selection import random_profiles, select
from goodvibe_bench.trainer import shards
from goodvibe_bench.tuner.attach import Attached, attach, fold
from goodvibe_bench.tuner.spec import FullSpec, GoodVibeSpec

IDS = torch.randint(0, 250, (4, 16), generator=torch.Generator().manual_seed(1))


def _attached(folder: str, kind: str) -> Attached:
    loaded = load(folder, dtype="float32", device="cpu")
    if kind == "full":
        return attach(loaded.model, FullSpec(kind="full"))
    widths = {name: layer.out_features for name, layer in target_linears(loaded.model).items()}
    chosen = select(
        random_profiles(widths, 0),
        top_k=4,
        features="profile",
        clusters=(2, 8),
        min_silhouette=0.05,
        on_low_silhouette="independent",
        random_clusters=2,
        seed=0,
    )
    return attach(loaded.model, GoodVibeSpec(kind="goodvibe", top_k=4), chosen)


def _train(model: Any, ids: torch.Tensor) -> None:
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-3, weight_decay=0)
    for _ in range(5):
        model(input_ids=ids, labels=ids).loss.backward()
        optimizer.step()
        optimizer.zero_grad()


def main(folder: str, kind: str) -> None:
    dist.init_process_group("gloo")
    rank = dist.get_rank()
    start = {name: weight.detach().clone() for name, weight in _attached(folder, kind).model.named_parameters()}
    whole, sharded = _attached(folder, kind), _attached(folder, kind)
    _train(whole.model, IDS)
    for module in sharded.model.modules():
        if type(module).__name__ == "LlamaDecoderLayer":
            fully_shard(module)
    fully_shard(sharded.model)
    _train(sharded.model, IDS[2 * rank : 2 * rank + 2])
    parts = [weight for weight in sharded.model.parameters() if weight.requires_grad]
    assert all(isinstance(weight, DTensor) for weight in parts)
    local, total = sum(one.to_local().numel() for one in parts), sum(one.numel() for one in parts)
    shards.gather(sharded.model, keep=rank == 0)
    if rank == 0:
        expected = dict(whole.model.named_parameters())
        trained = {name: one for name, one in sharded.model.named_parameters() if one.requires_grad}
        found = {
            "processes": dist.get_world_size(),
            "local": local,
            "total": total,
            "moved": max(float((expected[name] - start[name]).abs().max()) for name in trained),
            "apart": max(float((one - expected[name]).abs().max()) for name, one in trained.items()),
            "sharded": shards.is_sharded(sharded.model),
        }
        (one, _), (two, _) = fold(whole), fold(sharded)
        found["kind"] = type(two).__name__
        found["logits"] = float((one(input_ids=IDS).logits - two(input_ids=IDS).logits).abs().max())
        two.save_pretrained(f"{folder}-trained")
        found["saved"] = AutoConfig.from_pretrained(f"{folder}-trained").architectures
        sys.stdout.write(json.dumps(found) + "\n")
    else:
        assert shards.is_sharded(sharded.model), "the others keep their parts"
    dist.destroy_process_group()


if __name__ == "__main__":
    main(*sys.argv[1:])
