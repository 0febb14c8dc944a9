from typing import get_args

import pytest
import torch

from goodvibe_bench.model.linears import target_linears
from goodvibe_bench.model.load import Loaded
from goodvibe_bench.neuron.attribution import Kind, score_profiles
from goodvibe_bench.objective.verdict import VerdictObjective, choice_ids
from goodvibe_bench.types import Labelled
from tests.tiny import tiny_model

KINDS: tuple[Kind, ...] = get_args(Kind)


def test_scores_are_mean_absolute_output_gradients_by_finite_differences(tmp_path):
    loaded = tiny_model(tmp_path)
    with torch.no_grad():
        for weight in loaded.model.parameters():
            weight.mul_(3)  # larger gradients than a fresh model's, well above float32 noise
    objective = VerdictObjective(loaded.tokenizer, 32)
    snippet = Labelled(id="a", code="int x;", language="cpp", label=1, family="a")
    name = "model.layers.1.mlp.up_proj"
    layer = target_linears(loaded.model)[name]
    scores = score_profiles(loaded.model, objective, [snippet])[name][0]
    batch = objective.collate(objective.examples([snippet]))
    tokens = batch["input_ids"].shape[1]
    row, step = int(scores.argmax()), 1e-2
    total = 0.0
    for token in range(tokens):
        losses = []
        for sign in (1, -1):

            def nudge(_module, _inputs, output, token=token, sign=sign):
                moved = output.clone()
                moved[0, token, row] += sign * step
                return moved

            handle = layer.register_forward_hook(nudge)
            with torch.no_grad():
                ids = loaded.model(**{k: v for k, v in batch.items() if k != "labels"}, use_cache=False)
            handle.remove()
            two = ids.logits[:, -1, list(choice_ids(loaded.tokenizer))]
            losses.append(float(torch.nn.functional.cross_entropy(two, batch["labels"])))
        total += abs(losses[0] - losses[1]) / (2 * step)
    assert torch.isclose(scores[row], torch.tensor(total / tokens).float(), rtol=1e-2)


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_scores_as_one_by_one(loaded: Loaded, snippets: list[Labelled], kind: Kind):
    objective = VerdictObjective(loaded.tokenizer, 64)
    alone = score_profiles(loaded.model, objective, snippets, kind, batch_size=1)
    batched = score_profiles(loaded.model, objective, snippets, kind, batch_size=4)
    for name, profile in alone.items():
        assert profile.shape[0] == len(snippets)
        assert torch.allclose(profile, batched[name], rtol=1e-3, atol=1e-6 if kind == "activation" else 1e-8), name


def test_parameter_scores_are_the_norms_of_autograds_weight_gradients(loaded: Loaded, snippets: list[Labelled]):
    objective = VerdictObjective(loaded.tokenizer, 64)
    found = score_profiles(loaded.model, objective, snippets[:1], "parameter")
    objective.loss(loaded.model, objective.collate(objective.examples(snippets[:1]))).backward()
    for name, layer in target_linears(loaded.model).items():
        assert layer.weight.grad is not None
        torch.testing.assert_close(found[name][0], layer.weight.grad.norm(dim=1), rtol=1e-4, atol=1e-8)


def test_gradient_times_activation_is_that(loaded: Loaded, snippets: list[Labelled]):
    objective, name = VerdictObjective(loaded.tokenizer, 64), "model.layers.1.mlp.up_proj"
    outputs: list[torch.Tensor] = []
    layer = target_linears(loaded.model)[name]
    handle = layer.register_forward_hook(
        lambda _module, _inputs, output: (output.retain_grad(), outputs.append(output))[0]
    )
    objective.loss(loaded.model, objective.collate(objective.examples(snippets[:1]))).backward()
    handle.remove()
    (output,) = outputs
    assert output.grad is not None
    found = score_profiles(loaded.model, objective, snippets[:1], "gradient_activation")[name][0]
    torch.testing.assert_close(found, (output.grad * output).abs().mean((0, 1)).detach(), rtol=1e-4, atol=1e-9)


def test_attribution_leaves_no_gradient_and_no_hook(loaded: Loaded, snippets: list[Labelled]):
    before = [weight.requires_grad for weight in loaded.model.parameters()]
    score_profiles(loaded.model, VerdictObjective(loaded.tokenizer, 64), snippets)
    assert [weight.requires_grad for weight in loaded.model.parameters()] == before
    assert all(weight.grad is None for weight in loaded.model.parameters())
    assert not any(module._forward_hooks for module in loaded.model.modules())


def test_the_head_is_never_a_target(loaded: Loaded):
    names = target_linears(loaded.model)
    assert len(names) == 2 * 7
    assert not any("lm_head" in name or "embed" in name for name in names)


def top_layer(loaded: Loaded) -> dict[str, torch.nn.Linear]:
    return target_linears(loaded.model, top_layers=1)


def test_scores_of_the_top_layers_are_those_of_a_reading_of_all(loaded: Loaded, snippets: list[Labelled]):
    objective = VerdictObjective(loaded.tokenizer, 64)
    for kind in KINDS:
        whole = score_profiles(loaded.model, objective, snippets, kind)
        top = score_profiles(loaded.model, objective, snippets, kind, layers=top_layer(loaded))
        assert set(top) == set(top_layer(loaded)) < set(whole)
        assert all(torch.equal(top[name], whole[name]) for name in top)


def test_no_gradient_flows_below_the_lowest_scored_layer(loaded: Loaded, snippets: list[Labelled]):
    asked = {}
    handles = [
        layer.register_forward_hook(lambda _m, _i, output, name=name: asked.update({name: output.requires_grad}))
        for name, layer in target_linears(loaded.model).items()
    ]
    objective = VerdictObjective(loaded.tokenizer, 64)
    score_profiles(loaded.model, objective, snippets[:2], layers=top_layer(loaded))
    for handle in handles:
        handle.remove()
    assert {name for name, grad in asked.items() if grad} == set(top_layer(loaded))
    assert len(asked) == 14


def test_every_forward_pass_reports_its_mask(loaded: Loaded, snippets: list[Labelled]):
    objective = VerdictObjective(loaded.tokenizer, 64)
    masks: list[torch.Tensor] = []
    score_profiles(loaded.model, objective, snippets, batch_size=4, on_batch=masks.append)
    assert [len(mask) for mask in masks] == [4, 4, 2]
    tokens = sum(len(example["input_ids"]) for example in objective.examples(snippets))
    assert sum(int(mask.sum()) for mask in masks) == tokens
