"""What training costs, by formula from shapes alone: FLOPs and trained parameters.

A multiply-add is 2 FLOPs. Norms, activations, softmax and the optimiser's step are left out, as FlopCounterMode does.
It allocates no weights and runs nothing: meta_step.py counts the same FLOPs on a step.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from transformers import AutoModelForCausalLM

from goodvibe_bench.errors import UsageError
from goodvibe_bench.model.linears import block_weights, layer_index, parameter_count
from goodvibe_bench.model.meta import on_meta
from goodvibe_bench.tuner.spec import FullSpec, GoodVibeSpec, LoraSpec, TunerSpec
from goodvibe_bench.types import PROJECTIONS

ASSUMED_CLUSTERS = 2
"""Clusters a module before attribution: the best k was 2 in 204 of 210 modules of SmolLM2-135M."""

Clusters = Mapping[str, int]
"""Cluster counts by module path, as a selection has them."""


@dataclass(frozen=True)
class Batch:
    """Rows of one padded length in tokens, and for how many of its tokens logits are formed."""

    rows: int
    length: int
    kept: int


@dataclass(frozen=True)
class Shape:
    """The sizes of a dense decoder that decide its cost."""

    hidden: int
    intermediate: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    vocab: int
    parameters: int
    """Of the whole model, a vision tower included, tied ones once."""

    @classmethod
    def from_config(cls, config: Any, spec: TunerSpec | None = None) -> "Shape":
        """Return the shape of the text decoder that a transformers config describes.

        Raises UsageError for a mixture of experts, for a config without the usual names, for layers that are not the
        usual seven (fused or apart), and where `spec` tunes others than those seven.
        """
        text = config.get_text_config()
        if any(getattr(text, name, None) for name in ("num_experts", "num_local_experts", "n_routed_experts")):
            raise UsageError(f"A {text.model_type} is a mixture of experts, whose cost is not known from its shapes.")
        wanted = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "vocab_size")
        missing = [name for name in wanted if not isinstance(getattr(text, name, None), int)]
        if missing:
            raise UsageError(f"The config of a {text.model_type} has no {', '.join(missing)}; no cost can be told.")
        heads = text.num_attention_heads
        model = on_meta(AutoModelForCausalLM, config)
        shape = cls(
            hidden=text.hidden_size,
            intermediate=text.intermediate_size,
            layers=text.num_hidden_layers,
            heads=heads,
            kv_heads=getattr(text, "num_key_value_heads", None) or heads,
            head_dim=getattr(text, "head_dim", None) or text.hidden_size // heads,
            vocab=text.vocab_size,
            parameters=parameter_count(model),
        )
        others = [name for name in getattr(spec, "projections", ()) if name not in shape.linears]
        if others or sum(weight.numel() for weight in block_weights(model).values()) != shape.block * shape.layers:
            what = f"tuned layers {', '.join(others)}" if others else "layers"
            raise UsageError(f"The {what} of a {text.model_type} are not the usual seven; no cost can be told.")
        return shape

    @property
    def linears(self) -> dict[str, tuple[int, int]]:
        """Inputs and outputs of a block's seven linear layers."""
        hidden, wide = self.hidden, self.intermediate
        query, key = self.heads * self.head_dim, self.kv_heads * self.head_dim
        inner = [(hidden, query), (hidden, key), (hidden, key), (query, hidden), (hidden, wide), (hidden, wide)]
        return dict(zip(PROJECTIONS, [*inner, (wide, hidden)], strict=True))

    @property
    def multiplied(self) -> int:
        """N: weights that every token is multiplied with, the blocks' linear layers and the LM head."""
        return self.layers * self.block + self.hidden * self.vocab

    @property
    def block(self) -> int:
        """Weights of one block's seven linear layers."""
        return sum(din * dout for din, dout in self.linears.values())


@dataclass(frozen=True)
class Cost:
    """FLOPs by what they are for."""

    forward: int = 0
    backward: int = 0
    """Of the base model: input gradients, and weight gradients where it is trained."""
    adapter: int = 0
    """Forward and backward of what the tuner adds."""
    recomputed: int = 0
    """Checkpointing's second forward of the blocks."""
    below: int = 0
    """The one forward of the layers below the trained ones."""

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(*(mine + theirs for mine, theirs in zip(vars(self).values(), vars(other).values(), strict=True)))

    def __mul__(self, times: int) -> "Cost":
        return Cost(*(value * times for value in vars(self).values()))

    @property
    def total(self) -> int:
        return sum(vars(self).values())


