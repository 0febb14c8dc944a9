import json
from pathlib import Path
from typing import Any

import pytest

from goodvibe_bench import catalog
from goodvibe_bench.errors import UsageError
from goodvibe_bench.judge.definition import Fit
from goodvibe_bench.judging.data import LabelledSet, chosen, file_pairs, gather, labelled_sets, refuse_unknown_sets
from goodvibe_bench.progress import Show
from goodvibe_bench.task.rows import DATA_VARIABLE, numbered_rows
from goodvibe_bench.types import Labelled
from tests.task.rows import published_rows, write_rows

QUIET = Show(quiet=True)


class Heard(Show):
    """Keeps the lines it is given."""

    def __init__(self) -> None:
        super().__init__(quiet=True)
        self.lines: list[str] = []

    def line(self, text: str) -> None:
        self.lines.append(text)


@pytest.fixture(autouse=True)
def _no_other_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(DATA_VARIABLE, raising=False)


def pair_row(number: int, **more: Any) -> dict[str, Any]:
    code = {"secure": f"int f{number}() {{ return 0; }}", "insecure": f"int f{number}() {{ return 1; }}"}
    return {"id": f"x{number}", "language": "cpp", "source": "fixes", "prompt": None, **code, **more}


def snippet(number: int, **more: Any) -> dict[str, Any]:
    return {"code": f"int g{number}() {{ return {number}; }}", "label": number % 2, "language": "cpp", **more}


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return write_rows(path, rows)


def sets_in(
    folder: Path, show: Show = QUIET, judges: tuple[str, ...] = (), tasks: tuple[str, ...] = ()
) -> dict[str, LabelledSet]:
    return {one.name: one for one in labelled_sets(folder, show, judges, tasks)}


@pytest.fixture(scope="module")
def heard() -> Heard:
    return Heard()


@pytest.fixture(scope="module")
def without_data(tmp_path_factory: pytest.TempPathFactory, heard: Heard) -> dict[str, LabelledSet]:
    """What there is in an empty folder, of one hand-written task and two of the hub's data set."""
    return sets_in(tmp_path_factory.mktemp("empty"), heard, tasks=("cybernative-cpp", "cybernative-go", "swift"))


def test_what_is_missing_is_left_out_with_one_line(without_data: dict[str, LabelledSet], heard: Heard) -> None:
    assert set(without_data) == {"bundled-pairs", "bundled-cases"}
    assert sum("left out" in line for line in heard.lines) == 1


def test_a_pair_is_a_secure_and_an_insecure_side(without_data: dict[str, LabelledSet]) -> None:
    one = without_data["bundled-pairs"]
    assert 0 < len(one.pairs) * 2 == len(one.rows)
    for secure, insecure in one.pairs:
        assert (one.rows[secure].label, one.rows[insecure].label) == (0, 1)
        assert one.rows[secure].family == one.rows[insecure].family


def test_no_labelled_code_at_all_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no labelled code at hand"):
        sets_in(tmp_path)


def test_the_hub_set_is_measured_clean_and_raw_and_never_read_again(tmp_path: Path) -> None:
    (tmp_path / "cybernative").mkdir()
    (tmp_path / "cybernative" / "secure_programming_dpo.json").write_text(json.dumps(published_rows()))
    write(tmp_path / "cybernative" / "pairs.jsonl", [pair_row(1)])
    copied = "CyberNative/Code_Vulnerability_Security_DPO"
    write(tmp_path / "copy" / "pairs.jsonl", [pair_row(2, source=copied)])
    found = sets_in(tmp_path, tasks=("cybernative-cpp",))
    assert set(found) == {"cybernative", "cybernative-raw"}
    clean, raw = ({row.id for row in found[name].rows} for name in ("cybernative", "cybernative-raw"))
    assert 0 < len(clean) < len(raw)
    assert clean < raw


@pytest.mark.parametrize("name", ["sven", "safecoder"])
def test_no_commit_is_both_learned_from_and_measured_on(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name / "pairs.jsonl", [pair_row(i, commit=f"c{i // 2}") for i in range(60)])
    learned = {f"c{int(pair.id[1:]) // 2}" for pair in file_pairs(path, 0.5)}
    measured = {row.family for row in sets_in(tmp_path)[name].rows}
    assert learned
    assert measured
    assert learned.isdisjoint(measured)
    assert learned | measured == {f"c{i}" for i in range(30)}


