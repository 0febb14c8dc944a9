import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from goodvibe_bench.errors import UsageError
from goodvibe_bench.judge import load as judge_loader
from goodvibe_bench.judge.cards import read_card
from goodvibe_bench.judge.decide import decide
from goodvibe_bench.judge.definition import Card
from goodvibe_bench.judge.load import load
from goodvibe_bench.judging import bench as benching
from goodvibe_bench.judging import bench_card
from goodvibe_bench.judging.bench import MACRO, Kept, Row, bench, measure, replay
from goodvibe_bench.judging.bench_card import save
from goodvibe_bench.judging.bench_table import cells, notes
from goodvibe_bench.judging.card import card_text, write
from goodvibe_bench.judging.data import LabelledSet
from goodvibe_bench.judging.probes import report
from goodvibe_bench.progress import Show
from goodvibe_bench.types import Code, Labelled, Language, Verdict
from tests.conftest import Call
from tests.task.rows import write_rows
from tests.tiny import tiny_folder

QUIET = Show(quiet=True)


@dataclass(frozen=True)
class Answers:
    """A judge that finds p_unsafe by a word in the code; code with none of them is not judged."""

    p_unsafe: dict[str, float]

    def judge(self, codes: Sequence[Code]) -> list[Verdict]:
        found = [next((p for word, p in self.p_unsafe.items() if word in code.text), None) for code in codes]
        return [decide("answers", code, p, 0.5) for code, p in zip(codes, found, strict=True)]


