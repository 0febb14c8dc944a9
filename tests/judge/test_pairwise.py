from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from goodvibe_bench.errors import UsageError
from goodvibe_bench.judge import pairwise
from goodvibe_bench.types import LANGUAGES, Code, Labelled, Language, Outcome

SIZE = 4096


def _sides(shared: str, family: str) -> list[Labelled]:
    """Return a secure and an insecure function that differ in one call."""
    words = {"language": "cpp", "family": family}
    code = "void f(const char* p) {{ char r[8]; {shared}(); {copy}(r, p); }}"
    made = [("strlcpy", 0), ("strcpy", 1)]
    return [
        Labelled.model_validate(
            {"id": f"{family}/{label}", "code": code.format(shared=shared, copy=copy), "label": label} | words
        )
        for copy, label in made
    ]


FAMILIES = [side for number in range(12) for side in _sides(f"log_{chr(97 + number)}", f"family-{number}")]


def _scores(weights: np.ndarray, texts: Sequence[str]) -> list[float]:
    languages: list[Language] = ["cpp"] * len(texts)
    return pairwise.PairwiseJudge("p", weights).probabilities(texts, languages)


def test_it_learns_what_tells_sides_apart_and_orders_those_of_a_family_that_it_never_saw():
    weights = pairwise.fit(FAMILIES, SIZE, 1.0, 1.0)
    safe, unsafe = _scores(weights, [item.code for item in _sides("other", "new")])
    assert safe < 0.4 < 0.6 < unsafe


def test_what_no_familys_sides_differ_in_weighs_nothing():
    """Of single snippets the unsafe ones alone call `told`: it tells their label, and no order."""
    plain = FAMILIES[0].code
    more = [item.model_copy(update={"family": item.id}) for item in FAMILIES]
    told = [item.model_copy(update={"code": item.code.replace("{", "{ told();", item.label)}) for item in more]
    weights = pairwise.fit([*FAMILIES, *told], 2**18, 1.0, 1.0)
    with_it, with_another = (plain.replace("{", f"{{ {name}();") for name in ("told", "zebra"))
    assert _scores(weights, [with_it]) == _scores(weights, [with_another])


def test_a_larger_weight_of_order_parts_the_sides_further():
    alone = pairwise.fit(FAMILIES, SIZE, 0.0, 1.0)
    ordered = pairwise.fit(FAMILIES, SIZE, 5.0, 1.0)
    both = [_scores(weights, [item.code for item in FAMILIES[:2]]) for weights in (alone, ordered)]
    near, far = (unsafe - safe for safe, unsafe in both)
    assert 0 < near < far


def test_the_lowest_point_was_found(monkeypatch: pytest.MonkeyPatch):
    """The slope handed to the optimiser is that of the loss: checked by finite differences at a point of chance."""
    seen: list[tuple[float, float]] = []

    def check(loss, start, **words):  # type: ignore[no-untyped-def]
        point = np.random.default_rng(0).normal(size=len(start)) / 10
        value, slope = loss(point)
        for place in range(0, len(start), max(1, len(start) // 20)):
            moved = point.copy()
            moved[place] += 1e-6
            seen.append(((loss(moved)[0] - value) / 1e-6, slope[place]))
        return type("Found", (), {"x": start})

    monkeypatch.setattr(pairwise, "minimize", check)
    pairwise.fit(FAMILIES, SIZE, 0.7, 2.0)
    assert len(seen) >= 10
    assert np.allclose(*zip(*seen, strict=True), atol=1e-3)


def test_sides_of_a_family_are_all_held_against_one_another():
    more = FAMILIES[1].model_copy(update={"id": "more"})
    other = FAMILIES[1].model_copy(update={"id": "go", "language": "go"})
    assert pairwise.orders([*FAMILIES[:4], more, other]) == ([1, 4, 3], [0, 0, 2])


def test_data_without_both_sides_of_a_family_is_refused():
    lone = [item.model_copy(update={"family": item.id}) for item in FAMILIES]
    with pytest.raises(UsageError, match="families with both"):
        pairwise.fit(lone, SIZE, 1.0, 1.0)


def test_weights_come_back_as_they_were_saved_and_others_are_refused(tmp_path: Path):
    weights = pairwise.fit(FAMILIES, SIZE, 1.0, 1.0)
    pairwise.save(weights, tmp_path)
    assert np.array_equal(pairwise.load(tmp_path, SIZE), weights)
    with pytest.raises(UsageError, match="other features"):
        pairwise.load(tmp_path, 2 * SIZE)


def test_verdicts_do_not_hang_on_what_else_is_judged():
    weights = np.random.default_rng(0).normal(size=SIZE + len(LANGUAGES)).astype(np.float32)
    codes = [Code(text=item.code, language="cpp", how_extracted="fence", parses=True) for item in FAMILIES]
    judge = pairwise.PairwiseJudge("p", weights)
    together, alone = judge.judge(codes), [judge.judge([code])[0] for code in codes]
    assert [one.p_unsafe for one in together] == pytest.approx([one.p_unsafe for one in alone], abs=1e-12)
    junk = Code(text="", language="cpp", how_extracted="none", parses=False, unusable="no-code")
    assert judge.judge([junk])[0].outcome == Outcome.UNUSABLE
    assert judge.judge([]) == []
