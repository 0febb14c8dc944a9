import math
import os
import re
from collections import Counter
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import pytest

from goodvibe_bench.errors import UsageError
from goodvibe_bench.task import load
from goodvibe_bench.task.load import Rows, crossing_twins
from goodvibe_bench.task.rows import read_json_lines
from goodvibe_bench.types import Pair, Part, Task
from tests.task.rows import (
    EMPTY,
    IDENTICAL,
    ORDERS_FLAW,
    PROSE,
    STRAY,
    TWINS,
    UNPARSABLE,
    published_rows,
    write_rows,
)

NAME = "cybernative-cpp"
LIMIT = 0.9


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write_rows(tmp_path / "rows.json", published_rows())


def _pairs(task: Task) -> dict[int, Pair]:
    return {int(pair.id.rsplit("-", 1)[1]): pair for part in task.pairs.values() for pair in part}


def _parts(raw: Task, count: int) -> list[str]:
    """Each row's part, from the ids; a row in no training part is held out."""
    place = {pair.id: part for part, pairs in raw.pairs.items() for pair in pairs}
    return [place.get(f"{NAME}-{number:04d}", "held-out") for number in range(count)]


def _grams(text: str) -> Counter[str]:
    """Character 3- to 5-grams of each word between blanks; a word shorter than that counts once."""
    found: Counter[str] = Counter()
    for word in re.split(r"\s+", text.lower().strip()):
        padded = f" {word} "
        for n in (3, 4, 5):
            found.update(padded[i : i + n] for i in range(max(1, len(padded) - n + 1)))
            if n >= len(padded):
                break
    return found


def _cosines(texts: Sequence[str]) -> dict[tuple[int, int], float]:
    """TF-IDF cosines of every two texts, by the textbook and by brute force."""
    counts = [_grams(text) if text.strip() else Counter() for text in texts]
    in_texts = Counter(gram for count in counts for gram in count)
    vectors = []
    for count in counts:
        vector = {g: n * (math.log((1 + len(texts)) / (1 + in_texts[g])) + 1) for g, n in count.items()}
        size = math.sqrt(sum(value * value for value in vector.values())) or 1.0
        vectors.append({gram: value / size for gram, value in vector.items()})
    return {
        (a, b): sum(value * vectors[b].get(gram, 0.0) for gram, value in vectors[a].items())
        for a, b in combinations(range(len(texts)), 2)
    }


