import torch

from goodvibe_bench.model.load import Loaded
from goodvibe_bench.objective.ranking import RankingObjective
from goodvibe_bench.objective.verdict import VerdictObjective, choice_logits
from goodvibe_bench.types import Labelled


def _item(code: str, label: int, family: str) -> Labelled:
    return Labelled(id=f"{family}/{code}", code=code, language="cpp", label=label, family=family)  # type: ignore[arg-type]


PAIRS = [_item("int a;", 0, "one"), _item("gets(b);", 1, "one"), _item("int c = 1;", 0, "two"), _item("d();", 1, "two")]
SET = [
    _item("int f(int n) { if (n > 8) return 0; return table[n]; }", 0, "set"),
    _item("int f(int n) { if (n > 9) return 0; return table[n]; }", 1, "set"),
    _item("int f(int n) { return table[n]; }", 1, "set"),
    _item("int f(int n) { if (n > 8) return 0; return table[n]; } int g;", 0, "set"),
    _item("int f(int n) { if (n > 8) return 0; return table[n]; }", 1, "set"),
]


def _objective(loaded: Loaded, weight: float = 1.0) -> RankingObjective:
    return RankingObjective(VerdictObjective(loaded.tokenizer, 64), weight)


def _loss(loaded: Loaded, data: list[Labelled], weight: float) -> torch.Tensor:
    objective = _objective(loaded, weight)
    return objective.loss(loaded.model, objective.collate(objective.examples(data)))


def _alone(loaded: Loaded, data: list[Labelled]) -> torch.Tensor:
    """The logits of every snippet in a row of its own."""
    objective = VerdictObjective(loaded.tokenizer, 64)
    return choice_logits(loaded.model, objective.collate(objective.examples(data)), objective.choices)


def test_a_family_is_one_row_that_holds_what_its_sides_share_once(loaded: Loaded):
    rows = _objective(loaded).examples([*PAIRS, *SET])
    assert [len(row["ends"]) for row in rows] == [2, 2, 5]
    alone = VerdictObjective(loaded.tokenizer, 64).examples(SET)
    whole = [row["input_ids"] for row in alone]
    packed = rows[2]
    assert len(packed["input_ids"]) < 0.6 * sum(map(len, whole))
    assert [packed["input_ids"][end] for end in packed["ends"]] == [ids[-1] for ids in whole]
    assert [packed["position_ids"][end] for end in packed["ends"]] == [len(ids) - 1 for ids in whole]
    assert packed["segment"].count(4) == 1, "of a snippet that the first one equals, the last token stays"


def test_a_long_family_is_several_rows_each_with_its_first_snippet(loaded: Loaded):
    whole = _objective(loaded).examples(SET)[0]
    half = len(whole["input_ids"]) - 10
    rows = RankingObjective(VerdictObjective(loaded.tokenizer, 64), longest=half).examples(SET)
    assert len(rows) > 1
    assert all(len(row["input_ids"]) <= half for row in rows)
    assert [label for row in rows for label in row["labels"][1:]] == whole["labels"][1:]
    assert {tuple(row["input_ids"][: row["ends"][0] + 1]) for row in rows} == {
        tuple(whole["input_ids"][: whole["ends"][0] + 1])
    }
    tight = RankingObjective(VerdictObjective(loaded.tokenizer, 64), longest=1).examples(SET)
    assert [len(row["ends"]) for row in tight] == [2] * (len(SET) - 1), "two snippets are never parted"


def test_logits_in_a_shared_row_are_those_of_rows_of_their_own(loaded: Loaded):
    objective = _objective(loaded)
    with torch.no_grad():
        packed = objective._logits(loaded.model, objective.collate(objective.examples([*PAIRS, *SET])))
        alone = _alone(loaded, [*PAIRS, *SET])
    torch.testing.assert_close(packed[0, :2], alone[:2], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(packed[1, :2], alone[2:4], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(packed[2], alone[4:], atol=1e-4, rtol=1e-4)
    assert float((packed[2, 0] - packed[2, 2]).abs().max()) > 1e-3, "else the comparison shows nothing"


def test_gradients_in_a_shared_row_are_those_of_rows_of_their_own(loaded: Loaded):
    weight = next(p for name, p in loaded.model.named_parameters() if "q_proj" in name)
    labels = torch.tensor([item.label for item in SET])
    expected = torch.nn.functional.cross_entropy(_alone(loaded, SET), labels, reduction="sum")
    (theirs,) = torch.autograd.grad(expected, weight)
    (ours,) = torch.autograd.grad(_loss(loaded, SET, 0.0), weight)
    assert float(theirs.abs().max()) > 0
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-3)


def test_without_a_rank_weight_it_is_the_verdicts_loss(loaded: Loaded):
    objective = VerdictObjective(loaded.tokenizer, 64)
    with torch.no_grad():
        plain = float(objective.loss(loaded.model, objective.collate(objective.examples(PAIRS))))
        assert abs(float(_loss(loaded, PAIRS, 0.0)) - plain) < 1e-4


def test_order_counts_within_a_family_and_not_across(loaded: Loaded):
    with torch.no_grad():
        logits = _alone(loaded, [*PAIRS, *SET])
        score = logits[:, 1] - logits[:, 0]
        orders = [(0, 1), (2, 3), *((safe, unsafe) for safe in (4, 7) for unsafe in (5, 6, 8))]
        order = sum(torch.nn.functional.softplus(score[safe] - score[unsafe]) for safe, unsafe in orders)
        found = _loss(loaded, [*PAIRS, *SET], 2.0) - _loss(loaded, [*PAIRS, *SET], 0.0)
    assert abs(float(found - 2 * order)) < 1e-3


def test_families_of_one_label_have_no_order_and_a_batch_counts_its_snippets(loaded: Loaded):
    single = [_item("x;", 1, "three")]
    with torch.no_grad():
        assert abs(float(_loss(loaded, single, 5.0) - _loss(loaded, single, 0.0))) < 1e-6
    objective = _objective(loaded)
    batch = objective.collate(objective.examples([*single, *SET]))
    assert objective.weight(batch) == 6
    assert objective.kept(batch) == len({0, *batch["ends"].flatten().tolist()})
