import copy

import pytest
import torch
from peft import LoraConfig, get_peft_model
from peft.tuners.lora import LoraLayer

from goodvibe_bench.model.linears import target_linears
from goodvibe_bench.model.load import Loaded
from goodvibe_bench.neuron.selection import Neurons, Selection
from goodvibe_bench.tuner import goodvibe
from goodvibe_bench.tuner.attach import attach, fold
from goodvibe_bench.tuner.spec import FullSpec, GoodVibeSpec, LoraSpec

SPEC = GoodVibeSpec(kind="goodvibe")


def some_rows(loaded: Loaded, clusters: int = 2, seed: int = 1) -> Selection:
    generator = torch.Generator().manual_seed(seed)
    return {
        name: Neurons(
            torch.randperm(layer.out_features, generator=generator)[:6],
            torch.ones(6),
            torch.arange(6) % clusters,
            0.5,
        )
        for name, layer in target_linears(loaded.model).items()
    }


def logits(model: torch.nn.Module) -> torch.Tensor:
    with torch.no_grad():
        return model(input_ids=torch.arange(5, 25).unsqueeze(0), use_cache=False).logits


def step(model: torch.nn.Module, steps: int = 3) -> None:
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=1e-2)
    ids = torch.arange(5, 25).unsqueeze(0)
    for _ in range(steps):
        loss = model(input_ids=ids, labels=ids, use_cache=False).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def test_it_starts_as_the_base_model(loaded: Loaded):
    before = logits(loaded.model)
    attached = attach(loaded.model, SPEC, some_rows(loaded))
    assert torch.equal(logits(attached.model), before)


def test_only_the_cluster_updates_are_trained(loaded: Loaded):
    expected = sum(3 * layer.in_features for layer in target_linears(loaded.model).values())
    attached = attach(loaded.model, SPEC, some_rows(loaded, clusters=3))
    assert attached.trainable() == expected > 0


def test_the_folded_model_answers_as_the_adapter_did(loaded: Loaded):
    attached = attach(loaded.model, SPEC, some_rows(loaded))
    before = logits(attached.model)
    step(attached.model)
    adapted = logits(attached.model)
    folded, error = fold(attached)
    assert not torch.allclose(before, adapted, atol=1e-3)
    assert torch.allclose(logits(folded), adapted, atol=1e-5)
    assert error == 0.0


def test_rows_outside_the_selection_keep_their_bits(loaded: Loaded):
    loaded.model.to(torch.bfloat16)
    rows = some_rows(loaded)
    before = {name: layer.weight.clone() for name, layer in target_linears(loaded.model).items()}
    rest = {n: w.clone() for n, w in loaded.model.named_parameters() if n.removesuffix(".weight") not in before}
    attached = attach(loaded.model, SPEC, rows)
    step(attached.model)
    folded, error = fold(attached)
    assert 0 < error < 0.5
    for name, layer in target_linears(folded).items():
        outside = torch.ones(layer.out_features, dtype=torch.bool)
        outside[rows[name].rows] = False
        assert torch.equal(layer.weight[outside], before[name][outside])
        assert not torch.equal(layer.weight[~outside], before[name][~outside])
    assert all(torch.equal(weight, rest[name]) for name, weight in folded.named_parameters() if name in rest)


def test_rows_of_one_cluster_move_alike(loaded: Loaded):
    rows = some_rows(loaded)
    before = {name: layer.weight.clone() for name, layer in target_linears(loaded.model).items()}
    attached = attach(loaded.model, SPEC, rows)
    step(attached.model)
    folded, _ = fold(attached)
    for name, layer in target_linears(folded).items():
        moved = (layer.weight - before[name])[rows[name].rows]
        for cluster in (0, 1):
            members = moved[rows[name].clusters == cluster]
            assert torch.allclose(members, members[:1].expand_as(members), atol=1e-6)


