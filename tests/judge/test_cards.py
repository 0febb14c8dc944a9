from pathlib import Path

import pytest

from goodvibe_bench import catalog
from goodvibe_bench.errors import UsageError
from goodvibe_bench.judge import JudgeDefinition, cards, load
from goodvibe_bench.judge.calibrated import Calibrated
from goodvibe_bench.judge.definition import Card
from tests.conftest import Call
from tests.result.builders import calibration
from tests.tiny import tiny_folder

WORDS = """
description = "Calls words unsafe"
[judge]
kind = "scripted"
unsafe_words = ["strcpy"]
"""
VOTE = """
description = "Asks others"
[judge]
kind = "vote"
judges = ["{}"]
rule = "any"
"""


def _read(path: Path) -> catalog.Definition[JudgeDefinition]:
    return catalog.read("judges", str(path), JudgeDefinition)


def _calibrate(path: Path, tpr: int = 90) -> None:
    """Write a card for the judge as it is now."""
    definition = _read(path)
    folder = cards.weights_folder(definition)
    folder.mkdir(exist_ok=True)
    card = Card(
        judge=path.stem,
        definition_digest=definition.digest,
        weights_digest=cards.digest_weights(folder),
        identity=cards.identity(definition, folder),
        data={},
        recipe={},
        calibration={"cpp": calibration(tpr=tpr).model_copy(update={"threshold": tpr / 100})},
    )
    (folder / "card.json").write_text(card.model_dump_json())


@pytest.fixture
def words(tmp_path: Path) -> Path:
    path = tmp_path / "words.toml"
    path.write_text(WORDS)
    _calibrate(path)
    return path


@pytest.fixture
def vote(tmp_path: Path, words: Path) -> Path:
    path = tmp_path / "poll.toml"
    path.write_text(VOTE.format(words))
    _calibrate(path)
    return path


def test_a_calibration_counts_while_the_judge_is_the_same(words: Path, vote: Path) -> None:
    for path in (words, vote):
        assert not cards.standing(_read(path)).stale
        assert isinstance(load.load(str(path)).judge, Calibrated)


def test_a_calibration_of_another_definition_does_not_count(words: Path) -> None:
    words.write_text(WORDS.replace("strcpy", "memcpy"))
    found = cards.standing(_read(words))
    assert found.stale
    assert found.card is not None
    assert found.card.calibration == {}
    fitted = load.load(str(words))
    assert not isinstance(fitted.judge, Calibrated)
    assert set(fitted.thresholds.values()) == {0.5}


def test_a_calibration_of_other_weights_does_not_count(words: Path) -> None:
    (words.with_suffix("") / "linear.safetensors").write_bytes(b"new")
    assert cards.standing(_read(words)).stale


def test_a_votes_calibration_does_not_outlive_its_members(words: Path, vote: Path) -> None:
    _calibrate(words, tpr=80)
    assert not cards.standing(_read(words)).stale
    assert cards.standing(_read(vote)).stale


def test_a_card_of_before_is_held_to_definition_and_weights(words: Path) -> None:
    path = words.with_suffix("") / "card.json"
    card = cards.read_card(path.parent)
    assert card is not None
    path.write_text(card.model_copy(update={"identity": None}).model_dump_json())
    assert not cards.standing(_read(words)).stale
    words.write_text(WORDS.replace("strcpy", "memcpy"))
    assert cards.standing(_read(words)).stale


def test_a_run_refuses_a_calibration_that_does_not_count_and_says_why(words: Path, call: Call, tmp_path: Path) -> None:
    words.write_text(WORDS.replace("strcpy", "memcpy"))
    ask = (
        "run",
        "--model",
        "smollm2-135m",
        "--method",
        "none",
        "--tasks",
        "cpp",
        "--judge",
        str(words),
        "--scratch",
        str(tmp_path),
    )
    code, _, said = call(*ask)
    assert code == 2
    assert "'words' has none for cpp (the calibration in its card is of another definition" in " ".join(said.split())


def test_a_vote_that_is_its_own_member_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "poll.toml"
    path.write_text(VOTE.format(path))
    for ask in (load.load, lambda name: cards.standing(_read(Path(name)))):
        with pytest.raises(UsageError, match="own member: poll -> poll"):
            ask(str(path))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A calibrated judge that is a tiny model in a folder, with an adapter's config."""
    path = tmp_path / "asked.toml"
    base = tiny_folder(tmp_path / "tiny")
    path.write_text(f'description = "Asks a model"\n[judge]\nkind = "model"\nbase = "{base}"\n')
    (tmp_path / "asked").mkdir()
    (tmp_path / "asked" / "adapter_config.json").write_text('{"lora_alpha": 32}')
    _calibrate(path)
    return path


def test_a_calibration_does_not_outlive_the_adapters_config(model: Path) -> None:
    assert not cards.standing(_read(model)).stale
    (model.with_suffix("") / "adapter_config.json").write_text('{"lora_alpha": 64}')
    assert cards.standing(_read(model)).stale


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_a_calibration_does_not_outlive_the_base_models_files(model: Path, name: str) -> None:
    base = model.parent / "tiny"
    (base / "goodvibe.json").write_text("a note")
    (base / "README.md").write_text("a page")
    assert not cards.standing(_read(model)).stale
    (base / name).write_bytes((base / name).read_bytes() + b" ")
    assert cards.standing(_read(model)).stale


def test_of_a_base_model_that_is_no_folder_the_name_counts(tmp_path: Path) -> None:
    path = tmp_path / "hub.toml"
    found = set()
    for base in ("owner/name", "owner/other", "smollm2-135m"):
        path.write_text(f'description = "x"\n[judge]\nkind = "model"\nbase = "{base}"\n')
        found.add(cards.identity(_read(path), tmp_path / "hub"))
    assert len(found) == 3


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"{", "is not valid JSON: Expecting property name"),
        (b"\xff", "is not valid JSON: 'utf-8' codec"),
        (b"9" * 5000, "is not valid JSON: Exceeds the limit"),
        (b"[" * 100_000, "is nested too deeply."),
    ],
)
def test_a_card_that_is_no_json_is_refused_with_its_path(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "card.json"
    path.write_bytes(content)
    with pytest.raises(UsageError) as caught:
        cards.read_card(tmp_path)
    assert str(caught.value).startswith(f"{path} {said}")
