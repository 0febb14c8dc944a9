import base64
import json
import re
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from goodvibe_bench.result import report, report_data, store
from goodvibe_bench.types import Outcome, Result
from tests.conftest import Call
from tests.result.builders import calibration, outcomes, record, result, two_judges, with_other
from tests.result.hostile import LONG, TEXTS, hostile

FOLDER = Path(report.__file__).parent
SCRIPT = "\n".join((FOLDER / name).read_text() for name in report.SCRIPTS)


def _read(paths: list[Path]) -> dict[Path, Result]:
    return {path: store.read_result(path) for path in paths}


def _written(folder: Path, *results: Result) -> dict[Path, Result]:
    folder.mkdir(exist_ok=True)
    return {folder / f"{number}.json": one for number, one in enumerate(results)}


def _parts(page: str) -> dict[str, str]:
    found = re.fullmatch(
        r'.*Content-Security-Policy" content="(?P<policy>[^"]*)">.*<style>(?P<style>.*)</style>.*<script type="application/json" id="data">'
        r"(?P<data>.*)</script>\n<script>(?P<script>.*)</script>\n</body>\n</html>\n",
        page,
        re.DOTALL,
    )
    assert found
    return found.groupdict()


def test_untrusted_text_cannot_leave_the_data_block(tmp_path: Path) -> None:
    page = report.html(report.data(_read(hostile(tmp_path))))
    assert page.isascii()
    data = _parts(page)["data"]
    assert not set(data) & set("<>&")
    texts = json.loads(data)["texts"]
    assert texts == [*TEXTS.values(), LONG]


