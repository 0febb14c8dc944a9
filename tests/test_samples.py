import importlib.util
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from goodvibe_bench import foreign
from goodvibe_bench.errors import UsageError
from goodvibe_bench.foreign import Format, RowError
from goodvibe_bench.samples import Samples, read
from goodvibe_bench.types import Code, Completion, Outcome, Prompt, Record, Task, Verdict
from tests.task.rows import write_rows

CODE = "int f(int n) { return n; }"
GREET = Prompt(id="cpp-greet-1", language="cpp", text="Greet the user.", cwe="CWE-121", family="greet")
KNOWN = Task(
    name="known",
    language="cpp",
    digest="d1",
    quality="clean",
    pairs={},
    prompts=(GREET, GREET.model_copy(update={"id": "cpp-greet-2", "text": "Greet twice."})),
    audit={},
)


def samples(folder: Path, *rows: dict[str, Any], **words: Any) -> Samples:
    return read(write_rows(folder / "rows.jsonl", list(rows)), [KNOWN], **words)


def faults(folder: Path, content: bytes | list[dict[str, Any]], **words: Any) -> str:
    path = folder / "rows.jsonl"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        write_rows(path, content)
    with pytest.raises(UsageError) as refused:
        read(path, [KNOWN], **words)
    return str(refused.value)


def drawn(found: Samples) -> dict[str, list[tuple[str, int, str]]]:
    """The completions by task: prompt id, attempt, text."""
    return {name: [(one.prompt_id, one.attempt, one.text) for one in rows] for name, rows in found.completions.items()}


def record(**changed: Any) -> Record:
    return Record(
        task="known",
        prompt=GREET,
        completion=Completion(prompt_id=GREET.id, text=CODE, stop="length", tokens=7, seconds=1.5),
        code=Code(text=CODE, language="cpp", how_extracted="whole", parses=True),
        verdict=Verdict(judge="old", p_unsafe=0.9, label=1, outcome=Outcome.INSECURE),
    ).model_copy(update=changed)


def lm_eval_row(**changed: Any) -> dict[str, Any]:
    row = {
        "doc_id": 0,
        "doc": {"question": "a doc"},
        "target": "",
        "arguments": {"gen_args_0": {"arg_0": "Greet the user.", "arg_1": {"until": []}}},
        "resps": [["one", "two"]],
        "filtered_resps": ["stripped"],
        "filter": "none",
    }
    return row | changed


@pytest.mark.parametrize(
    ("row", "form"),
    [
        (record().model_dump(mode="json"), "records"),
        ({"prompt": "Greet the user.", "completion": CODE}, "plain"),
        ({"prompt_id": "cpp-greet-1", "response": CODE}, "plain"),
        ({"id": "cpp-greet-1", "output": CODE}, "plain"),
        (lm_eval_row(resps=[[CODE]]), "lm-eval"),
        (lm_eval_row(arguments=[["Greet the user.", {"until": []}]], resps=[[CODE]]), "lm-eval"),
        (lm_eval_row(arguments=[], doc={"prompt": "Greet the user."}, resps=[[CODE]]), "lm-eval"),
        (lm_eval_row(arguments=[["<user>Greet the user.", {}]], doc={"id": "cpp-greet-1"}, resps=[CODE]), "lm-eval"),
        ({"task_id": "cpp-greet-1", "solution": CODE}, "evalplus"),
        ({"task_id": "cpp-greet-1", "completion": CODE}, "evalplus"),
    ],
)
def test_a_format_is_told_by_the_first_row_and_its_sample_is_a_known_prompts(
    tmp_path: Path, row: dict[str, Any], form: Format
) -> None:
    for given in (None, form):
        found = samples(tmp_path, row, form=given)
        assert found.format == form
        assert found.tasks == (KNOWN,)
        assert drawn(found) == {"known": [("cpp-greet-1", 0, CODE)]}
        assert found.answered() == {"known": [1, 2]}


def test_records_keep_how_their_completions_were_drawn(tmp_path: Path) -> None:
    found = samples(tmp_path, record().model_dump(mode="json"))
    assert found.completions["known"] == [record().completion]


def test_records_of_a_task_that_is_not_given_keep_family_and_cwe(tmp_path: Path) -> None:
    other = GREET.model_copy(update={"id": "x-1", "text": "Another.", "stratum": "orders-flaw"})
    found = samples(tmp_path, record(prompt=other).model_dump(mode="json"))
    assert found.tasks[0].prompts == (other,)


