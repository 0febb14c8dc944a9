"""Regressions: each of these once reached a terminal, a log, a page, or a traceback as it was."""

import io
import json
from pathlib import Path
from time import perf_counter
from typing import Any

import pytest
from pydantic import ValidationError
from rich.console import Console

from goodvibe_bench.cli.layout import lay_out, wrap
from goodvibe_bench.errors import UsageError
from goodvibe_bench.progress import Show
from goodvibe_bench.reproduce import reproduce
from goodvibe_bench.result import form, store
from goodvibe_bench.result.leaderboard import rows as rows_of
from goodvibe_bench.task.definition import HubSource
from goodvibe_bench.untrusted import markdown, printable, printable_lines
from tests.conftest import Call
from tests.result.builders import outcomes, record, result
from tests.task.rows import write_rows

STEERS = [
    "\x1b[2J",
    "\x1b]52;c;aGk=\x07",
    "\x9b31m",
    "\0",
    "\x7f",
    "\r",
    "\u202e",
    "\u200b",
    "\ud800",
    "\u2028",
    "\x85",
]


@pytest.mark.parametrize("text", STEERS, ids=ascii)
def test_what_steers_a_terminal_is_replaced(text: str) -> None:
    assert printable(f"a{text}b").isprintable()
    assert printable_lines(f"a\n{text}b").split("\n")[0] == "a"


@pytest.mark.parametrize("order", ["::error::x", "  ::stop-commands::x", "##[group]x"])
def test_no_line_is_an_order_to_a_ci_runner(order: str) -> None:
    shown = printable_lines(f"std::vector\n{order}")
    assert shown.startswith("std::vector\n")
    assert not shown.split("\n")[1].lstrip().startswith(("::", "##["))


@pytest.mark.parametrize("terminal", [False, True])
def test_progress_shows_names_as_they_are_and_no_escape_of_theirs(terminal: bool) -> None:
    name = "a\x1b]0;owned\x07 [bold]b[/] [/x] :smile: \\"
    out = io.StringIO()
    with Show(Console(file=out, force_terminal=terminal, width=120, color_system=None)) as show:
        show.line(f"{name}: training")
        show("judge", 1, 2, name)
        show("judge", 2, 2, name)
    assert "\x1b]" not in out.getvalue()
    assert "\x07" not in out.getvalue()
    assert out.getvalue().count("[bold]b[/] [/x] :smile: \\") >= 2


def test_a_name_makes_no_link_and_no_image_in_markdown() -> None:
    name = "![x](https://example.invalid/x.png) [l](//e) @all #1 ~~s~~ _i_"
    shown = form.markdown(rows_of([result(outcomes(secure=1), method=name, model=name)]))
    assert markdown(name) in shown
    assert name not in shown


def test_a_very_long_name_is_laid_out_at_once() -> None:
    long = "x" * 10**6
    started = perf_counter()
    lines, _ = lay_out(["a", "b"], [[long, long[:-7]], ["é" * 10**5, "b"]], [False, False], 130)
    assert max(map(len, lines)) <= 130
    assert "".join(line.split()[0] for line in lines[2:] if line[:1] == "x") == long
    assert wrap("ab " + "y" * 9, 4) == ["ab", "yyyy", "yyyy", "y"]
    assert perf_counter() - started < 20


def test_a_long_name_still_makes_a_file_name_of_its_own() -> None:
    names = [store.file_name("m" * 80, "x" * 250, "task", f"seed{seed}") for seed in (0, 1)]
    assert len(set(names)) == 2
    assert max(map(len, names)) <= store.LONGEST_NAME
    assert store.file_name("../a", "b") == "a--b"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *[("outcome", "fine"), ("prompt_id", {}), ("language", ["cpp"]), ("attempt", "one"), ("p_unsafe", 7)],
        *[("label", 3), ("asked", "perhaps"), ("unusable", 1), ("others", {"k": {"outcome": "secure"}})],
    ],
)
def test_a_sample_of_another_shape_is_refused(tmp_path: Path, key: str, value: Any) -> None:
    words = result(outcomes(secure=2)).model_dump(mode="json")
    words["outcomes"][1][key] = value
    path = tmp_path / "x.json"
    path.write_text(json.dumps(words))
    with pytest.raises(UsageError, match=f"outcomes.1.{key}"):
        store.read_result(path)


@pytest.mark.parametrize(
    "block",
    [
        *[
            {"judge": {"name": ["j"]}},
            {"judge": {"name": "j", "calibration": []}},
            {"judge": {"name": "j", "anchor": 1}},
        ],
        *[{"utility": {"models": [{}]}}, {"utility": {"models": {}}}],
    ],
)
def test_a_judge_or_utility_of_another_shape_is_refused(block: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        result(outcomes(secure=1), **block)


@pytest.mark.parametrize("local", ["../../etc/x.json", "/etc/x.json", "a/../../x", ""])
def test_a_task_s_data_lies_below_the_folder_of_data(local: str) -> None:
    words = {
        "kind": "hub",
        "dataset": "o/d",
        "revision": "0",
        "prompt": "p",
        "secure": "s",
        "insecure": "i",
        "where": {},
    }
    assert HubSource.model_validate(words | {"local": "a/b.json"}).local == "a/b.json"
    with pytest.raises(ValidationError, match="below the folder"):
        HubSource.model_validate(words | {"local": local})


def test_a_result_cannot_allow_itself_to_run_a_model_s_code(tmp_path: Path) -> None:
    path = tmp_path / "evil.json"
    config = {"model": "owner/evil", "trust_remote_code": True, "push": "owner/mine", "trainer": _TRAINER}
    store.write_result(result(outcomes(secure=1), config=config), path)
    with pytest.raises(UsageError, match="Give --trust-remote-code where you trust both"):
        reproduce(path, Show(quiet=True), scratch=tmp_path / "scratch")


_TRAINER = {"description": "x", "tuner": {"kind": "none"}}


def test_a_command_to_go_on_with_quotes_the_judge_s_name(call: Call, tmp_path: Path) -> None:
    one = record(0, outcomes(secure=1)[0]["outcome"])
    named = one.model_copy(update={"verdict": one.verdict.model_copy(update={"judge": "j; touch owned #"})})
    write_rows(tmp_path / "r.jsonl", [named.model_dump(mode="json")])
    code, out, _ = call("judge", "label", "r.jsonl")
    assert code == 0
    assert "--judge 'j; touch owned #' --labels labels.jsonl" in out
