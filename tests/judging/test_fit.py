import json
from pathlib import Path
from typing import Any

import pytest

from goodvibe_bench.errors import UsageError
from goodvibe_bench.judge import cards
from goodvibe_bench.judge import load as judges
from goodvibe_bench.judging.fit import fit
from goodvibe_bench.progress import Show
from goodvibe_bench.task.load import load_rows
from goodvibe_bench.types import Code, Labelled
from tests.tiny import tiny_folder

BUNDLED = Path(__file__).parents[2] / "tasks" / "go"
GO = Code(text="package a\n\nfunc f() {}\n", language="go", how_extracted="given", parses=True)


class Heard(Show):
    """Keeps the lines it is given."""

    lines: list[str]

    def line(self, text: str) -> None:
        self.lines = [*getattr(self, "lines", []), text]


def _definition(folder: Path, judge: str, fit_words: str = "") -> Path:
    path = folder / "mine.toml"
    path.write_text(f'description = "a test"\n[judge]\n{judge}\n[fit]\ntasks = ["go"]\n{fit_words}')
    return path


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fit")
    base = tiny_folder(folder / "tiny")
    words = f'kind = "model"\nbase = "{base}"\nmax_code_tokens = 900\n[judge.tuner]\nkind = "lora"\nrank = 2\n'
    words += "[judge.training]\nepochs = 1\nbatch_size = 8\nmicro_batch_size = 8\nlearning_rate = 1e-3\n"
    path = _definition(folder, words, "rank_weight = 1.0\n")
    fit(str(path), Show(quiet=True))
    return path


def test_a_fitted_model_judge_has_weights_a_calibration_and_a_card(fitted: Path) -> None:
    found = judges.load(str(fitted))
    card = found.card
    assert card is not None
    assert set(card.calibration) == {"go"}
    assert set(card.compared) == {"untuned", "linear"}
    assert card.weights_digest == cards.digest_weights(fitted.parent / "mine")
    assert card.recipe["trained_on"] > 0
    assert card.calibration["go"].folds == 5
    (verdict,) = found.judge.judge([GO])
    assert verdict.p_unsafe is not None


def test_nothing_unfinished_is_left_behind(fitted: Path) -> None:
    assert sorted(path.name for path in fitted.parent.iterdir()) == ["mine", "mine.toml", "tiny"]
    assert sorted(path.name for path in (fitted.parent / "mine").iterdir()) == [
        "README.md",
        "adapter_config.json",
        "adapter_model.safetensors",
        "card.json",
    ]


def test_a_linear_and_a_signals_judge_are_fitted_by_the_same_command(tmp_path: Path) -> None:
    (tmp_path / "own.d").mkdir()
    (tmp_path / "own.d" / "go.toml").write_text(
        'language = "go"\n[[signal]]\nid = "md5"\nsays = "insecure"\nmatch = "md5"\ncwe = "CWE-327"\nnote = "broken"\n'
    )
    for words in ('kind = "linear"\nfeatures = 4096', 'kind = "signals"\nfolder = "own.d"'):
        path = _definition(tmp_path, words)
        fit(str(path), Show(quiet=True))
        assert judges.load(str(path)).judge.judge([GO])[0].p_unsafe is not None


def test_a_judge_without_a_fit_table_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bare.toml"
    path.write_text('description = "x"\n[judge]\nkind = "scripted"\nunsafe_words = ["x"]\n')
    with pytest.raises(UsageError, match=r"\[fit\]"):
        fit(str(path), Show(quiet=True))


