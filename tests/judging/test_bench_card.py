from pathlib import Path
from typing import Any

import pytest

from goodvibe_bench.judge.cards import read_card
from goodvibe_bench.judge.definition import Card
from goodvibe_bench.judging import bench as benching
from goodvibe_bench.judging.bench import Row
from goodvibe_bench.judging.card import write
from goodvibe_bench.metric.calibration import crossfitted
from tests.conftest import Call
from tests.judging.test_bench import labelled_set, word_judge
from tests.task.rows import write_rows


def test_figures_of_a_calibration_that_was_replaced_meanwhile_are_not_saved(
    tmp_path: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, folder = word_judge(tmp_path, "bad"), tmp_path / "words"
    folder.mkdir()
    card = Card(judge="words", definition_digest="d", weights_digest="w", data={}, recipe={}, calibration={})
    write(card, folder)
    (tmp_path / "data").mkdir()
    write_rows(tmp_path / "data" / "toy.jsonl", [row.model_dump(mode="json") for row in labelled_set().rows])
    real = benching.measure

    def calibrated_meanwhile(*words: Any) -> list[Row]:
        cpp = crossfitted("cpp", [0, 1] * 4, [0.1, 0.9] * 4, range(8))
        write(card.model_copy(update={"calibration": {"cpp": cpp}}), folder)
        return real(*words)

    monkeypatch.setattr(benching, "measure", calibrated_meanwhile)
    words = ("judge", "bench", "--judge", name, "--data", str(tmp_path / "data"), "--sets", "toy", "--save", "--quiet")
    code, out, err = call(*words)
    saved = read_card(folder)
    assert code == 2
    assert "toy (transfer)" in out
    assert "was fitted or calibrated while it was measured: nothing is saved" in " ".join(err.split())
    assert saved
    assert (list(saved.calibration), saved.measured) == (["cpp"], {})