def labelled_set(count: int = 20, languages: Sequence[Language] = ("cpp",)) -> LabelledSet:
    rows = [
        Labelled(
            id="same",
            code=f"int f{i}() {{ return {'bad' if label else 'good'}{i}; }}",
            language=language,
            label=label,
            family=f"{language}{i}",
        )
        for language in languages
        for i in range(count // 2)
        for label in (0, 1)
    ]
    if "java" in languages:
        rows = [row.model_copy(update={"code": f"class A {{ {row.code} }}"}) for row in rows]
    return LabelledSet("toy", "transfer", tuple(rows), tuple((i, i + 1) for i in range(0, len(rows), 2)))


def word_judge(folder: Path, word: str, name: str = "words") -> str:
    path = folder / f"{name}.toml"
    path.write_text(f'description = "x"\n[judge]\nkind = "scripted"\nunsafe_words = ["{word}"]\n')
    return str(path)


def rows_of(
    folder: Path, one: LabelledSet, good: float | None, bad: float | None, kept: Kept | None = None
) -> list[Row]:
    known = {word: p for word, p in (("good", good), ("bad", bad)) if p is not None}
    fitted = judge_loader.load(word_judge(folder, "x"))
    fitted = replace(fitted, judge=Answers(known))
    return measure(fitted, one, QUIET, kept)


def counted(row: Row) -> int | None:
    """The snippets that a row's speed counts."""
    return None if row.snippets_per_second is None else round(row.snippets_per_second * row.seconds)


def values(row: Row) -> tuple[float | None, ...]:
    return tuple(found.value if found else None for found in (row.tpr, row.fpr, row.auc, row.pair_order))


@pytest.mark.parametrize(
    ("good", "bad", "figures", "error"),
    [
        (0.0, 1.0, (1, 0, 1, 1), 0.0),
        (1.0, 0.0, (0, 1, 0, 0), 1.0),
        (0.7, 0.7, (1, 1, 0.5, 0.5), 0.2),
    ],
    ids=["perfect", "inverted", "constant"],
)
def test_figures_tell_good_judges_from_bad(
    tmp_path: Path, good: float, bad: float, figures: tuple[float, ...], error: float
) -> None:
    (row,) = rows_of(tmp_path, labelled_set(), good, bad)
    assert values(row) == figures
    assert row.ece == pytest.approx(error)
    assert (row.n, row.unjudged, row.unusable) == (20, 0, 0)
    for found in (row.tpr, row.fpr, row.auc, row.pair_order):
        assert found is not None
        assert found.high - found.low > 0.1, "20 snippets prove little"


def test_what_is_not_judged_stays_in_every_denominator(tmp_path: Path) -> None:
    (row,) = rows_of(tmp_path, labelled_set(), 0.0, None)
    assert (row.n, row.unjudged) == (20, 10)
    assert values(row) == (0, 0, None, None)
    assert row.tpr is not None
    assert row.tpr.n == 10


def test_a_judge_without_any_probability_has_empty_cells(tmp_path: Path) -> None:
    (row,) = rows_of(tmp_path, labelled_set(), None, None)
    assert (row.auc, row.ece, row.pair_order, row.unjudged) == (None, None, None, 20)
    assert cells([row])[2]


def test_figures_over_judged_snippets_alone_say_how_many_these_are(tmp_path: Path) -> None:
    one = labelled_set()
    silent = tuple(row.model_copy(update={"code": row.code.replace("good", "other")}) for row in one.rows[:6])
    (row,) = rows_of(tmp_path, replace(one, rows=(*silent, *one.rows[6:])), 0.0, 1.0)
    assert (row.unjudged, row.judged) == (3, 17)
    _, headings, (cells_of,) = cells([row])
    found = dict(zip(headings, cells_of, strict=True))
    assert (found["n"], found["unjudged"], found["ECE"]) == ("20", "3", "0 (n 17)")
    assert found["AUC"].startswith("100 ")
    assert found["AUC"].endswith(" (n 17)")
    assert "unjudged" not in cells(rows_of(tmp_path, one, 0.0, 1.0))[1]


def test_a_language_that_was_not_judged_has_no_rates_no_speed_and_no_share_in_the_mean(tmp_path: Path) -> None:
    whole = labelled_set(8, ("cpp", "java", "go"))
    rows = tuple(
        row.model_copy(update={"code": row.code.replace("bad", "x").replace("good", "y")})
        if row.language == "go"
        else row
        for row in whole.rows
    )
    found = rows_of(tmp_path, replace(whole, rows=rows), 0.7, 0.7)
    go, mean = found[2:]
    assert (go.language, go.unjudged, go.snippets_per_second) == ("go", 8, None)
    assert (go.tpr, go.fpr, go.auc, go.ece) == (None, None, None, None)
    assert (mean.n, mean.unjudged, mean.languages) == (24, 8, ("cpp", "java"))
    assert values(mean) == (1, 1, 0.5, 0.5)
    assert mean.fpr is not None
    assert mean.fpr.n == 8
    assert mean.snippets_per_second == pytest.approx(16 / (found[0].seconds + found[1].seconds))
    assert [line[1] for line in cells(found)[2]] == ["cpp", "java", "go", "mean of cpp, java"]
    nothing = rows_of(tmp_path, whole, None, None)
    assert values(nothing[-1]) == (None, None, None, None)
    assert cells(nothing)[2][-1][1] == "no mean"
    text = card_text(Card.model_validate(_card() | {"measured": _measured(found)}))
    assert f"| toy | transfer | macro mean of cpp, java | 24 | {mean.unusable} | 8 | 1.000" in text
    assert "0.200 (n 16)" in text


def _card() -> dict[str, Any]:
    words = {"judge": "words", "definition_digest": "d", "weights_digest": "w"}
    return words | {"data": {}, "recipe": {}, "calibration": {}}


def _measured(rows: Sequence[Row]) -> dict[str, Any]:
    return {"date": "2026-01-01", "rows": [row.model_dump(mode="json") for row in rows], "probes": None}


def test_one_label_alone_has_empty_cells(tmp_path: Path) -> None:
    whole = labelled_set()
    (row,) = rows_of(tmp_path, whole.only([i for i, r in enumerate(whole.rows) if r.label]), 0.0, 1.0)
    assert values(row) == (1, None, None, None)
    assert row.ece == 0


def test_code_that_does_not_parse_is_named_and_its_label_counts(tmp_path: Path) -> None:
    broken = Labelled(id="b", code="int bad( { ]] ;", language="cpp", label=1, family="b")
    (row,) = rows_of(tmp_path, LabelledSet("toy", "transfer", (*labelled_set().rows, broken), ()), 0.0, 1.0)
    assert (row.n, row.unusable, row.unjudged) == (21, 1, 0)
    assert values(row) == (1, 0, 1, None)


def test_the_mean_over_languages_is_unweighted(tmp_path: Path) -> None:
    found = rows_of(tmp_path, labelled_set(8, ("cpp", "go")), 0.9, 1.0)
    assert [row.language for row in found] == ["cpp", "go", MACRO]
    assert found[-1].n == 16
    assert values(found[-1]) == (1, 1, 1, 1)


def test_a_speed_counts_what_no_score_was_kept_of(tmp_path: Path) -> None:
    whole, kept = labelled_set(8, ("cpp", "go")), Kept()
    assert [counted(row) for row in rows_of(tmp_path, whole.only(range(6)), 0, 1, kept)] == [6]
    assert [counted(row) for row in rows_of(tmp_path, whole, 0, 1, kept)] == [2, None, 2], "go's code is that of cpp"
    assert [counted(row) for row in rows_of(tmp_path, whole, 0, 1, kept)] == [None, None, None]
    assert [counted(row) for row in rows_of(tmp_path, whole, 0, 1)] == [8, 8, 16], "a judge that keeps nothing"


def test_comments_make_no_new_snippet_for_a_model_that_reads_none() -> None:
    codes = [Code(text=f"int a;{end}", language="cpp", how_extracted="given", parses=True) for end in ("", " // b")]
    assert (Kept().add(codes), Kept(bare=False).add(codes)) == (1, 2)


def test_a_vote_has_a_speed_only_of_snippets_that_no_model_before_it_was_asked_about(tmp_path: Path) -> None:
    model, vote = tmp_path / "model.toml", tmp_path / "both.toml"
    base = tiny_folder(tmp_path / "tiny")
    model.write_text(f'description = "x"\n[judge]\nkind = "model"\nbase = "{base}"\n')
    members = json.dumps([str(model), word_judge(tmp_path, "bad")])
    vote.write_text(f'description = "x"\n[judge]\nkind = "vote"\nrule = "mean"\njudges = {members}\n')
    sets = [labelled_set(6), labelled_set(10)]
    assert [counted(row) for row in bench([str(vote)], sets, QUIET)] == [6, 4]
    words = word_judge(tmp_path, "bad")
    assert [counted(row) for row in bench([str(vote), words, str(model)], sets, QUIET)] == [None, None, 6, 10, 6, 4]


@pytest.mark.parametrize(
    "code", ["int a = 1; // ```\nint b;", "int a; // ````` x\nint b;", "int a;\n```\nint b;", "int a;\n\n  int b;"]
)
def test_the_judge_reads_the_code_whole_whatever_fences_are_in_it(tmp_path: Path, code: str) -> None:
    row = Labelled(id="a", code=code, language="cpp", label=0, family="a")
    (record,) = replay([row], "toy", judge_loader.load(word_judge(tmp_path, "x")), QUIET)
    assert record.code.text == code


def test_several_judges_are_measured_on_the_same_snippets(tmp_path: Path) -> None:
    names = [word_judge(tmp_path, "bad", "right"), word_judge(tmp_path, "good", "wrong")]
    right, wrong = bench(names, [labelled_set()], QUIET)
    assert (right.judge, wrong.judge) == ("right", "wrong")
    assert right.set_digest == wrong.set_digest
    assert right.judge_digest != wrong.judge_digest
    assert (values(right), values(wrong)) == ((1, 0, 1, 1), (0, 1, 0, 0))
    assert [line[0] for line in cells([wrong, right])[2]] == ["right", "wrong"]
    assert all("of 20 snippets 0 unusable, 0 unjudged" in line for line in notes([wrong, right]))


def test_an_unfitted_judge_is_refused_before_anything_is_judged(tmp_path: Path) -> None:
    bare = tmp_path / "bare.toml"
    bare.write_text('description = "x"\n[judge]\nkind = "linear"\n')
    with pytest.raises(UsageError, match="judge fit"):
        bench([word_judge(tmp_path, "bad"), str(bare)], [labelled_set()], QUIET)


def _with_card(tmp_path: Path) -> str:
    name = word_judge(tmp_path, "bad")
    card = Card.model_validate(_card())
    (tmp_path / "words").mkdir()
    write(card, tmp_path / "words")
    return name


def test_saved_rows_and_probes_are_in_the_card(tmp_path: Path) -> None:
    name, one = _with_card(tmp_path), labelled_set()
    folder = save(name, bench([name], [one], QUIET), report(load(name).judge, one.rows, [], 0, ["swift"]))
    card = read_card(folder)
    assert card is not None
    assert [Row.model_validate(row).judge for row in card.measured["rows"]] == ["words"]
    text = (folder / "README.md").read_text()
    (line,) = [line for line in text.splitlines() if "| toy | transfer | cpp |" in line]
    assert line.split(" | ")[3:7] == ["20", "0", "0", "1.000 [0.722, 1.000]"]
    assert "| junk called secure | 23 |  | 0.000 [0.000, 0.143] |" in text
    assert "| add-comments | 20 | 10 | 0.000 [0.000, 0.161] |" in text


def test_saving_one_set_keeps_what_the_card_says_of_others_under_the_same_judge(tmp_path: Path) -> None:
    name, one = _with_card(tmp_path), labelled_set()
    other = replace(one, name="other")
    save(name, bench([name], [one, other], QUIET), report(load(name).judge, one.rows, [], 0, ["swift"]))
    before = read_card(tmp_path / "words")
    card = read_card(save(name, bench([name], [other.only(range(4))], QUIET)))
    assert before
    assert card
    assert [(row["set"], row["n"]) for row in card.measured["rows"]] == [("toy", 20), ("other", 4)]
    assert card.measured["probes"] == before.measured["probes"]
    rows = [row.model_copy(update={"judge_digest": "another"}) for row in bench([name], [other], QUIET)]
    card = read_card(save(name, rows))
    assert card
    assert [row["set"] for row in card.measured["rows"]] == ["other"], "figures of another judge are not kept"
    assert card.measured["probes"] is None


def _saved_languages(card: Card | None) -> list[str]:
    assert card
    return [row["language"] for row in card.measured["rows"]]


def test_a_card_has_a_mean_only_of_all_languages_it_has(tmp_path: Path) -> None:
    name, one = _with_card(tmp_path), labelled_set(8, ("cpp", "java", "go"))
    places = {lang: [i for i, row in enumerate(one.rows) if row.language == lang] for lang in ("cpp", "java", "go")}
    card = read_card(save(name, bench([name], [one], QUIET)))
    assert _saved_languages(card) == ["cpp", "java", "go", MACRO]
    card = read_card(save(name, bench([name], [one.only([*places["cpp"], *places["go"]])], QUIET)))
    assert _saved_languages(card) == ["java", "cpp", "go"], "a mean of two languages is none of the three there"
    card = read_card(save(name, bench([name], [one], QUIET)))
    assert _saved_languages(card) == ["cpp", "java", "go", MACRO]
    card = read_card(save(name, bench([name], [one.only(places["java"])], QUIET)))
    assert _saved_languages(card) == ["cpp", "go", "java"], "the old mean is of an older figure"


def test_two_judges_of_one_name_are_refused_before_any_data_is_read(call: Call, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    names = [word_judge(tmp_path, "bad"), word_judge(tmp_path / "other", "good")]
    code, _, err = call("judge", "bench", "--judge", ",".join(names), "--data", "nowhere")
    assert code == 2
    assert "Two judges are called 'words'" in err
    assert "gather" not in err
    with pytest.raises(UsageError, match="Two judges"):
        bench(names, [labelled_set()], QUIET)


def test_a_judge_without_a_card_is_told_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="judge calibrate"):
        save(word_judge(tmp_path, "bad"), [])


def test_the_command_prints_json_and_a_table(call: Call, tmp_path: Path) -> None:
    snippets = [{"code": row.code, "label": row.label, "language": "swift"} for row in labelled_set().rows]
    (tmp_path / "data").mkdir()
    write_rows(tmp_path / "data" / "own.jsonl", snippets)
    words = ["judge", "bench", "--judge", _with_card(tmp_path), "--data", str(tmp_path / "data")]
    words += ["--sets", "own", "--languages", "swift", "--quiet"]
    code, out, err = call(*words, "--json", "--save")
    assert (code, err) == (0, "")
    (row,) = json.loads(out)["rows"]
    assert (row["judge"], row["set"], row["n"], row["tpr"]["value"]) == ("words", "own", 20, 1.0)
    assert "Measured on labelled sets" in (tmp_path / "words" / "README.md").read_text()
    assert call(*words, "--limit", "6", "--save")[0] == 2, "a card's figures are of whole sets"
    code, out, _ = call(*words, "--limit", "6", "--probes")
    assert code == 0
    assert "own (transfer), swift" in out
    assert "those of the column at 10% are in --json and on cards" in " ".join(out.split())
    assert "TPR" in out
    assert "junk called secure" in out


def test_an_unknown_judge_is_told_before_any_data_is_read(call: Call, tmp_path: Path) -> None:
    code, _, err = call("judge", "bench", "--judge", f"{word_judge(tmp_path, 'bad')},nope", "--data", "nowhere")
    assert code == 2
    assert "Unknown judge 'nope'" in err
    assert "gather" not in err


def test_importing_loads_no_heavy_library() -> None:
    code = "import sys, goodvibe_bench.judging.bench; print({'torch', 'transformers', 'peft'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert (done.stdout.strip(), done.returncode) == ("set()", 0), done.stderr


@pytest.mark.parametrize(("words", "said"), [(["--sets", ""], "names nothing"), (["--limit", "0"], "--limit 0")])
def test_what_names_nothing_is_refused_before_work(call: Call, tmp_path: Path, words: list[str], said: str) -> None:
    code, _, err = call("judge", "bench", "--judge", word_judge(tmp_path, "bad"), "--quiet", *words)
    assert code == 2
    assert said in err


def test_data_that_does_not_exist_is_refused(call: Call, tmp_path: Path) -> None:
    code, _, err = call("judge", "bench", "--judge", word_judge(tmp_path, "bad"), "--data", "nope", "--quiet")
    assert code == 2
    assert "'nope' does not exist" in err


def test_rows_of_other_versions_stay_with_these(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name, one = _with_card(tmp_path), labelled_set()
    save(name, bench([name], [one], QUIET), report(load(name).judge, one.rows, [], 0, ["swift"]))
    monkeypatch.setattr(bench_card, "versions", lambda: {"python": "9"})
    rows = bench([name], [replace(one, name="other")], QUIET)
    card = read_card(save(name, rows))
    assert card
    old, new = card.measured["rows"]
    assert (old["set"], new["set"], new["versions"]) == ("toy", "other", None)
    assert old["versions"] == card.measured["probes_made"]["versions"] != {"python": "9"}
    assert "under other versions" in card_text(card)
    changed = [row.model_copy(update={"judge_digest": "x"}) for row in rows]
    assert "toy, probes is dropped" in bench_card.dropped(name, changed)
    assert bench_card.dropped(name, rows) == ""


def test_a_judge_that_fails_leaves_the_others_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [word_judge(tmp_path, "bad", "first"), word_judge(tmp_path, "bad", "second")]
    real = benching.measure

    def measured(fitted: judge_loader.Fitted, *words: Any) -> list[Row]:
        if fitted.definition.name == "first":
            raise RuntimeError("out of memory")
        return real(fitted, *words)

    monkeypatch.setattr(benching, "measure", measured)
    (_, error), (_, rows) = benching.each(names, [labelled_set()], QUIET)
    assert isinstance(error, RuntimeError)
    assert isinstance(rows, list)
    assert rows[0].judge == "second"


def test_an_unknown_set_is_told_before_any_data_is_read(call: Call, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "own.jsonl").write_text("no JSON\n")
    words = ("judge", "bench", "--judge", word_judge(tmp_path, "bad"), "--data", str(tmp_path / "data"))
    code, out, err = call(*words, "--sets", "owm")
    assert (code, out) == (2, "")
    assert err == "goodvibe-bench: Unknown set 'owm'. Did you mean 'own'?\n"
