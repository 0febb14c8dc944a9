"""Run by test_fsdp.py in two processes: the same training whole and sharded; prints how far the weights are apart."""

import sys

import torch
import torch.distributed as dist
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor

from goodvibe_bench.model.linears import target_linears
from goodvibe_bench.model.load import load
from goodvibe_bench.neuron.selection import random_profiles, select
from goodvibe_bench.tuner.attach import attach
from goodvibe_bench.tuner.spec import FullSpec, GoodVibeSpec

IDS = torch.randint(0, 250, (4, 16), generator=torch.Generator().manual_seed(1))


def _attached(folder: str, kind: str):
    loaded = load(folder, dtype="float32", device="cpu")
    if kind == "full":
        return attach(loaded.model, FullSpec(kind="full")).model
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
    return attach(loaded.model, GoodVibeSpec(kind="goodvibe", top_k=4), chosen).model


def _step(model, ids: torch.Tensor) -> None:
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-3, weight_decay=0)
    for _ in range(5):
        model(input_ids=ids, labels=ids).loss.backward()
        optimizer.step()
        optimizer.zero_grad()


def main(folder: str, kind: str) -> None:
    dist.init_process_group("gloo")
    rank = dist.get_rank()
    start = {name: weight.detach().clone() for name, weight in _attached(folder, kind).named_parameters()}
    whole, sharded = _attached(folder, kind), _attached(folder, kind)
    _step(whole, IDS)
    for module in sharded.modules():
        if type(module).__name__ == "LlamaDecoderLayer":
            fully_shard(module)
    fully_shard(sharded)
    _step(sharded, IDS[2 * rank : 2 * rank + 2])
    apart = moved = 0.0
    local = total = 0
    expected = dict(whole.named_parameters())
    for name, weight in sharded.named_parameters():
        assert isinstance(weight, DTensor)
        if weight.requires_grad:
            local, total = local + weight.to_local().numel(), total + weight.numel()
            apart = max(apart, float((weight.full_tensor() - expected[name]).abs().max()))
            moved = max(moved, float((expected[name] - start[name]).abs().max()))
    if rank == 0:
        sys.stdout.write(f"{dist.get_world_size()} {apart} {moved} {local} {total}\n")
    dist.destroy_process_group()


if __name__ == "__main__":
    main(*sys.argv[1:])