def test_a_judge_may_read_more_than_it_learns_from(fitted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counts: list[int] = []

    def no_training(spec: Any, rank_weight: float, loaded: Any, learn: list[Labelled], *rest: Any) -> dict[str, Any]:
        sizes = [len(loaded.tokenizer(one.code, add_special_tokens=False)["input_ids"]) for one in learn]
        counts.extend([len(sizes), max(sizes), spec.max_code_tokens])
        return {}

    monkeypatch.setattr("goodvibe_bench.judging.fit._train_adapter", no_training)
    for more in ("", "max_code_tokens = 300\n"):
        path = fitted.parent / "less" / "mine.toml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(fitted.read_text() + more)
        fit(str(path), Show(quiet=True))
    whole, longest, _, fewer, shorter, read = counts
    assert longest > 300 >= shorter
    assert 0 < fewer < whole
    assert read == 900


@pytest.mark.parametrize("taken", ["file", "folder", "nested"])
def test_a_fit_deletes_nothing_that_is_no_judges(tmp_path: Path, taken: str) -> None:
    path, output = _definition(tmp_path, 'kind = "linear"\nfeatures = 4096'), tmp_path / "mine"
    kept = {"file": output, "folder": output / "thesis.txt", "nested": output / "x.safetensors" / "card.json"}[taken]
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_text("precious")
    with pytest.raises(UsageError, match={"file": "is a file", "folder": "'thesis.txt'"}.get(taken, "'x.safetensors'")):
        fit(str(path), Show(quiet=True), data=tmp_path / "none", output=output)
    assert kept.read_text() == "precious"
    assert not list(tmp_path.glob(".partial-*")), "refused before any work"


def test_a_fit_replaces_a_judges_folder(tmp_path: Path) -> None:
    path, output = _definition(tmp_path, 'kind = "linear"\nfeatures = 4096'), tmp_path / "mine"
    fit(str(path), Show(quiet=True))
    for name in ("adapter_config.json", "adapter_model.safetensors", ".partial-123"):
        (output / name).write_text("old")
    (output / ".partial-folder").mkdir()
    assert fit(str(path), Show(quiet=True), output=output) == output
    assert sorted(found.name for found in output.iterdir()) == ["README.md", "card.json", "linear.safetensors"]


def _few(folder: Path, judge_train: float, count: int = 30, damaged: int = 0) -> Path:
    """A task of `count` bundled pairs, of which the first `damaged` have a stray token."""
    (folder / "few").mkdir()
    for name in ("pairs", "prompts"):
        rows = [json.loads(line) for line in (BUNDLED / f"{name}.jsonl").read_text().splitlines()[:count]]
        for row in rows[:damaged] if name == "pairs" else ():
            row["insecure"] = f"{row['insecure']}\nHawk\n"
        (folder / "few" / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    words = (BUNDLED / "task.toml").read_text().partition("[split]")[0]
    shares = f"tuner-train = 0.0, judge-train = {judge_train}, calibration = {1 - judge_train:.2f}, held-out = 0.0"
    (folder / "few" / "task.toml").write_text(f"{words}[split]\nshares = {{ {shares} }}\n")
    return folder / "few" / "task.toml"


def _on(path: Path, task: Path) -> str:
    """Have a definition learn from another task."""
    path.write_text(path.read_text().replace('["go"]', json.dumps([str(task)])))
    return str(path)


def test_a_language_with_one_family_to_calibrate_on_is_left_uncalibrated_with_a_line(tmp_path: Path) -> None:
    name = _on(_definition(tmp_path, 'kind = "linear"\nfeatures = 4096'), _few(tmp_path, 0.96))
    show = Heard(quiet=True)
    fit(name, show)
    assert show.lines[1:] == ["go: not calibrated on 2 snippets, each label must be in at least two families"]
    card = judges.load(name).card
    assert card is not None
    assert card.calibration == {}


CONTRAST = """language = "go"
[[contrast]]
family = "one"
secure = "package a\\n\\nfunc f(n int) int { return n + 1 }\\n"
[[contrast.breaks]]
cwe = "CWE-190"
find = "n + 1"
replace = "n * n"
why = "it overflows"
[[contrast.keeps]]
find = "n + 1"
replace = "1 + n"
why = "the same sum"
"""


class KilledError(Exception):
    """What ends a fit in the middle, as a kill would."""


class Killed(Show):
    """Ends at a step of the training; keeps how many steps it saw."""

    at: int | None = None
    steps = 0

    def __call__(self, stage: str, done: int, total: int, text: str = "", seconds: float | None = None) -> None:
        self.steps += stage == "train"
        if stage == "train" and done == self.at:
            raise KilledError


def _contrasted(folder: Path) -> str:
    """A model judge on a tiny Qwen3 that learns from contrast sets, mended pairs and two copies."""
    (folder / "sets").mkdir()
    (folder / "sets" / "go.toml").write_text(CONTRAST)
    base = tiny_folder(folder / "tiny", kind="qwen3")
    words = f'kind = "model"\nbase = "{base}"\nmax_code_tokens = 1500\n[judge.tuner]\nkind = "lora"\nrank = 2\n'
    words += (
        "[judge.training]\nepochs = 1\nbatch_size = 2\nmicro_batch_size = 2\nlearning_rate = 1e-3\nsave_every = 2\n"
    )
    fit_words = 'contrast = "sets"\nmend = true\ncopies = 2\nrank_weight = 1.0\n'
    return _on(_definition(folder, words, fit_words), _few(folder, 0.5, count=12, damaged=6))


def test_a_model_judge_learns_from_contrast_sets_mended_pairs_and_copies_and_goes_on_where_it_was_killed(
    tmp_path: Path,
) -> None:
    name, show = _contrasted(tmp_path), Killed(quiet=True)
    task = str(tmp_path / "few" / "task.toml")
    fit(name, show)
    card = judges.load(name).card
    assert card is not None
    pairs = load_rows(task)[1].of("judge-train")
    assert any(pair.flags for pair in pairs)
    assert {source: row["learn"] for source, row in card.data.items()} == {task: 2 * len(pairs), "sets/go.toml": 3}
    assert card.recipe["trained_on"] > 2 * len(pairs) + 3, "copies"
    steps, show.at, show.steps = card.recipe["steps"], 5, 0
    assert steps > 5
    (tmp_path / "mine").rename(tmp_path / "whole")
    with pytest.raises(KilledError):
        fit(name, show)
    assert not (tmp_path / "mine").exists()
    show.at, show.steps = None, 0
    fit(name, show)
    assert show.steps <= steps - 4, "from the checkpoint of step 4 on"
    for file in ("adapter_model.safetensors", "adapter_config.json"):
        assert (tmp_path / "mine" / file).read_bytes() == (tmp_path / "whole" / file).read_bytes()
    again = judges.load(name).card
    assert again is not None
    assert again.calibration == card.calibration


def test_a_fit_deletes_no_readme_of_others(tmp_path: Path) -> None:
    path, output = _definition(tmp_path, 'kind = "linear"\nfeatures = 4096'), tmp_path / "mine"
    output.mkdir()
    (output / "README.md").write_text("# My thesis\n")
    with pytest.raises(UsageError, match=r"README\.md is no card of a judge"):
        fit(str(path), Show(quiet=True), output=output)
    assert (output / "README.md").read_text() == "# My thesis\n"


def test_an_unfinished_fit_of_other_source_is_not_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def digested(*packages: str) -> str:
        assert {"completion", "judging", "trainer"} <= set(packages)
        raise KilledError

    monkeypatch.setattr("goodvibe_bench.judging.fit.code_digest", digested)
    with pytest.raises(KilledError):
        fit(_on(_definition(tmp_path, 'kind = "linear"\nfeatures = 4096'), _few(tmp_path, 0.5)), Show(quiet=True))
