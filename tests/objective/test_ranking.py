import torch

from goodvibe_bench.model.load import Loaded
from goodvibe_bench.objective.ranking import RankingObjective
from goodvibe_bench.objective.verdict import VerdictObjective, choice_logits
from goodvibe_bench.types import Labelled


def _item(code: str, label: int, family: str) -> Labelled:
    return Labelled(id=f"{family}/{code}", code=code, language="cpp", label=label, family=family)  # type: ignore[arg-type]


PAIRS = [_item("int a;", 0, "one"), _item("gets(b);", 1, "one"), _item("int c = 1;", 0, "two"), _item("d();", 1, "two")]


def _loss(loaded: Loaded, data: list[Labelled], weight: float) -> float:
    objective = RankingObjective(VerdictObjective(loaded.tokenizer, 64), weight)
    with torch.no_grad():
        return float(objective.loss(loaded.model, objective.collate(objective.examples(data))))


def test_a_family_is_one_example_with_all_its_sides(loaded: Loaded):
    rows = RankingObjective(VerdictObjective(loaded.tokenizer, 64)).examples(PAIRS)
    assert [len(row["snippets"]) for row in rows] == [2, 2]
    assert all(len(row["input_ids"]) == max(len(side["input_ids"]) for side in row["snippets"]) for row in rows)


def test_without_a_rank_weight_it_is_the_verdicts_loss(loaded: Loaded):
    objective = VerdictObjective(loaded.tokenizer, 64)
    with torch.no_grad():
        plain = float(objective.loss(loaded.model, objective.collate(objective.examples(PAIRS))))
    assert abs(_loss(loaded, PAIRS, 0.0) - plain) < 1e-4


def test_order_counts_within_a_family_and_not_across(loaded: Loaded):
    objective = VerdictObjective(loaded.tokenizer, 64)
    with torch.no_grad():
        logits = choice_logits(loaded.model, objective.collate(objective.examples(PAIRS)), objective.choices)
    score = logits[:, 1] - logits[:, 0]
    order = torch.nn.functional.softplus(score[0] - score[1]) + torch.nn.functional.softplus(score[2] - score[3])
    assert abs(_loss(loaded, PAIRS, 2.0) - _loss(loaded, PAIRS, 0.0) - 2 * float(order)) < 1e-4


def test_families_of_one_label_have_no_order(loaded: Loaded):
    single = [_item("x;", 1, "three")]
    assert abs(_loss(loaded, single, 5.0) - _loss(loaded, single, 0.0)) < 1e-6
