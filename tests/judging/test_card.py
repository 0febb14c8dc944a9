import json
from pathlib import Path

import pytest

from goodvibe_bench.judge.cards import read_card
from goodvibe_bench.judge.definition import Card
from goodvibe_bench.judging.card import card_text
from goodvibe_bench.metric.calibration import crossfitted

JUDGES = Path(__file__).parents[2] / "judges"
WORDS = "<b>[a](http://x)|`c`\n# d"
SHOWN = "\\<b\\>\\[a\\](http://x)\\|\\`c\\`\N{REPLACEMENT CHARACTER}\\# d"


@pytest.mark.parametrize("name", ["panel", "smollm2-135m", "signals", "pairwise", "linear"])
def test_a_shipped_page_says_what_the_card_says(name: str) -> None:
    card = read_card(JUDGES / name)
    assert card is not None
    shown = (JUDGES / name / "README.md").read_text().splitlines()
    assert sorted(shown) == sorted(card_text(card).splitlines()), "probes may stand in another order"


def test_no_word_of_others_is_markdown() -> None:
    found = crossfitted("go", [0, 1] * 10, [0.2, 0.8] * 10, [place // 2 for place in range(20)])
    rate = json.loads(found.tpr.model_dump_json())
    row = dict.fromkeys(("set", "use", "language", "n", "unusable", "unjudged"), WORDS)
    row |= dict.fromkeys(("tpr", "fpr", "strict_tpr", "strict_fpr", "auc", "ece", "pair_order", "snippets_per_second"))
    flips = {"flips": {WORDS: {"overall": {"insecure": 1, "rate": rate}}}, "must_flip": None}
    flips |= {"injections": {"flips": {WORDS: rate}}, "junk": {"secure": rate}}
    source = {"snippets": WORDS, "digest": WORDS}
    chosen = {"when": WORDS, "languages": [WORDS], "scaling": WORDS, "max_fpr": None, "sources": {WORDS: source}}
    card = Card(
        judge=WORDS,
        definition_digest="",
        weights_digest="",
        data={WORDS: {"license": WORDS, "learn": 1, "calibration": 2, "digest": WORDS}},
        recipe={"calibration": chosen, "trained_on": WORDS},
        calibration={"go": found},
        compared={WORDS: {"go": found}},
        measured={"date": WORDS, "rows": [row], "probes": flips},
        notes=WORDS,
    )
    text, _, recipe = card_text(card).partition("## Recipe")
    assert text.count(SHOWN) == 20
    assert [word for word in ("<b>", "[a]", "`c`", "\n# d") if word in text] == []
    assert json.loads(recipe.split("```json\n")[1].split("\n```\n")[0]) == card.recipe, "nothing ends the fence"
