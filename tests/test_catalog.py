from pathlib import Path

import pytest

from goodvibe_bench import catalog
from goodvibe_bench.errors import UsageError
from goodvibe_bench.task import TaskDefinition
from goodvibe_bench.trainer import TrainerDefinition


def _trainer(folder: Path, text: str) -> catalog.Definition[TrainerDefinition]:
    path = folder / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return catalog.read("trainers", str(path), TrainerDefinition)


def _fault(folder: Path, text: str) -> str:
    with pytest.raises(UsageError) as caught:
        _trainer(folder, text)
    assert "mine.toml" in str(caught.value), "the message says what was read"
    return str(caught.value)


def test_a_path_is_read_like_a_name(tmp_path: Path) -> None:
    found = _trainer(tmp_path, 'description = "x"\n[tuner]\nkind = "lora"\nrank = 3\n')
    assert (found.name, found.path, found.content.tuner.kind) == ("mine", tmp_path / "mine.toml", "lora")


def test_a_task_folder_is_read_by_its_path() -> None:
    folder = catalog.root() / "tasks" / "go"
    named, by_path = (catalog.read("tasks", name, TaskDefinition) for name in ("go", str(folder)))
    assert (by_path.name, by_path.digest) == (named.name, named.digest)


def test_an_unknown_key_gives_the_nearest(tmp_path: Path) -> None:
    message = _fault(tmp_path, 'description = "x"\nobjectiv = "sft"\n[tuner]\nkind = "none"\n')
    assert "objectiv: unknown key. Did you mean 'objective'?" in message


@pytest.mark.parametrize(
    ("kind", "key", "meant"),
    [("goodvibe", "top_kk", "top_k"), ("lora", "rang", "rank"), ("goodvibe", "min_silhouete", "min_silhouette")],
)
def test_an_unknown_key_in_the_tuner_table_gives_the_nearest_of_its_kind(
    tmp_path: Path, kind: str, key: str, meant: str
) -> None:
    message = _fault(tmp_path, f'description = "x"\n[tuner]\nkind = "{kind}"\n{key} = 3\n')
    assert f"{key}: unknown key. Did you mean {meant!r}?" in message


def test_an_unknown_key_in_the_training_table_gives_the_nearest(tmp_path: Path) -> None:
    message = _fault(tmp_path, 'description = "x"\n[tuner]\nkind = "none"\n[training]\nlearning_rates = 0.1\n')
    assert "training.learning_rates: unknown key. Did you mean 'learning_rate'?" in message


def test_an_unknown_key_in_a_preset_is_named(tmp_path: Path) -> None:
    message = _fault(tmp_path, 'description = "x"\n[tuner]\nkind = "none"\n[presets.tiny]\nlearning_rates = 0.1\n')
    assert "learning_rates" in message


def test_an_unknown_kind_gives_the_valid_ones(tmp_path: Path) -> None:
    message = _fault(tmp_path, 'description = "x"\n[tuner]\nkind = "lara"\n')
    assert "lara" in message
    assert "'lora'" in message


def test_all_faults_of_a_file_come_together(tmp_path: Path) -> None:
    message = _fault(tmp_path, 'scop = "joint"\n[tuner]\nkind = "lora"\nrank = 0\nalhpa = 2\n')
    assert "4 fault(s)" in message
    for key in ("description: Field required", "scop: unknown", "rank: Input", "alhpa: unknown"):
        assert key in message


def test_a_fault_is_told_by_the_key_as_it_is_written_with_what_stood_there(tmp_path: Path) -> None:
    message = _fault(tmp_path, 'description = "x"\n[tuner]\nkind = "lora"\nrank = 0\nalhpa = 2\n[tuner.alpha]\nx=1\n')
    lines = [line.strip() for line in message.splitlines()]
    assert "tuner.rank: Input should be greater than or equal to 1, not 0" in lines
    assert "tuner.alhpa: unknown key. Did you mean 'alpha'?" in lines
    assert not [line for line in lines if "tuner.lora" in line]


def test_a_fault_of_a_preset_is_told_by_its_key(tmp_path: Path) -> None:
    message = _fault(tmp_path, 'description = "x"\n[tuner]\nkind = "lora"\n[presets.small]\nepochs = 0\n')
    assert message.endswith("presets.small.epochs: Input should be greater than 0, not 0")


def test_what_is_not_toml_is_refused(tmp_path: Path) -> None:
    assert "is not valid TOML" in _fault(tmp_path, "description = \n")


def test_what_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_bytes('description = "é"\n'.encode("latin-1"))
    with pytest.raises(UsageError, match=r"mine\.toml is not valid TOML.*utf-8"):
        catalog.read("trainers", str(path), TrainerDefinition)


def test_a_json_file_is_read_or_refused_as_a_toml_file_is(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text('{"a": [1]}')
    assert catalog.json_words(path) == {"a": [1]}
    path.write_text("{")
    with pytest.raises(UsageError, match=r"mine\.json is not valid JSON"):
        catalog.json_words(path)
    with pytest.raises(UsageError, match=r"none\.json cannot be read"):
        catalog.json_words(tmp_path / "none.json")


def test_an_unknown_name_gives_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"Unknown trainer 'goodvib'. Did you mean 'goodvibe'\?"):
        catalog.read("trainers", "goodvib", TrainerDefinition)


def test_a_name_near_nothing_gives_the_valid_ones() -> None:
    with pytest.raises(UsageError) as caught:
        catalog.read("trainers", "zzzzzz", TrainerDefinition)
    assert all(name in str(caught.value) for name in catalog.names("trainers"))


@pytest.mark.parametrize("name", ["no/such/file.toml", "../trainers/x", "missing.toml"])
def test_what_does_not_exist_is_refused(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="no definition at") as caught:
        catalog.read("trainers", name, TrainerDefinition)
    assert repr(name) in str(caught.value)


def test_the_digest_changes_with_content_and_not_with_key_order(tmp_path: Path) -> None:
    one = _trainer(tmp_path, 'description = "x"\nscope = "joint"\n[tuner]\nkind = "lora"\nrank = 3\n').digest
    other_order = _trainer(tmp_path, '# why\nscope = "joint"\ndescription = "x"\n[tuner]\nrank = 3\nkind = "lora"\n')
    other_rank = _trainer(tmp_path, 'description = "x"\nscope = "joint"\n[tuner]\nkind = "lora"\nrank = 4\n')
    assert other_order.digest == one
    assert other_rank.digest != one