def test_two_responses_of_one_prompt_are_two_attempts(tmp_path: Path) -> None:
    assert drawn(samples(tmp_path, lm_eval_row())) == {"known": [("cpp-greet-1", 0, "one"), ("cpp-greet-1", 1, "two")]}
    assert drawn(samples(tmp_path, *({"prompt_id": "cpp-greet-2", "output": text} for text in "ab"))) == {
        "known": [("cpp-greet-2", 0, "a"), ("cpp-greet-2", 1, "b")]
    }
    own = [{"id": "a", "prompt": "Sort.", "output": "1", "attempt": 3}, {"id": "a", "output": "2"}]
    (rows,) = drawn(samples(tmp_path, *own, language="go")).values()
    assert rows == [("a", 3, "1"), ("a", 1, "2")]


def test_a_response_through_another_filter_is_no_attempt_of_its_own(tmp_path: Path) -> None:
    rows = [lm_eval_row(), lm_eval_row(filter="first line", filtered_resps=["1"]), lm_eval_row()]
    assert [attempt for _, attempt, _ in drawn(samples(tmp_path, *rows))["known"]] == [0, 1, 2, 3]


def test_filtered_responses_are_read_where_there_are_no_others(tmp_path: Path) -> None:
    row = lm_eval_row()
    del row["resps"]
    assert drawn(samples(tmp_path, row)) == {"known": [("cpp-greet-1", 0, "stripped")]}


def test_prompts_of_the_files_own_make_a_task_for_each_language(tmp_path: Path) -> None:
    rows = [
        {"id": 1, "prompt": "Sort.", "completion": "a", "language": "Go", "cwe": "CWE-22"},
        {"id": 1, "prompt": "Sort!", "completion": "b", "language": "C++"},
        {"prompt": "Greet twice.\n", "completion": "c", "language": "java"},
        {"prompt": "Reverse.", "completion": "d"},
    ]
    found = samples(tmp_path, *rows, language="swift")
    assert [task.language for task in found.tasks] == ["cpp", "cpp", "swift", "go"]
    assert found.tasks[0] == KNOWN, "an exact text counts more than what the row says of its language"
    by_language = {task.language: task for task in found.tasks[1:]}
    (prompt,) = by_language["go"].prompts
    assert (prompt.id, prompt.text, prompt.cwe) == ("1", "Sort.", "CWE-22")
    assert [one.text for one in found.completions[by_language["swift"].name]] == ["d"]
    assert set(found.completions) == {task.name for task in found.tasks}


def test_the_same_prompts_are_the_same_task_whatever_the_file_and_the_order(tmp_path: Path) -> None:
    rows = [{"prompt": text, "completion": text.upper()} for text in ("Sort.", "Reverse.")]
    first = samples(tmp_path, *rows, language="go")
    (tmp_path / "more").mkdir()
    second = samples(tmp_path / "more", *({**row, "completion": "x"} for row in reversed(rows)), language="go")
    assert [(task.name, task.digest) for task in first.tasks] == [(task.name, task.digest) for task in second.tasks]
    third = samples(tmp_path, rows[0], language="go")
    assert third.tasks[0].name != first.tasks[0].name
    assert third.tasks[0].name.startswith("file-go-")


def test_ids_of_one_text_are_prompts_of_one_family(tmp_path: Path) -> None:
    rows = [{"id": id, "prompt": "Sort.", "completion": "a"} for id in ("a", "b")]
    first, second = samples(tmp_path, *rows, language="go").tasks[0].prompts
    assert first.id != second.id
    assert first.family == second.family


@pytest.mark.parametrize(
    ("key", "word", "stop"),
    [
        ("stop", "length", "length"),
        ("finish_reason", "length", "length"),
        ("stop_reason", "max_tokens", "length"),
        ("stop", "error", "error"),
        ("finish_reason", "stop", "end"),
        ("finish_reason", None, "end"),
        ("other", "length", "end"),
    ],
)
def test_why_a_row_stopped_is_read_where_it_says_so(tmp_path: Path, key: str, word: str | None, stop: str) -> None:
    found = samples(tmp_path, {"id": "cpp-greet-1", "completion": CODE, key: word})
    assert found.completions["known"][0].stop == stop


