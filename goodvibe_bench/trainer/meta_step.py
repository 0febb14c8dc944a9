"""One training step on the meta device: its FLOPs counted by torch, and the bytes that it keeps. It trains nothing.

cost.py says the same FLOPs by formula; here they are counted, so that the formula can be checked on every run.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoModel, AutoModelForCausalLM

from goodvibe_bench.model.linears import layer_index, target_linears
from goodvibe_bench.model.meta import on_meta, with_layers
from goodvibe_bench.neuron.selection import Neurons, Selection
from goodvibe_bench.trainer.cost import Batch, Clusters, Shape, first_trained, trainable_parameters, widths
from goodvibe_bench.tuner.attach import attach
from goodvibe_bench.tuner.spec import FullSpec, GoodVibeSpec, LoraSpec, TunerSpec


def counted(config: Any, spec: TunerSpec, batch: Batch, *, clusters: Clusters | None = None) -> int:
    """Return FlopCounterMode's FLOPs of one training step on the meta device, eager attention, no checkpointing.

    With top_layers: of one forward of the layers below, and one step of the top ones from hidden states.
    """
    if spec.kind == "none":
        return 0
    shape = Shape.from_config(config, spec)
    start = first_trained(shape, spec)
    step = Step(config, shape, spec, batch, clusters)
    with FlopCounterMode(display=False) as counter:
        step.loss().backward()
        if start:
            ids = _ids(batch)
            with torch.no_grad():
                below = on_meta(AutoModel, with_layers(config, start))
                below(input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=False)
    return counter.get_total_flops()


@dataclass(frozen=True)
class Memory:
    """Bytes at the peak, by what holds them."""

    weights: int
    trained: int
    """Float32 weights, gradients and AdamW's two states of the trained parameters."""
    saved: int
    """What the forward keeps for the backward."""
    logits: int

    @property
    def total(self) -> int:
        return sum(vars(self).values())


def peak_memory(
    config: Any,
    spec: TunerSpec,
    batch: Batch,
    dtype: torch.dtype,
    *,
    clusters: Clusters | None = None,
    checkpointing: bool = False,
) -> Memory:
    """Return an estimate of a training step's peak, its saved tensors found on the meta device.

    Counted once per storage: all that autograd keeps, eager attention's probabilities included (fused kernels keep
    far less), and the logits and their gradient in `dtype`. Left out: gradients of activations, workspaces and
    fragmentation of the allocator, the optimiser's temporaries, kept hidden states of top_layers, attribution.
    Blocks are taken to be alike from the second on; with checkpointing, each block's input and one block in full. For
    `full` in bfloat16, `weights` stands for the copies that autocast makes.
    """
    shape, size = Shape.from_config(config, spec), dtype.itemsize
    if spec.kind == "none":
        return Memory(size * shape.parameters, 0, 0, 0)
    depth = shape.layers - first_trained(shape, spec)
    few = 1 if checkpointing else min(depth, 3)
    saved = Step(config, shape, spec, batch, clusters, dtype, few).saved()
    if checkpointing:
        saved += depth * batch.rows * batch.length * shape.hidden * size
    elif depth > few:
        saved += (depth - few) * (saved - Step(config, shape, spec, batch, clusters, dtype, few - 1).saved())
    trained = 16 * trainable_parameters(shape, spec, clusters)
    logits = batch.rows * batch.kept * shape.vocab * 2 * size
    return Memory(size * shape.parameters, trained, saved, logits)


class Step:
    """One training step of the trained layers on the meta device."""

    def __init__(
        self,
        config: Any,
        shape: Shape,
        spec: FullSpec | LoraSpec | GoodVibeSpec,
        batch: Batch,
        clusters: Clusters | None,
        dtype: torch.dtype = torch.float32,
        layers: int | None = None,
    ) -> None:
        self.batch, start = batch, first_trained(shape, spec)
        depth = layers or shape.layers - start
        model = on_meta(AutoModelForCausalLM, with_layers(config, depth), dtype)
        if isinstance(spec, FullSpec):
            self.model = model.requires_grad_(True)
        else:
            each = widths(shape, spec, clusters)[shape.layers - depth :]
            chosen = _selection(model, each, spec) if isinstance(spec, GoodVibeSpec) else None
            self.model = attach(model, spec, chosen).model
        hidden = torch.empty(batch.rows, batch.length, shape.hidden, dtype=dtype, device="meta")
        self.words = {"inputs_embeds": hidden} if start else {"input_ids": _ids(batch)}

    def loss(self) -> torch.Tensor:
        """Return a number over the logits that objective/sft.py forms, whose own loss adds no product to count.

        It is computed from hidden states where layers below are cut off.
        """
        mask = torch.ones_like(_ids(self.batch))
        output = self.model(**self.words, attention_mask=mask, logits_to_keep=self.batch.kept, use_cache=False)
        return output.logits.sum()

    def saved(self) -> int:
        """Return the bytes of all storages that the forward keeps for the backward, parameters excluded."""
        weights = {weight.untyped_storage()._cdata for weight in self.model.parameters()}
        kept: dict[int, torch.UntypedStorage] = {}

        def keep(tensor: torch.Tensor) -> torch.Tensor:
            storage = tensor.untyped_storage()
            if storage._cdata not in weights:
                kept[storage._cdata] = storage
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            self.loss()
        return sum(storage.nbytes() for storage in kept.values())


def _selection(model: Any, each: list[dict[str, int]], spec: GoodVibeSpec) -> Selection:
    """Return made-up rows of the right shapes."""
    found = {}
    for path, layer in target_linears(model, spec.projections).items():
        width = each[layer_index(path)].get(path.rpartition(".")[2], 0)
        if width:
            rows = torch.arange(min(spec.top_k, layer.out_features))
            found[path] = Neurons(rows, torch.zeros(len(rows)), rows % width, float("nan"))
    return found


def _ids(batch: Batch) -> torch.Tensor:
    return torch.zeros(batch.rows, batch.length, dtype=torch.int64, device="meta")