def first_trained(shape: Shape, spec: TunerSpec) -> int:
    """Return the index of the lowest layer that is trained, and scored."""
    top = spec.top_layers if isinstance(spec, LoraSpec | GoodVibeSpec) else None
    return max(0, shape.layers - top) if top else 0


def widths(shape: Shape, spec: TunerSpec, clusters: Clusters | None = None) -> list[dict[str, int]]:
    """Return per layer and projection the adapter's rank: LoRA's, or GoodVibe's clusters.

    `clusters` is what a selection has; without it random clusters and unclustered rows are exact, and k-means is
    taken to find ASSUMED_CLUSTERS.
    """
    if not isinstance(spec, LoraSpec | GoodVibeSpec):
        return [{} for _ in range(shape.layers)]
    if clusters is not None and isinstance(spec, GoodVibeSpec):
        known: list[dict[str, int]] = [{} for _ in range(shape.layers)]
        for path, count in clusters.items():
            known[layer_index(path)][path.rpartition(".")[2]] = count
        return known
    each = {name: _width(spec, shape.linears[name][1]) for name in spec.projections}
    return [each if layer >= first_trained(shape, spec) else {} for layer in range(shape.layers)]


def _width(spec: LoraSpec | GoodVibeSpec, outputs: int) -> int:
    if isinstance(spec, LoraSpec):
        return spec.rank
    rows = min(spec.top_k, outputs)
    if spec.random_clusters is not None:
        return min(spec.random_clusters, rows)
    return rows if spec.clusters is None else min(rows, max(spec.clusters[0], ASSUMED_CLUSTERS))


def trainable_parameters(shape: Shape, spec: TunerSpec, clusters: Clusters | None = None) -> int:
    """Return the number of trained parameters (the account of Table 2)."""
    if isinstance(spec, FullSpec):
        return shape.parameters
    outputs = isinstance(spec, LoraSpec) and not spec.frozen_b
    sizes = {name: din + outputs * dout for name, (din, dout) in shape.linears.items()}
    return sum(width * sizes[name] for layer in widths(shape, spec, clusters) for name, width in layer.items())


def file_bytes(shape: Shape, spec: TunerSpec, itemsize: int, clusters: Clusters | None = None) -> int:
    """Return the bytes of the weights that a training leaves for others to load, without the file's header.

    For an adapter those of its LoRA form in float32 (tuner/export.py): A and B of every tuned layer, GoodVibe's all of
    the largest rank. For full the model's own weights, at `itemsize` bytes each.
    """
    if isinstance(spec, FullSpec):
        return itemsize * shape.parameters
    each = widths(shape, spec, clusters)
    rank = max((width for layer in each for width in layer.values()), default=0)
    tuned = [shape.linears[name] for layer in each for name, width in layer.items() if width]
    return 4 * rank * sum(din + dout for din, dout in tuned)


def headline(shape: Shape, spec: TunerSpec, tokens: int, distinct: int = 0, *, checkpointing: bool = False) -> int:
    """Return the rule of thumb: 6N a token for full, 4N for adapters, 2N more with checkpointing.

    With top_layers N is that of the trained layers and the head, and what lies below costs 2N once on each of the
    `distinct` tokens, which are those of one epoch.
    """
    if spec.kind == "none":
        return 0
    below = first_trained(shape, spec) * shape.block
    multiple = (6 if spec.kind == "full" else 4) + 2 * checkpointing
    return multiple * (shape.multiplied - below) * tokens + 2 * below * distinct