def test_a_file_that_no_judge_learns_from_is_whole_but_for_repeats(tmp_path: Path) -> None:
    write(tmp_path / "vjbench" / "pairs.jsonl", [*map(pair_row, range(10)), pair_row(10, also_in="sven")])
    one = sets_in(tmp_path)["vjbench"]
    assert (one.use, len(one.rows), len(one.pairs)) == ("transfer", 20, 10)


def test_a_file_that_a_named_judge_takes_whole_is_left_out(tmp_path: Path) -> None:
    write(tmp_path / "mine.jsonl", [pair_row(i) for i in range(4)])
    judge = tmp_path / "greedy.toml"
    judge.write_text(
        'description = "x"\n[judge]\nkind = "linear"\n[fit]\ntasks = ["cpp"]\nfiles = ["mine.jsonl"]\nfile_share = 1.0\n'
    )
    heard = Heard()
    assert "mine" in sets_in(tmp_path)
    write(tmp_path / "other.jsonl", [snippet(0)])
    assert set(sets_in(tmp_path, heard, (str(judge),))) == {"other"}
    assert any(line.startswith("mine.jsonl") for line in heard.lines)


def test_peoples_own_rows_need_code_label_and_language_only(tmp_path: Path) -> None:
    own = [snippet(0), snippet(1), snippet(2, family="f", id="a"), snippet(3, family="f", id="b", extra=[1])]
    write(tmp_path / "team" / "own.jsonl", own)
    one = sets_in(tmp_path)["team/own"]
    assert [row.id for row in one.rows] == ["team/own.jsonl:1", "team/own.jsonl:2", "a", "b"]
    assert [row.label for row in one.rows] == [0, 1, 0, 1]
    assert one.pairs == ((2, 3),)


def test_other_files_and_languages_are_left_out_with_a_line(tmp_path: Path) -> None:
    write(tmp_path / "prompts.jsonl", [{"id": "p", "language": "cpp", "prompt": "Write."}])
    (tmp_path / "empty.jsonl").write_text("")
    write(tmp_path / "own.jsonl", [snippet(0), snippet(1, language="cobol")])
    heard = Heard()
    found = sets_in(tmp_path, heard)
    assert len(found["own"].rows) == 1
    assert set(found) == {"own"}
    for word in ("prompts.jsonl", "empty.jsonl", "cobol"):
        assert sum(word in line for line in heard.lines) == 1


def test_two_files_of_one_name_are_two_sets(tmp_path: Path) -> None:
    write(tmp_path / "a" / "pairs.jsonl", [pair_row(0)])
    write(tmp_path / "a.jsonl", [snippet(0)])
    assert sorted(sets_in(tmp_path)) == ["a", "a.jsonl"]


def test_every_set_that_is_read_has_a_name_that_was_known_before(tmp_path: Path, heard: Heard) -> None:
    write(tmp_path / "a" / "pairs.jsonl", [pair_row(0)])
    write(tmp_path / "a.jsonl", [snippet(0)])
    write(tmp_path / "own.jsonl", [snippet(0)])
    found = [one.name for one in labelled_sets(tmp_path, heard, tasks=("go",))]
    refuse_unknown_sets([*found, "cybernative", "cybernative-raw"], tmp_path)
    assert {"a", "a.jsonl", "own", "bundled-pairs", "bundled-cases"} <= set(found)
    for word, near in (("owm", "'own'"), ("bundled-case", "'bundled-cases'"), ("zzz", "own")):
        with pytest.raises(UsageError, match=rf"Unknown set '{word}'.*{near}"):
            refuse_unknown_sets([word], tmp_path)