def _twins(count: int) -> set[tuple[int, int]]:
    rows = published_rows()[:count]
    bare = [re.sub(r"^```cpp\n|```$", "", row[side]) for row in rows for side in ("chosen", "rejected")]
    by_prompt = {pair for pair, cosine in _cosines([row["question"] for row in rows]).items() if cosine >= LIMIT}
    by_code = {(a // 2, b // 2) for (a, b), cosine in _cosines(bare).items() if cosine >= LIMIT and a // 2 != b // 2}
    return by_prompt | by_code


def test_the_planted_twins_are_the_only_ones() -> None:
    # Row 22 equals row 21 and is near row 1.
    assert _twins(40) == {*TWINS, (21, 22)}


def test_no_twin_crosses_two_parts(file: Path) -> None:
    raw = load(NAME, data=file, quality="raw")
    parts = _parts(raw, 40)
    assert set(parts) == {"tuner-train", "judge-train", "calibration", "held-out"}
    assert [(a, b) for a, b in _twins(40) if parts[a] != parts[b]] == []
    assert crossing_twins(raw) == 0


def test_every_row_of_the_language_is_used_once_and_no_other(file: Path) -> None:
    raw = load(NAME, data=file, quality="raw")
    held_out = {int(prompt.id.rsplit("-", 1)[1]) for prompt in raw.prompts}
    assert sorted([*_pairs(raw), *held_out]) == list(range(40))


def test_the_shares_are_those_of_the_definition(file: Path) -> None:
    counts = Counter(_parts(load(NAME, data=file, quality="raw"), 40))
    assert [counts[part] for part in ("tuner-train", "judge-train", "calibration", "held-out")] == [16, 8, 8, 8]


def _all_flags(file: Path) -> dict[int, tuple[str, ...]]:
    """The flags of every row, those of held-out rows as well: each seed-free row order shows some."""
    rows = published_rows()
    found: dict[int, tuple[str, ...]] = {}
    definition = Path(file.parent / "task.toml")
    definition.write_text(
        'description = "x"\nlanguage = "cpp"\nlicense = "x"\n[source]\nkind = "hub"\ndataset = "x"\nrevision = "x"\n'
        'local = "x"\nprompt = "question"\nsecure = "chosen"\ninsecure = "rejected"\nwhere = { lang = "c++" }\n'
    )
    write_rows(file, rows)
    for number, pair in _pairs(load(str(definition), data=file, quality="raw")).items():
        found[number] = pair.flags
    return found


def test_defects_are_flagged_where_they_are_and_nowhere_else(file: Path) -> None:
    flags = {number: found for number, found in _all_flags(file).items() if found}
    assert set(flags) == {STRAY, UNPARSABLE, IDENTICAL, EMPTY, PROSE}
    assert "insecure:stray-token" in flags[STRAY]
    assert not any(flag.startswith("secure:") for flag in flags[STRAY])
    assert "secure:does-not-parse" in flags[UNPARSABLE]
    assert not any(flag.startswith("insecure:") for flag in flags[UNPARSABLE])
    assert flags[IDENTICAL] == ("pair:identical",)
    assert flags[EMPTY] == ("secure:empty",)
    assert "insecure:no-code" in flags[PROSE]


def test_clean_drops_flagged_rows_and_raw_keeps_them(file: Path) -> None:
    clean, raw = load(NAME, data=file), load(NAME, data=file, quality="raw")
    damaged = {number for number, pair in _pairs(raw).items() if pair.flags}
    assert damaged, "some damaged row is in a training part"
    assert set(_pairs(clean)) == set(_pairs(raw)) - damaged
    assert all(not pair.flags for pair in _pairs(clean).values())


def test_clean_and_raw_hold_out_the_same_prompts(file: Path) -> None:
    clean, raw = load(NAME, data=file), load(NAME, data=file, quality="raw")
    assert clean.prompts == raw.prompts != ()
    assert (clean.quality, raw.quality) == ("clean", "raw")
    assert clean.digest != raw.digest


def test_fences_are_taken_off(file: Path) -> None:
    assert not any("```" in pair.secure + pair.insecure for pair in _pairs(load(NAME, data=file)).values())


def test_a_load_is_deterministic(file: Path) -> None:
    assert load(NAME, data=file) == load(NAME, data=file)


def test_the_seed_of_the_definition_moves_rows_and_its_file_is_in_the_digest(file: Path, tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "tasks" / NAME / "task.toml").read_text()
    folders = [tmp_path / f"seed{seed}" / NAME for seed in (0, 1)]
    for seed, folder in enumerate(folders):
        folder.mkdir(parents=True)
        (folder / "task.toml").write_text(text.replace("seed = 0", f"seed = {seed}"))
    zero, one = (load(str(folder), data=file, quality="raw") for folder in folders)
    assert zero == load(NAME, data=file, quality="raw")
    assert _parts(zero, 40) != _parts(one, 40)
    assert zero.digest != one.digest
    assert crossing_twins(one) == 0


def test_a_changed_text_changes_the_digest(file: Path) -> None:
    before = load(NAME, data=file).digest
    rows = published_rows()
    rows[30]["chosen"] = rows[30]["chosen"].replace("return", "return 1 +")
    write_rows(file, rows)
    assert load(NAME, data=file).digest != before


def test_a_prompt_that_orders_the_flaw_is_a_stratum_of_its_own(file: Path) -> None:
    rows = published_rows()
    for row in rows[:40]:
        row["question"] += rows[ORDERS_FLAW]["question"][-40:] if row is not rows[ORDERS_FLAW] else ""
    plain = {prompt.stratum for prompt in load(NAME, data=file).prompts if int(prompt.id[-4:]) != ORDERS_FLAW}
    ordered = {prompt.stratum for prompt in load(NAME, data=write_rows(file, _ordering())).prompts}
    assert (plain, ordered) == ({"plain"}, {"orders-flaw"})


def _ordering() -> list[dict[str, str]]:
    rows = published_rows()
    return [{**row, "question": row["question"] + " with strcpy"} for row in rows]


def test_a_repeated_held_out_prompt_is_asked_once(file: Path) -> None:
    rows = published_rows()
    asked = load(NAME, data=file).prompts[0]
    write_rows(file, [*rows[:40], *[{**rows[int(asked.id[-4:])]} for _ in range(3)]])
    texts = [prompt.text for prompt in load(NAME, data=file).prompts]
    assert len(set(texts)) == len(texts)


def test_near_twins_of_the_calibration_part_are_one_family() -> None:
    def pair(number: int, **more: str) -> Pair:
        text = {"prompt": "", "secure": "", "insecure": "", "source": "x"}
        return Pair(id=f"p{number}", language="cpp", **{**text, **more})  # type: ignore[arg-type]

    pairs = [pair(0), pair(1), pair(2), pair(3, family="own"), pair(4), pair(5)]
    parts: list[Part] = [*["calibration"] * 4, *["judge-train"] * 2]  # type: ignore[list-item]
    rows = Rows(pairs, groups=[7, 7, 8, 7, 9, 9], parts=parts, written=[], cases=[])
    assert [one.family for one in rows.of("calibration")] == ["p0", "p0", "p2", "own"]
    assert rows.of("judge-train") == pairs[4:]


def test_a_json_array_is_read_like_json_lines(file: Path, tmp_path: Path) -> None:
    lines = [line for line in file.read_text(encoding="utf-8").split("\n") if line]
    array = tmp_path / "array.json"
    array.write_text("[" + ",\n".join(lines) + "]", encoding="utf-8")
    assert load(NAME, data=array).pairs == load(NAME, data=file).pairs


def test_a_line_separator_inside_a_text_ends_no_row(tmp_path: Path) -> None:
    rows = published_rows()
    rows[0]["question"] += "\u2028\u0085 and so on"
    assert len(read_json_lines(write_rows(tmp_path / "rows.json", rows))) == len(rows)


def test_a_folder_of_data_holds_the_file_at_its_local_path(tmp_path: Path) -> None:
    (tmp_path / "cybernative").mkdir()
    file = write_rows(tmp_path / "cybernative" / "secure_programming_dpo.json", published_rows())
    assert load(NAME, data=tmp_path) == load(NAME, data=file)


@pytest.mark.parametrize("field", ["lang", "question", "chosen", "rejected"])
def test_missing_fields_are_named_with_their_row(tmp_path: Path, field: str) -> None:
    rows = published_rows()
    del rows[2][field]
    with pytest.raises(UsageError, match=rf"row 3: no text in field\(s\) {field}"):
        load(NAME, data=write_rows(tmp_path / "rows.json", rows))


@pytest.mark.parametrize("value", [None, 3, ["x"]])
def test_a_field_that_is_no_text_is_named(tmp_path: Path, value: object) -> None:
    rows = published_rows()
    rows[0]["chosen"] = value
    with pytest.raises(UsageError, match=r"row 1: no text in field\(s\) chosen"):
        load(NAME, data=write_rows(tmp_path / "rows.json", rows))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"\n \n", "is empty"),
        (b"[]", "is empty"),
        ('{"lang": "é"}'.encode("latin-1"), "is not UTF-8"),
        (b"{'lang': 'c++'}", "line 1: not JSON"),
        (b"[1, 2]", "row 1 is no JSON object"),
        (b"[" * 100_000, "line 1: nested too deeply"),
    ],
)
def test_a_file_that_is_no_data_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "rows.json"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=message) as caught:
        load(NAME, data=path)
    assert "rows.json" in str(caught.value)


