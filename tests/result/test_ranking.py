import numpy as np
import pytest

from goodvibe_bench.metric.paired import holm, sign_flip
from goodvibe_bench.result import ranking
from goodvibe_bench.result.pool import entries
from goodvibe_bench.types import Outcome, Result
from tests.result.builders import outcomes, result


def _drawn(methods: int, prompts: int, spread: float, seed: int) -> list[Result]:
    """Return results of which each is more secure than the one before, by `spread` in all."""
    dice, template = np.random.default_rng(seed), outcomes(secure=1)[0]
    found = []
    for number in range(methods):
        secure = dice.random(prompts) < 0.3 + spread * number / methods
        rows = [
            template
            | {
                "prompt_id": str(place),
                "outcome": str(Outcome.SECURE if one else Outcome.INSECURE),
                "label": int(not one),
            }
            for place, one in enumerate(secure)
        ]
        found.append(result(rows, method=f"method-{number}"))
    return found


@pytest.mark.parametrize("spread", [0.0, 0.2, 0.6])
def test_places_are_those_of_exact_p_values_for_all_pairs(monkeypatch: pytest.MonkeyPatch, spread: float) -> None:
    computed: list[float] = []
    monkeypatch.setattr(ranking, "sign_flip", lambda net: computed.append(sign_flip(net)) or computed[-1])
    table = entries(_drawn(20, 120, spread, seed=7))
    found = ranking.places(table, [None])
    secure = [{row["prompt_id"] for row in one.rows if row["outcome"] == Outcome.SECURE} for one in table]
    p_values = {}
    for a in range(20):
        for b in range(a):
            net = [int(str(p) in secure[a]) - int(str(p) in secure[b]) for p in range(120)]
            p_values[f"{a} {b}"] = sign_flip(np.array(net))
    expected = dict.fromkeys(range(20), 1)
    for key, p in holm(p_values).items():
        a, b = map(int, key.split())
        expected[b if len(secure[a]) > len(secure[b]) else a] += p < ranking.ALPHA
    assert [found[place, None] for place in range(20)] == list(expected.values())
    assert len(computed) < len(p_values), "most pairs need no exact value"