@pytest.mark.parametrize(
    ("bad", "word"),
    [
        (snippet(1, label=2), "label"),
        (snippet(1, label="1"), "label"),
        (snippet(1, code=None), "code"),
        ({"code": "int x;", "label": 1}, "language"),
    ],
)
def test_a_malformed_row_is_named_by_file_and_line(tmp_path: Path, bad: dict[str, Any], word: str) -> None:
    path = write(tmp_path / "own.jsonl", [snippet(0), bad])
    path.write_text("\n" + path.read_text())  # a blank line counts as a line
    with pytest.raises(UsageError, match=rf"own\.jsonl, line 3(.|\n)*{word}"):
        sets_in(tmp_path)


def test_a_malformed_pair_is_named_by_file_and_line(tmp_path: Path) -> None:
    write(tmp_path / "own.jsonl", [pair_row(0), {**pair_row(1), "secure": 5}])
    with pytest.raises(UsageError, match=r"own\.jsonl, line 2(.|\n)*secure"):
        sets_in(tmp_path)


def rows_of(count: int) -> LabelledSet:
    rows = [
        Labelled(id=f"{i}", code="x", language="cpp" if i < 8 else "go", label=1 if i % 2 else 0, family=str(i // 2))
        for i in range(count)
    ]
    return LabelledSet("s", "transfer", tuple(rows), tuple((i, i + 1) for i in range(0, count, 2)))


def test_a_limit_takes_whole_families_of_every_language() -> None:
    (one,) = chosen([rows_of(20)], limit=4)
    assert sorted(row.language for row in one.rows) == ["cpp"] * 4 + ["go"] * 4
    assert len(one.pairs) == 4
    assert all(one.rows[a].family == one.rows[b].family for a, b in one.pairs)
    assert one == chosen([rows_of(20)], limit=4)[0]


def test_languages_and_sets_are_chosen_by_name() -> None:
    (one,) = chosen([rows_of(20)], names=["s"], languages=["go"])
    assert {row.language for row in one.rows} == {"go"}
    assert one.pairs[0] == (0, 1)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"names": ["t"]}, "Unknown set 't'"),
        ({"languages": ["jav"]}, "Unknown language 'jav'"),
        ({"languages": ["java"]}, "No labelled code in java"),
        ({"limit": 0}, "--limit 0"),
    ],
)
def test_a_choice_of_nothing_is_refused(words: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        chosen([rows_of(20)], **words)


@pytest.mark.parametrize("row", [pair_row(1, source=["a"]), snippet(1, source={"a": 1}), pair_row(1, source=3)])
def test_a_source_that_is_no_text_is_told_with_its_line(tmp_path: Path, row: dict[str, Any]) -> None:
    good = pair_row(0) if "secure" in row else snippet(0, source=None)
    write(tmp_path / "own" / "x.jsonl", [good, row])
    with pytest.raises(UsageError, match=r"x.jsonl, line 2: its source is"):
        sets_in(tmp_path)


def test_a_files_digest_is_of_its_code_not_of_its_ids_alone(tmp_path: Path) -> None:
    recipe, found = Fit(tasks=(), files=("fixes.jsonl",), file_share=1.0), set()
    for more in ({}, {"secure": "int f1() { return 2; }"}):
        write(tmp_path / "fixes.jsonl", [pair_row(1, **more)])
        found.add(gather(recipe, tmp_path, tmp_path, QUIET)[2]["fixes.jsonl"]["digest"])
    assert len(found) == 2


def test_the_licence_of_a_users_own_contrast_sets_is_not_said(tmp_path: Path) -> None:
    ours = catalog.root() / "judges"
    for beside, folder, licence in ((ours, "contrast.d", "Apache-2.0"), (tmp_path, "contrast.d", "not said")):
        if beside == tmp_path:
            (tmp_path / folder).mkdir()
            (tmp_path / folder / "go.toml").write_bytes((ours / folder / "go.toml").read_bytes())
        sources = gather(Fit(tasks=(), contrast=folder), beside, None, QUIET)[2]
        assert sources[f"{folder}/go.toml"]["license"] == licence


def test_a_byte_order_mark_is_no_part_of_a_file(tmp_path: Path) -> None:
    path = write(tmp_path / "fixes.jsonl", [pair_row(1)])
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert [(number, row["id"]) for number, row in numbered_rows(path)] == [(1, "x1")]