def test_it_is_lora_with_b_frozen_to_the_cluster_matrix(loaded: Loaded):
    """A = U from zero, B the 0/1 matrix of clusters, alpha = rank: the same logits after the same training."""
    rows = some_rows(loaded)
    twin = copy.deepcopy(loaded.model)
    attached = attach(loaded.model, SPEC, rows)
    config = LoraConfig(r=2, lora_alpha=2, target_modules=list(rows), task_type="CAUSAL_LM")
    lora = get_peft_model(twin, config)
    for name, layer in lora.named_modules():
        if hasattr(layer, "lora_A") and "default" in layer.lora_A:
            found = rows[name.removeprefix("base_model.model.")]
            with torch.no_grad():
                layer.lora_A["default"].weight.zero_()
                layer.lora_B["default"].weight.zero_()
                layer.lora_B["default"].weight[found.rows, found.clusters] = 1.0
            layer.lora_B["default"].weight.requires_grad_(False)
    step(attached.model, steps=4)
    step(lora, steps=4)
    assert torch.allclose(logits(attached.model), logits(lora), atol=1e-5)


def test_its_lora_factors_multiply_to_its_update(loaded: Loaded):
    attached = attach(loaded.model, SPEC, some_rows(loaded))
    step(attached.model)
    for layer in attached.model.modules():
        if isinstance(layer, goodvibe.GoodVibeLinear):
            a, b = layer.factors()
            assert torch.allclose(b @ a, layer.delta(), atol=1e-7)


@pytest.mark.parametrize(
    "spec", [FullSpec(kind="full"), LoraSpec(kind="lora", rank=2), LoraSpec(kind="lora", rank=2, frozen_b=True)]
)
def test_rivals_fold_to_the_model_that_was_trained(loaded: Loaded, spec):
    attached = attach(loaded.model, spec)
    step(attached.model)
    adapted = logits(attached.model)
    folded, error = fold(attached)
    assert torch.allclose(logits(folded), adapted, atol=1e-5)
    assert error == 0.0
    assert not any("lora" in name for name, _ in folded.named_parameters())


def test_lora_of_rank_two_counts_as_its_shapes_say(loaded: Loaded):
    expected = sum(2 * (x.in_features + x.out_features) for x in target_linears(loaded.model).values())
    assert attach(loaded.model, LoraSpec(kind="lora", rank=2)).trainable() == expected


def test_a_frozen_random_b_starts_as_the_base_model_and_trains_a_alone(loaded: Loaded):
    before = logits(loaded.model)
    expected = sum(2 * x.in_features for x in target_linears(loaded.model).values())
    attached = attach(loaded.model, LoraSpec(kind="lora", rank=2, frozen_b=True))
    assert torch.equal(logits(attached.model), before)
    assert attached.trainable() == expected
    step(attached.model)
    assert not torch.allclose(logits(attached.model), before, atol=1e-3)


def test_the_seed_draws_loras_first_weights(loaded: Loaded):
    def drawn(seed: int) -> torch.Tensor:
        tuned = attach(copy.deepcopy(loaded.model), LoraSpec(kind="lora", rank=2), seed=seed).model
        return next(weight for name, weight in tuned.named_parameters() if "lora_A" in name)

    assert torch.equal(drawn(0), drawn(0))
    assert not torch.equal(drawn(0), drawn(1))


def test_top_layers_tune_nothing_below(loaded: Loaded):
    tuned = attach(loaded.model, LoraSpec(kind="lora", rank=2, top_layers=1)).model
    trained = [name for name, weight in tuned.named_parameters() if weight.requires_grad]
    assert trained
    assert all(".layers.1." in name for name in trained)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_fast_path_computes_what_plain_autograd_computes(dtype: torch.dtype):
    """A hook on the base layer, or autocast, takes the plain path: outputs and gradients must agree."""
    torch.manual_seed(0)
    base = torch.nn.Linear(12, 20).to(dtype).requires_grad_(False)
    layer = goodvibe.GoodVibeLinear(base)
    layer.add("default", torch.randperm(20)[:7], torch.arange(7) % 3, 3)
    with torch.no_grad():
        layer.goodvibe_update["default"].normal_()
    found = []
    for watched in (False, True):
        handle = base.register_forward_hook(lambda *_: None) if watched else None
        x = torch.linspace(-1, 1, 2 * 5 * 12).reshape(2, 5, 12).to(dtype).requires_grad_()
        y = layer(x)
        layer.zero_grad()
        (y.float() * torch.arange(y.numel()).reshape(y.shape) / 100).sum().backward()
        found.append((y.detach(), x.grad, layer.goodvibe_update["default"].grad.clone()))
        if handle:
            handle.remove()
    near = 1e-5 if dtype == torch.float32 else 3e-2
    for fast, plain in zip(*found, strict=True):
        assert torch.allclose(fast.float(), plain.float(), rtol=near, atol=near)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(12,), (5, 12), (2, 5, 12), (2, 0, 12)])