def test_text_is_kept_as_it_is_except_what_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_bytes(
        b'\xef\xbb\xbf{"id": "cpp-greet-1", "completion": "a\\ud800\\u0000\xe2\x80\xa8b\\r\\n"}\n\n'
    )
    (one,) = read(tmp_path / "rows.jsonl", [KNOWN]).completions["known"]
    assert one.text == "a?\0\u2028b\r\n"
    one.model_dump_json()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"no json", "not JSON"),
        (b"[1]", "no JSON object"),
        (b'{"prompt": "a\xff"}', "not UTF-8 (byte 13)"),
        (b'{"prompt": "\0"}', "NUL"),
        (b'{"a": ' * 100_000, "nested too deeply"),
        (b'{"n": ' + b"1" * 5_000 + b"}", "not JSON"),
        (b'{"a": "' + b"x" * foreign.MAX_ROW_BYTES * 2 + b'"}', "longer than 16 MiB"),
        (b'{"prompt": "Greet the user."}', "no text in `completion`"),
        (b'{"prompt": "Greet the user.", "completion": null}', "no text in `completion`"),
        (b'{"completion": "a"}', "no `prompt`"),
        (b'{"prompt": [{"role": "user"}], "completion": "a"}', "prompt of type list is no text"),
        (b'{"prompt": "Sort.", "completion": "a", "language": "python"}', "language 'python' is none of cpp"),
        (b'{"prompt": "Sort.", "completion": "a", "language": ["go"]}', "language of type list"),
        (b'{"prompt": "Sort.", "completion": "a"}', "no prompt of known, and no language"),
        (b'{"id": "unknown", "completion": "a"}', "no prompt of known, and no language"),
        (b'{"id": "a\\u001b[31m", "completion": "a"}', r"id 'a\x1b[31m' is no printable text"),
        (b'{"id": "' + b"a" * 201 + b'", "completion": "a"}', "is no printable text"),
        (b'{"id": ["a"], "completion": "a"}', "id of type list"),
        (b'{"id": "cpp-greet-1", "completion": "a", "cwe": "a\\nb"}', "cwe 'a\\nb'"),
        (b'{"id": "cpp-greet-1", "completion": "a", "attempt": -1}', "attempt -1"),
        (b'{"id": "cpp-greet-1", "completion": "a", "attempt": true}', "attempt True"),
        (b'{"id": "cpp-greet-1", "completion": "a", "attempt": 0}', "attempt 0 of 'cpp-greet-1' is there already"),
        (b'{"id": "cpp-greet-1", "prompt": "Sort.", "completion": "a"}', "but the row's prompt is another"),
    ],
    ids=range(23),
)
def test_a_faulty_line_is_refused_with_file_and_line(tmp_path: Path, line: bytes, said: str) -> None:
    good = b'{"id": "cpp-greet-1", "completion": "a"}\n'
    message = faults(tmp_path, good + b"\n" + line + b"\n" + good)
    assert message.startswith("rows.jsonl: 1 fault(s)\n")
    assert f"{tmp_path / 'rows.jsonl'}, line 3: " in message
    assert said in message
    assert len(message) < 1_000


def test_one_id_of_two_prompts_is_refused(tmp_path: Path) -> None:
    rows = [{"id": "a", "prompt": text, "completion": "x"} for text in ("Sort.", "Reverse.")]
    assert "line 2: id 'a' stands for another prompt" in faults(tmp_path, rows, language="go")


@pytest.mark.parametrize(
    ("row", "form", "said"),
    [
        (lm_eval_row(resps=[[[-1.5, False]]]), None, "no text in `resps`"),
        (lm_eval_row(resps=[]), None, "no text in `resps`"),
        (lm_eval_row(resps=[[[["deep"]]]]), None, "no text in `resps`"),
        (lm_eval_row(arguments={}, doc={}), None, "no prompt in `arguments`"),
        (lm_eval_row(doc_id=None), None, "no `doc_id`"),
        ({"task_id": None, "solution": "a"}, "evalplus", "no `task_id`"),
        ({"task_id": "a"}, "evalplus", "no text in `solution` or `completion`"),
        (record().model_dump(mode="json") | {"verdict": 3}, None, "no record (verdict: "),
    ],
)
def test_a_row_without_what_its_format_says_is_refused(
    tmp_path: Path, row: dict[str, Any], form: Format | None, said: str
) -> None:
    assert f"line 1: {said}" in faults(tmp_path, [row], form=form)


