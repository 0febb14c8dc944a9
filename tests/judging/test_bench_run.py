from pathlib import Path

from goodvibe_bench.errors import UsageError
from goodvibe_bench.judge.cards import read_card
from goodvibe_bench.judge.definition import Card
from goodvibe_bench.judging import bench_card
from goodvibe_bench.judging.bench_run import measured
from goodvibe_bench.judging.card import write
from tests.judging.test_bench import QUIET, labelled_set, word_judge


def _judges(folder: Path) -> list[str]:
    names = [word_judge(folder, "bad", name) for name in ("first", "second")]
    for name in names:
        (folder / Path(name).stem).mkdir()
        card = Card(
            judge=Path(name).stem, definition_digest="d", weights_digest="w", data={}, recipe={}, calibration={}
        )
        write(card, folder / Path(name).stem)
    return names


def test_each_judge_is_saved_and_one_whose_card_changed_meanwhile_leaves_the_others(tmp_path: Path) -> None:
    names, said = _judges(tmp_path), list[str]()
    states = {names[0]: "of before", names[1]: bench_card.state(names[1])}
    found = measured(names, [labelled_set()], QUIET, states=states, warn=said.append)
    assert set(found.rows) == set(names)
    (error,) = found.failed
    assert isinstance(error, UsageError)
    assert said == [f"judge {names[0]} failed: {error}"]
    saved = [read_card(tmp_path / name) for name in ("first", "second")]
    assert [bool(card and card.measured) for card in saved] == [False, True]


def test_no_card_is_written_where_none_is_asked_for(tmp_path: Path) -> None:
    names = _judges(tmp_path)
    before = [(tmp_path / name / "card.json").read_bytes() for name in ("first", "second")]
    found = measured(names, [labelled_set()], QUIET, warn=lambda words: None)
    assert (set(found.rows), found.probes, found.failed) == (set(names), {}, [])
    assert [(tmp_path / name / "card.json").read_bytes() for name in ("first", "second")] == before
