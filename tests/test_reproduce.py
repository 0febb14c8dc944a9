import json
from pathlib import Path

import pytest

from goodvibe_bench.errors import UsageError
from goodvibe_bench.generator.sampling import Sampling
from goodvibe_bench.progress import Show
from goodvibe_bench.reproduce import differences, reproduce
from goodvibe_bench.request import Request
from goodvibe_bench.result import store
from goodvibe_bench.result.store import read_lines
from goodvibe_bench.run import run
from goodvibe_bench.types import Record, Result
from tests.conftest import Call
from tests.result.builders import outcomes, result
from tests.test_run import JUDGE, TRAINER
from tests.tiny import tiny_folder

QUIET = Show(quiet=True)


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """The result file of a short training, drawn at a temperature."""
    (tmp_path / "short.toml").write_text(TRAINER.format(scope="joint"))
    (tmp_path / "double.toml").write_text(JUDGE)
    ((_, path),) = run(_request(tmp_path, "first"), QUIET)
    return path


def _request(folder: Path, scratch: str) -> Request:
    return Request(
        model=str(tiny_folder(folder / "model")),
        methods=(str(folder / "short.toml"),),
        tasks=("go",),
        judges=(str(folder / "double.toml"),),
        uncalibrated=True,
        limit=4,
        train_limit=8,
        overrides={"training.epochs": "1"},
        sampling=Sampling(max_new_tokens=8, batch_size=3, temperature=0.8, seed=3),
        seed=3,
        output=folder / scratch / "results",
        scratch=folder / scratch / "scratch",
    )


def _record(record: Record) -> Record:
    return record.model_copy(update={"completion": record.completion.model_copy(update={"seconds": 0})})


def _records(path: Path) -> list[Record]:
    return [_record(one) for one in read_lines(path.parent / "records" / f"{path.stem}.jsonl", Record)]


def test_the_same_seed_twice_ends_with_the_same_records_to_the_bit(made: Path, tmp_path: Path):
    ((again, path),) = run(_request(tmp_path, "second"), QUIET)
    assert _records(path) == _records(made)
    assert path.name == made.name
    assert differences(store.read_result(made), again) == []


def test_another_seed_ends_otherwise(made: Path, tmp_path: Path):
    request = _request(tmp_path, "second")
    other = request.model_copy(update={"seed": 4, "sampling": Sampling(max_new_tokens=8, temperature=0.8, seed=4)})
    ((_, path),) = run(other, QUIET)
    assert _records(path) != _records(made)


def test_a_result_is_reproduced_from_its_file_alone(made: Path, tmp_path: Path):
    (tmp_path / "short.toml").write_text("the definition may be gone")
    found = reproduce(made, QUIET, scratch=tmp_path / "again")
    assert found.equal
    assert found.differences == []
    assert found.path != made
    assert not list((tmp_path / "again").rglob("*.safetensors"))


def test_a_cached_reproduction_trains_nothing(made: Path, tmp_path: Path):
    scratch = tmp_path / "first" / "scratch"
    before = {path: path.stat().st_mtime_ns for path in (scratch / "models").rglob("*")}
    assert reproduce(made, QUIET, scratch=scratch, cached=True).equal
    assert {path: path.stat().st_mtime_ns for path in (scratch / "models").rglob("*")} == before


def test_what_differs_is_told_and_exit_code_3(made: Path, tmp_path: Path, call: Call):
    body = json.loads(made.read_text())
    body["versions"]["torch"] = "1.0"
    body["outcomes"][0] |= {"outcome": "secure", "p_unsafe": 0.25}
    made.write_text(json.dumps(body))
    code, out, _ = call("reproduce", str(made), "--json", "--scratch", str(tmp_path / "again"))
    found = json.loads(out)
    assert (code, found["equal"]) == (3, False)
    assert {(row["kind"], row["before"]) for row in found["differences"]} >= {("version", "1.0"), ("sample", 0.25)}


def test_other_versions_alone_are_told_and_exit_code_0(made: Path, tmp_path: Path, call: Call):
    body = json.loads(made.read_text())
    body["versions"]["torch"] = "1.0"
    made.write_text(json.dumps(body))
    code, out, _ = call("reproduce", str(made), "--scratch", str(tmp_path / "again"))
    assert code == 0
    assert "torch" in out
    assert "reproduced: all 4 samples are the same" in out


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"source": {"file": "x.jsonl"}}, "made by `score`"),
        ({"backend": "openai"}, "drawn from a server"),
        ({"surprise": 1}, "surprise: unknown key"),
    ],
)
def test_what_no_run_can_make_again_is_refused(tmp_path: Path, config: dict[str, object], said: str):
    made = result(outcomes(secure=1))
    trainer = {"description": "", "tuner": {"kind": "none"}}
    made = made.model_copy(update={"config": {"model": "tiny", "trainer": trainer} | config})
    store.write_result(made, tmp_path / "r.json")
    with pytest.raises(UsageError, match=said):
        reproduce(tmp_path / "r.json", QUIET, scratch=tmp_path / "again")
    assert not (tmp_path / "again").exists()


def test_a_result_names_every_version_digest_and_seed(made: Path):
    one: Result = store.read_result(made)
    assert {"python", "torch", "transformers", "numpy", "tree-sitter-go", "safetensors"} <= set(one.versions)
    assert all([one.model.digest, one.task_hashes["go"], one.judge["digest"], one.provenance["code"]])
    assert (one.seed, one.config["seed"], one.config["sampling"]["seed"]) == (3, 3, 3)