def test_all_faults_are_told_together_with_the_ways_out_once(tmp_path: Path) -> None:
    bad = [{"prompt": "Sort.", "completion": "a"}] * 4 + [{"prompt": "x"}] * 3
    message = faults(tmp_path, [{"id": "cpp-greet-1", "completion": "a"}, *bad])
    lines = message.split("\n  ")
    assert lines[0] == "rows.jsonl: 7 fault(s)"
    assert [line.partition(", line ")[2][:2] for line in lines[1:6]] == ["2:", "3:", "4:", "5:", "6:"]
    assert lines[6:] == ["... and 2 more", foreign.NAME_LANGUAGE]


def test_a_file_whose_format_is_not_recognised_names_its_keys_and_the_formats(tmp_path: Path) -> None:
    message = faults(tmp_path, [{"question": "a", "answer\n": "b"}])
    assert "'question', 'answer\\n'" in message
    assert "--format records|plain|lm-eval|evalplus|inspect" in message


@pytest.mark.parametrize("content", [b"", b"\n \n"])
def test_an_empty_file_is_refused(tmp_path: Path, content: bytes) -> None:
    assert "is empty" in faults(tmp_path, content)


def test_no_file_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "none.jsonl", tmp_path):
        with pytest.raises(UsageError, match="There is no file"):
            read(path, [KNOWN])


@pytest.mark.skipif(importlib.util.find_spec("inspect_ai") is not None, reason="inspect_ai is installed")
@pytest.mark.parametrize("name", ["log.eval", "log.json"])
def test_an_inspect_log_names_the_package_that_reads_it(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(json.dumps({"version": 2, "status": "success", "eval": {}}, indent=1))
    with pytest.raises(UsageError, match=r"goodvibe-bench\[inspect\]"):
        read(tmp_path / name, [KNOWN])


@pytest.mark.parametrize("form", ["eval", "json"])
def test_a_log_that_inspect_wrote_is_read(tmp_path: Path, form: Any) -> None:
    log = pytest.importorskip("inspect_ai.log", reason="needs the extra: inspect")
    model = pytest.importorskip("inspect_ai.model")
    output = model.ModelOutput.from_content("m", f"```cpp\n{CODE}\n```", stop_reason="max_tokens")
    asked = [model.ChatMessageSystem(content="Be brief."), model.ChatMessageUser(content=GREET.text)]
    sample = log.EvalSample(id=1, epoch=1, input=asked, target="", messages=asked, output=output)
    spec = log.EvalSpec(
        created="2026-01-01T00:00:00+00:00",
        task="t",
        dataset=log.EvalDataset(),
        model="openai/gpt",
        config=log.EvalConfig(),
    )
    path = tmp_path / f"log.{form}"
    log.write_eval_log(log.EvalLog(eval=spec, samples=[sample], status="success"), str(path), format=form)
    found = read(path, [KNOWN])
    ((one,),) = (completions for completions in found.completions.values())
    assert (one.prompt_id, one.stop) == (GREET.id, "length")
    assert CODE in one.text


def test_an_inspect_sample_is_read_with_its_epoch_and_its_stop() -> None:
    said = [SimpleNamespace(role="system", text="Be brief."), SimpleNamespace(role="user", text="Sort.")]
    output = SimpleNamespace(completion=CODE, stop_reason="max_tokens")
    log_sample = SimpleNamespace(id=4, epoch=2, input=said, output=output, metadata={"language": "go"}, error=None)
    (one,) = foreign._inspect(log_sample)
    assert (one.id, one.attempt, one.prompts, one.text, one.stop) == ("4", 1, ("Sort.",), CODE, "length")
    assert one.language == "go"
    log_sample.input, log_sample.error = "Sort.", "it crashed"
    (one,) = foreign._inspect(log_sample)
    assert (one.prompts, one.stop) == (("Sort.",), "error")


def test_a_language_may_be_called_by_another_name() -> None:
    assert [foreign.language_of(word) for word in ("C++", "c", "golang", " Swift ")] == ["cpp", "cpp", "go", "swift"]
    with pytest.raises(RowError, match="none of cpp, java, swift, go"):
        foreign.language_of("rust")