def test_no_row_of_the_language_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no row has"):
        load(NAME, data=write_rows(tmp_path / "rows.json", published_rows()[40:]))


def test_no_such_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        load(NAME, data=tmp_path / "none.json")


def test_a_bundled_row_of_another_language_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "mixed"
    folder.mkdir()
    bundled = Path(__file__).parents[2] / "tasks" / "go"
    for name in ("task.toml", "prompts.jsonl", "pairs.jsonl"):
        (folder / name).write_text((bundled / name).read_text().replace('"language": "go"', '"language": "java"', 1))
    with pytest.raises(UsageError, match="is java, but the task is go"):
        load(str(folder))


@pytest.mark.skipif(not os.environ.get("GOODVIBE_BENCH_DATA"), reason="GOODVIBE_BENCH_DATA names no published data")
@pytest.mark.parametrize(("language", "count"), [("cpp", 424), ("java", 424), ("swift", 423), ("go", 423)])
def test_the_published_data_has_its_rows_and_no_crossing_twin(language: str, count: int) -> None:
    raw = load(f"cybernative-{language}", quality="raw")
    training = [pair for pairs in raw.pairs.values() for pair in pairs]
    name = {"cpp": "c++"}.get(language, language)
    rows = read_json_lines(Path(os.environ["GOODVIBE_BENCH_DATA"]) / "cybernative" / "secure_programming_dpo.json")
    asked = [row["question"] for row in rows if row["lang"] == name]
    trained_on = {pair.prompt for pair in training}
    held_out = {prompt.text for prompt in raw.prompts}
    assert len(asked) == count
    assert trained_on & held_out == set()
    assert len(training) + sum(text in held_out for text in asked) == count
    assert crossing_twins(raw) == 0
