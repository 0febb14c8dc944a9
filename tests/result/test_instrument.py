import pytest

from goodvibe_bench.errors import UsageError
from goodvibe_bench.result import instrument
from tests.result.builders import calibration

KNOWN = {"cpp": calibration(), "java": calibration("java", tpr=51, fpr=50)}


def test_a_card_line_has_the_figures_of_the_languages_asked() -> None:
    first, *_ = instrument.card_lines("j", KNOWN, ["set"], ["cpp", "java"])
    assert first == (
        "judge j: cpp AUC 0.90, TPR 0.90, FPR 0.10, n 200; java AUC 0.90, TPR 0.51, FPR 0.50, n 200; calibrated on set"
    )


def test_a_line_warns_where_a_judge_is_useless() -> None:
    _, *lines = instrument.card_lines("j", KNOWN, [], ["cpp", "java"])
    assert len(lines) == 1
    assert "judge j may be useless in java:" in lines[0]
    assert len(instrument.card_lines("j", KNOWN, [], ["cpp"])) == 1


def test_a_judge_without_a_card_says_so() -> None:
    assert instrument.card_lines("j", {}, [], ["cpp"]) == ["judge j: no calibration"]


def test_all_missing_calibrations_are_refused_at_once() -> None:
    with pytest.raises(UsageError, match=r"'j' has none for go; judge 'k' has none for cpp, go.*--uncalibrated"):
        instrument.check_calibrated({"j": KNOWN, "k": {}}, ["cpp", "go"])
    instrument.check_calibrated({"j": KNOWN}, ["cpp"])


def test_two_judges_of_one_name_are_refused() -> None:
    with pytest.raises(UsageError, match="Two judges are called 'j'"):
        instrument.check_names(["j", "k", "j"])
    instrument.check_names(["j", "k"])


def test_sources_are_those_of_the_newest_calibration() -> None:
    data = {"cpp": {"calibration": 3}, "sven": {"calibration": 0}}
    assert instrument.calibrated_on(data, {}) == ["cpp"]
    assert instrument.calibrated_on(data, {"calibration": {"sources": {"labels.jsonl": {}}}}) == ["labels.jsonl"]


def test_a_block_gives_its_calibrations_back() -> None:
    assert instrument.calibrations(instrument.block("j", "d", KNOWN.values())) == KNOWN
    assert instrument.calibrations({"name": "j"}) == {}


def test_each_language_has_its_own_sources() -> None:
    recipe = {"calibrated": {"cpp": {"sources": {"a": {}, "b": {}}}, "java": {"sources": {"a": {}, "c": {}}}}}
    assert instrument.calibrated_on({}, recipe) == ["a", "b", "c"]
    first, *_ = instrument.card_lines("j", KNOWN, ["a"], ["cpp", "java"], instrument.calibrated_apart(recipe))
    assert first == (
        "judge j: cpp AUC 0.90, TPR 0.90, FPR 0.10, n 200 on a + b; java AUC 0.90, TPR 0.51, FPR 0.50, n 200 on a + c"
    )