def test_the_policy_allows_the_page_s_own_script_and_style_only(tmp_path: Path) -> None:
    parts = _parts(report.html(report.data(_read(hostile(tmp_path)))))
    hashes = [base64.b64encode(sha256(parts[name].encode()).digest()).decode() for name in ("script", "style")]
    assert parts["policy"].split("; ") == [
        "default-src 'none'",
        f"script-src 'sha256-{hashes[0]}'",
        f"style-src 'sha256-{hashes[1]}'",
        "base-uri 'none'",
        "form-action 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    ]


def test_the_script_makes_no_markup_of_text_and_names_no_address() -> None:
    assert len(SCRIPT.splitlines()) > 300
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|eval\(|Function\(", SCRIPT)
    assert re.findall(r"https?:[^\"']*", SCRIPT) == ["http://www.w3.org/2000/svg"], "a name space, not an address"
    assert not re.search(r"https?:|url\(|@import", (FOLDER / "report.css").read_text())
    assert all(word not in SCRIPT for word in ("</script", "<!--"))


@pytest.mark.parametrize("name", [*report.SCRIPTS, "report.css", "report.html"])
def test_a_file_of_the_page_has_at_most_400_lines(name: str) -> None:
    assert len((FOLDER / name).read_text().splitlines()) <= 400


def test_results_without_records_are_shown_and_said(tmp_path: Path) -> None:
    found = report.data(_written(tmp_path, result(outcomes(secure=2))))
    assert found["records"] == {"0": {"file": "records/0.jsonl", "found": False, "texts": 0, "damaged": 0}}
    assert found["texts"] == []
    assert [one["seen"]["0"]["text"] for one in found["samples"]] == [None, None]


def test_damaged_lines_of_records_are_counted_and_the_others_shown(tmp_path: Path) -> None:
    found = _written(tmp_path, result(outcomes(secure=1, insecure=1)))
    (tmp_path / "records").mkdir()
    lines = [
        record(0, Outcome.SECURE).model_dump_json().encode(),
        b'{"task": "cpp"}',
        b'{"task": [], "prompt": {"id": 1, "text": ""}, "completion": {"attempt": 0, "text": ""}, "code": {"text": ""}}',
        b"[" * 100_000,
        b"\xff\xfe",
        b'{"task": "cpp", "prom',
    ]
    (tmp_path / "records" / "0.jsonl").write_bytes(b"\n".join(lines))
    page = report.data(found)
    assert (page["records"]["0"]["texts"], page["records"]["0"]["damaged"]) == (1, 5)
    assert [one["seen"]["0"]["text"] for one in page["samples"]] == [1, None]
    assert page["texts"] == ["Write.", "int x;"]


def test_both_sides_of_a_prompt_stand_in_one_sample(tmp_path: Path) -> None:
    found = report.data(_written(tmp_path, result(outcomes(insecure=2)), result(outcomes(secure=2), method="tuned")))
    assert len(found["samples"]) == 2
    assert {key: one["outcome"] for key, one in found["samples"][0]["seen"].items()} == {"0": "insecure", "1": "secure"}


def test_samples_of_another_version_of_a_task_are_other_samples(tmp_path: Path) -> None:
    other = result(outcomes(secure=2), method="tuned", task_hashes={"cpp": "1"})
    found = report.data(_written(tmp_path, result(outcomes(insecure=2)), other))
    assert len(found["samples"]) == 4
    assert any("not compared with one another" in line for line in found["notes"])
    assert found["gains"]["rows"] == []


def test_the_ledger_counts_every_sample_once_in_every_grouping(tmp_path: Path) -> None:
    rows = outcomes(secure=3, insecure=2, unusable=1, unjudged=1) + outcomes(secure=2, task="java")
    rows[0]["cwe"] = "CWE-89"
    found = report.data(_written(tmp_path, result(rows)))["ledger"]
    for by in ("all", "language", "cwe", "both"):
        own = [row for row in found if row["by"] == by]
        assert sum(row["n"] for row in own) == 9
        assert [sum(row[str(name)] for row in own) for name in Outcome] == [5, 2, 1, 1]
    whole = next(row for row in found if row["by"] == "all")
    assert whole["secure_rate"]["value"] == 5 / 9
    assert whole["valid_rate"]["value"] == 8 / 9
    assert [row["language"] for row in found if row["by"] == "language"] == ["cpp", "java"]


def test_every_judge_has_a_ledger_of_its_own(tmp_path: Path) -> None:
    rows = with_other(outcomes(secure=4), [Outcome.INSECURE] * 4)
    found = report.data(_written(tmp_path, two_judges(rows)))["ledger"]
    assert {row["judge"]: row["secure"] for row in found if row["by"] == "all"} == {"j": 4, "k": 0}


def test_a_gain_is_paired_with_the_base_and_comes_with_validity(tmp_path: Path) -> None:
    base, tuned = result(outcomes(insecure=10)), result(outcomes(secure=6, unusable=4), method="tuned")
    again = result(outcomes(secure=10), method="tuned", seed=1)
    (row,) = report.data(_written(tmp_path, base, tuned, again))["gains"]["rows"]
    assert (row["method"], row["judge"], row["secure"]["n"]) == ("tuned", "j", 20)
    assert row["secure"]["value"] == pytest.approx(0.8)
    assert row["valid"]["value"] == pytest.approx(-0.2)


def test_the_leaderboard_keeps_the_interval_of_every_rate(tmp_path: Path) -> None:
    found = report.data(_written(tmp_path, result(outcomes(secure=3, insecure=1)), result(outcomes(secure=1), seed=1)))
    columns, rows = found["board"]["columns"], found["board"]["rows"]
    assert list(columns)[:3] == ["table", "method", "seeds"]
    assert [row["cells"]["n"]["text"] for row in rows] == ["1", "4"]
    for row in rows:
        for key in ("secure_rate", "safe_rate", "valid_rate", "unusable_rate"):
            assert set(row["cells"][key]) == {"value", "low", "high", "n"}


def test_several_languages_have_rows_of_their_own(tmp_path: Path) -> None:
    rows = outcomes(secure=1, insecure=1) + outcomes(secure=1, insecure=1, task="java")
    found = report.data(_written(tmp_path, result(rows)))["board"]["rows"]
    assert [row["language"] for row in found] == ["all", "cpp", "java"]


def test_what_samples_made_elsewhere_cost_is_not_known(tmp_path: Path) -> None:
    own, foreign = result(outcomes(secure=1)), result(outcomes(secure=1), config={"source": "samples.jsonl"})
    points = [report.data(_written(tmp_path, one))["points"][0]["costs"] for one in (own, foreign)]
    assert points[0]["training_seconds"] == 0
    assert set(points[1].values()) == {None}


def test_a_judge_of_the_project_brings_its_card() -> None:
    block: dict[str, Any] = {"name": "panel", "digest": "d", "calibration": {"cpp": calibration().model_dump()}}
    (found,) = report_data.judges([result(outcomes(secure=1), judge=block)])
    assert found["card"]["sources"]
    assert found["card"]["measured"]
    assert "calibrated again" in found["card_note"]
    assert found["figures"][0]["useless"] is False


@pytest.mark.parametrize("name", ["mine", "../judges/panel", "/etc/passwd"])
def test_another_judge_is_looked_up_nowhere(name: str) -> None:
    (found,) = report_data.judges([result(outcomes(secure=1), judge={"name": name, "digest": "d"})])
    assert found["card"] is None
    assert "none of those that come with the project" in found["card_note"]
    assert found["figures"] == []


def test_results_of_one_file_name_keep_different_keys() -> None:
    one = result(outcomes(secure=1))
    paths = [Path("a/x.json"), Path("b/x.json"), Path("c/x.json"), Path("c/y.json")]
    assert list(report_data.keys_of(dict.fromkeys(paths, one)).values()) == ["x", "x~2", "x~3", "y"]


def test_the_same_results_give_the_same_page(tmp_path: Path) -> None:
    paths = hostile(tmp_path)
    assert report.html(report.data(_read(paths))) == report.html(report.data(_read(paths)))


def test_the_command_writes_a_page_and_says_what_it_lacks(call: Call, tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    store.write_result(result(outcomes(secure=2)), tmp_path / "results" / "a.json")
    code, out, _ = call("report", "--output", "deep/page.html")
    assert code == 0
    assert "1 results, 2 samples, 0 texts" in out
    assert "records/a.jsonl is missing beside the results" in out
    assert _parts((tmp_path / "deep" / "page.html").read_text())["data"]


def test_the_command_overwrites_nothing_but_a_page(call: Call, tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    store.write_result(result(outcomes(secure=2)), tmp_path / "results" / "a.json")
    before = (tmp_path / "results" / "a.json").read_bytes()
    code, _, err = call("report", "--output", "results/a.json")
    assert code == 2
    assert "ends in .html" in err
    assert (tmp_path / "results" / "a.json").read_bytes() == before


def test_the_command_refuses_what_is_no_result(call: Call, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text("{}")
    code, _, err = call("report", "x.json")
    assert code == 2
    assert "no goodvibe-bench result" in err
