import os
from pathlib import Path
from typing import Any

import pytest

from goodvibe_bench.errors import UsageError
from goodvibe_bench.result import kept, store
from goodvibe_bench.result.leaderboard import Row, rows
from tests.result.builders import outcomes, result, two_judges, with_other


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    """Two results that are together large enough to be kept."""
    made = []
    for name, secure in (("a", 3000), ("b", 5000)):
        samples = outcomes(secure=secure, insecure=6000 - secure)
        one = two_judges(with_other(samples, [row["outcome"] for row in samples]), method=name)
        store.write_result(one, tmp_path / f"{name}.json")
        made.append(tmp_path / f"{name}.json")
    assert sum(path.stat().st_size for path in made) > kept.FEW
    return made


def _read(paths: list[Path], folder: Path, said: list[str] | None = None, **words: Any) -> list[Row]:
    return kept.read_rows(paths, folder, lambda *told: said.append(told[0]) if said is not None else None, **words)


def test_kept_rows_are_the_same_as_computed_ones_and_no_file_is_parsed(paths: list[Path], tmp_path: Path) -> None:
    first = _read(paths, tmp_path / "kept")
    said: list[str] = []
    assert _read(paths, tmp_path / "kept", said) == first == rows(store.read_results(paths))
    assert said == []


def test_a_changed_file_is_seen_even_with_its_size_and_time_unchanged(paths: list[Path], tmp_path: Path) -> None:
    _read(paths, tmp_path / "kept")
    before = paths[0].stat()
    paths[0].write_text(paths[0].read_text().replace('"method": "a"', '"method": "z"'))
    os.utime(paths[0], ns=(before.st_atime_ns, before.st_mtime_ns))
    assert paths[0].stat().st_size == before.st_size
    assert [row["method"] for row in _read(paths, tmp_path / "kept")] == ["b", "z"]


def test_other_questions_have_other_rows_and_a_damaged_file_is_made_anew(paths: list[Path], tmp_path: Path) -> None:
    first = _read(paths, tmp_path / "kept")
    [path] = (tmp_path / "kept").iterdir()
    _read(paths, tmp_path / "kept", by_language=True)
    assert len(list((tmp_path / "kept").iterdir())) == 2
    path.write_text("[{}]")
    assert _read(paths, tmp_path / "kept") == first
    assert '"rank":1' in path.read_text(), "what was damaged is written anew"
    path.write_text(path.read_text().replace('"rank":1', '"rank":7'))
    assert _read(paths, tmp_path / "kept") == first, "a bit that flipped is no other rank"


def test_few_results_are_not_kept_and_a_folder_that_cannot_be_written_is_no_error(
    paths: list[Path], tmp_path: Path
) -> None:
    small = tmp_path / "small.json"
    store.write_result(result(outcomes(secure=1)), small)
    _read([small], tmp_path / "kept")
    assert not (tmp_path / "kept").exists()
    assert len(_read(paths, small / "below a file")) == 2


def test_only_the_newest_files_stay(paths: list[Path], tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    folder.mkdir()
    for number in range(20):
        (folder / f"{number}.json").write_text("[]")
        os.utime(folder / f"{number}.json", (number, number))
    _read(paths, folder)
    assert len(list(folder.iterdir())) == kept.FILES


def test_a_file_that_is_no_result_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text("{}")
    with pytest.raises(UsageError, match=r"x\.json is no goodvibe-bench result"):
        _read([tmp_path / "x.json"], tmp_path)