def test_it_stands_in_for_a_linear_whatever_the_input_and_when_its_output_is_changed_in_place(
    shape: tuple[int, ...], bias: bool
):
    torch.manual_seed(0)
    layer = goodvibe.GoodVibeLinear(torch.nn.Linear(12, 20, bias=bias).requires_grad_(False))
    layer.add("default", torch.randperm(20)[:7], torch.arange(7) % 3, 3)
    torch.nn.init.normal_(layer.goodvibe_update["default"])
    plain = torch.nn.Linear(12, 20, bias=bias)
    plain.load_state_dict(layer.get_base_layer().state_dict())
    with torch.no_grad():
        plain.weight += layer.delta()
    found = []
    for linear in (layer, plain):
        x = torch.linspace(-1, 1, max(1, torch.Size(shape).numel()))[: torch.Size(shape).numel()].reshape(shape)
        y = linear(x.requires_grad_())
        y.add_(1).mul_(2)
        (y**2).sum().backward()
        found.append((y.detach(), x.grad))
    torch.testing.assert_close(*found)
    by_row = plain.weight.grad[layer.goodvibe_rows["default"]]
    summed = torch.zeros(3, 12).index_add(0, layer.goodvibe_clusters["default"], by_row)
    torch.testing.assert_close(layer.goodvibe_update["default"].grad, summed, rtol=1e-4, atol=1e-4)


def test_a_selection_that_has_a_row_twice_is_refused(loaded: Loaded):
    rows = some_rows(loaded)
    name = list(rows)[1]
    rows[name].rows[0] = rows[name].rows[3]
    with pytest.raises(ValueError, match=f"a row of {name} more than once"):
        attach(loaded.model, SPEC, rows)


def test_under_autocast_it_trains_too(loaded: Loaded):
    attached = attach(loaded.model, SPEC, some_rows(loaded))
    before = logits(attached.model)
    with torch.autocast("cpu", torch.bfloat16):
        step(attached.model)
    assert not torch.allclose(logits(attached.model), before, atol=1e-3)


def _sixteen_bits(adapters: int) -> tuple[torch.nn.Linear, goodvibe.GoodVibeLinear]:
    """Return a layer in bf16 and a tuned copy of it whose adapters share half of their rows."""
    generator = torch.Generator().manual_seed(0)
    base = torch.nn.Linear(64, 16, bias=False).to(torch.bfloat16)
    tuned = goodvibe.GoodVibeLinear(copy.deepcopy(base))
    for number in range(adapters):
        rows = torch.arange(8) + 4 * number
        tuned.add(f"a{number}", rows, torch.arange(8) % 2, 2)
        tuned.goodvibe_update[f"a{number}"].data = 1e-2 * torch.randn(2, 64, generator=generator)
    tuned.set_adapter([f"a{number}" for number in range(adapters)])
    return base, tuned


def test_merging_in_16_bits_adds_in_float32_and_rounds_once():
    base, tuned = _sixteen_bits(1)
    update = tuned.goodvibe_update["a0"][torch.arange(8) % 2]
    tuned.merge()
    expected = base.weight.data.clone()
    expected[:8] = (base.weight[:8].float() + update).to(torch.bfloat16)
    twice = base.weight[:8] + update.to(torch.bfloat16)
    assert torch.equal(tuned.get_base_layer().weight, expected)
    assert not torch.equal(twice, expected[:8]), "the case tells one rounding from two"


def test_adapters_that_share_rows_are_unmerged_to_the_same_bits():
    base, tuned = _sixteen_bits(3)
    tuned.merge()
    assert not torch.equal(tuned.get_base_layer().weight, base.weight)
    tuned.unmerge()
    assert torch.equal(tuned.get_base_layer().weight, base.weight)


def test_a_frozen_random_b_has_columns_of_one_length_and_scale_one(loaded: Loaded):
    tuned = attach(loaded.model, LoraSpec(kind="lora", rank=2, frozen_b=True)).model
    layers = [layer for layer in tuned.modules() if isinstance(layer, LoraLayer)]
    assert layers
    for layer in layers:
        assert layer.scaling["default"] == 1.0
        b = layer.lora_B["default"].weight  # pyright: ignore[reportIndexIssue]
        torch.testing.assert_close(b.norm(dim=0), torch.full((2,), 5.0))
        assert not b.requires_grad