def training(
    shape: Shape,
    spec: TunerSpec,
    batches: Sequence[Batch],
    *,
    distinct: Sequence[Batch] = (),
    clusters: Clusters | None = None,
    checkpointing: bool = False,
) -> Cost:
    """Return the FLOPs of training on `batches`, which are those of all epochs.

    With top_layers the layers below run forward once over `distinct`, the batches of one epoch, and the top ones
    train from the hidden states so kept. Attention is counted in full, as eager attention computes it. Checkpointing
    counts a whole forward more; torch stops it at the last tensor it needs, a little earlier.
    """
    if spec.kind == "none":
        return Cost()
    full, start = isinstance(spec, FullSpec), first_trained(shape, spec)
    layers = widths(shape, spec, clusters)[start:]
    found = Cost()
    for batch, times in Counter(batches).items():
        step, flows = Cost(), full
        for tuned in layers:
            block, flows = _block(shape, batch, tuned, flows, spec)
            step += block if checkpointing and flows else Cost(block.forward, block.backward, block.adapter)
        head = 2 * batch.rows * batch.kept * shape.hidden * shape.vocab
        found += (step + Cost(forward=head, backward=head * (1 + full))) * times
    return found + Cost(below=sum(start * _block_forward(shape, batch) for batch in distinct))


def attribution(shape: Shape, spec: TunerSpec, batches: Sequence[Batch]) -> Cost:
    """Return the FLOPs of scoring the rows on `batches` (section 3.3): one logit a row.

    Gradients flow to the embeddings, or to the input of the lowest scored layer; activations need no gradient, and
    "parameter" alone forms weight gradients.
    """
    if not isinstance(spec, GoodVibeSpec) or spec.attribution == "random":
        return Cost()
    start, found = first_trained(shape, spec), Cost()
    for batch, times in Counter(batches).items():
        head = 2 * batch.rows * shape.hidden * shape.vocab
        above = _block(shape, batch, {}, True)[0] * (shape.layers - start)
        backward = above.backward + head if spec.attribution != "activation" else 0
        if spec.attribution == "parameter":
            scored = sum(din * dout for name, (din, dout) in shape.linears.items() if name in spec.projections)
            backward += 2 * batch.rows * batch.length * scored * (shape.layers - start)
        found += Cost(above.forward + head, backward, below=start * _block_forward(shape, batch)) * times
    return found


def _block_forward(shape: Shape, batch: Batch) -> int:
    attention = 4 * batch.rows * shape.heads * batch.length**2 * shape.head_dim
    return attention + 2 * batch.rows * batch.length * shape.block


def _block(
    shape: Shape, batch: Batch, tuned: dict[str, int], flows: bool, spec: TunerSpec | None = None
) -> tuple[Cost, bool]:
    """Return one block's FLOPs, and whether its output requires grad; `flows` says so of its input.

    An adapter is A [width, d_in] and B [d_out, width], which LoRA alone trains. `recomputed` is the block's forward.
    Without `spec` no weight is trained.
    """
    full = isinstance(spec, FullSpec)
    trained_b = isinstance(spec, LoraSpec) and not spec.frozen_b
    tokens = 2 * batch.rows * batch.length
    product = tokens * shape.heads * batch.length * shape.head_dim
    reached, products, leaves = _reached({*tuned, *(PROJECTIONS if full else ())}, flows)
    backward, ahead, behind = products * product, 0, 0
    for name, (din, dout) in shape.linears.items():
        width = tuned.get(name, 0)
        a, b = tokens * din * width, tokens * dout * width
        backward += tokens * din * dout * (full + reached[name])
        ahead += a + b
        behind += a * (1 + reached[name]) + b * (1 + trained_b)
    forward = _block_forward(shape, batch)
    return Cost(forward, backward, ahead + behind, recomputed=forward + ahead), leaves


def _reached(tuned: set[str], flows: bool) -> tuple[dict[str, bool], int, bool]:
    """Return which linear layers need an input gradient, how many of attention's four products backward forms
    (dQ, dK, dP, dV), and whether the block's output requires grad."""
    query, key, value = (flows or name in tuned for name in PROJECTIONS[:3])
    attended = query or key or value
    middle = flows or attended or "o_proj" in tuned
    wide = middle or bool(tuned & {"gate_proj", "up_proj"})
    needs = [flows, flows, flows, attended, middle, middle, wide]
    products = query + key + value + (query or key)
    return dict(zip(PROJECTIONS, needs, strict=True)), products, wide or "down_proj" in tuned
