"""Over a thousand hostile completions, definitions, results and files, through the command line as people call it.

Whatever they hold: nothing in them is executed, nothing is written outside the folders that were asked for, nothing that
is printed steers a terminal or a CI runner, and no page or table holds markup of theirs.
"""

import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, assume, example, given, settings
from hypothesis import strategies as st

from goodvibe_bench.result import store
from tests import hostile
from tests.hostile import Said, command, toml, tree
from tests.result.builders import outcomes, record, result
from tests.task.rows import write_rows

JUDGE = 'description = {}\n[judge]\nkind = "scripted"\nunsafe_words = ["strcpy", "owned"]\n'
TASK = 'description = {}\nlanguage = "cpp"\nlicense = {}\n[source]\nkind = "bundled"\n'
TRAINER = 'description = {}\n[tuner]\nkind = "none"\n'
ASKED = ("results", ".runs", "out")
"""The folders that the commands below may write to."""
WORDS = ["alpha", "bravo", "charlie", "delta", "echo", "foxtrot", "golf", "hotel", "india", "juliet", "kilo", "lima"]


def many(examples: int) -> settings:
    """Settings of a test that always draws the same examples and keeps none."""
    return settings(
        max_examples=examples,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.explicit, Phase.generate],
        report_multiple_bugs=False,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
    )


@pytest.fixture(scope="module")
def top(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of all examples; what is imported once, and may then start programs, is imported here."""
    folder = tmp_path_factory.mktemp("hostile")
    command(folder, "doctor")
    return folder


class Room:
    """A folder for one example, deep enough that a path which climbs out of it is still seen."""

    def __init__(self, top: Path) -> None:
        self.top = top / str(sum(1 for _ in top.iterdir()))
        self.folder = self.top / "a" / "b" / "c"
        self.folder.mkdir(parents=True)
        write_task(self.folder / "task")
        (self.folder / "judge.toml").write_text(JUDGE.format('"x"'))

    def harmless(self, *calls: tuple[str, ...]) -> list[Said]:
        """Run commands one after another; assert of each that it does no harm, and that files stay as they were."""
        without = [f"a/b/c/{name}" for name in ASKED]
        before = tree(self.top, without)
        found = [command(self.folder, *words) for words in calls]
        for said in found:
            said.assert_harmless()
        assert tree(self.top, without) == before
        assert not Path("/goodvibe-owned").exists()
        return found


def write_task(folder: Path, description: str = "x", ids: str = "p", text: str = "", cwe: str | None = None) -> None:
    """Write a small task: six prompts and four pairs, no two of them alike."""
    folder.mkdir(exist_ok=True)
    (folder / "task.toml").write_text(TASK.format(toml(description), toml(description)), encoding="utf-8")
    prompts = [
        {"id": f"{ids}{i}", "language": "cpp", "text": f"{text}Write {word * 20}", "cwe": cwe, "family": text}
        for i, word in enumerate(WORDS[:6])
    ]
    pairs = [
        {
            "id": f"q{i}",
            "language": "cpp",
            "prompt": f"Do {word * 20}",
            "source": "x",
            "secure": f"int {word * 9}(int n);",
        }
        | {"insecure": f"void {word[::-1] * 9}(char *a);"}
        for i, word in enumerate(WORDS[6:10])
    ]
    write_rows(folder / "prompts.jsonl", prompts)
    write_rows(folder / "pairs.jsonl", pairs)


def write_samples(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def score(file: str, *words: str, task: str = "./task", judge: str = "./judge.toml") -> tuple[str, ...]:
    return ("score", file, "--tasks", f"{task}/task.toml", "--judge", judge, "--uncalibrated", *words)


def readers(before: str, after: str) -> list[tuple[str, ...]]:
    """All commands that read results; the checks and the report write to out/."""
    gate = ["--junit", "out/j.xml", "--sarif", "out/s.json", "--markdown", "out/m.md", "--margin", "50"]
    return [
        *(
            ("leaderboard", "--by-language", *form)
            for form in ((), ("--json",), ("--csv",), ("--markdown",), ("--html",))
        ),
        ("compare", before, after, "--show"),
        ("check", after, "--baseline", before, *gate),
        ("report", "results", "--output", "out/report.html"),
    ]


class _Elements(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[Any] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, [name for name, _ in attrs]))

    def handle_endtag(self, tag: str) -> None:
        self.found.append(tag)

    def handle_comment(self, data: str) -> None:
        self.found.append(data)


def elements(page: str) -> list[Any]:
    """Return all tags of a page with the names of their attributes, in order."""
    parser = _Elements()
    parser.feed(page)
    parser.close()
    return parser.found


def assert_pages_hold_no_markup_of_the_data(room: Room, table: Said) -> None:
    parts = "html head meta title style body table caption tr th td ul li"
    assert {one if isinstance(one, str) else one[0] for one in elements(table.out)} <= set(parts.split())
    assert {name for one in elements(table.out) if not isinstance(one, str) for name in one[1]} <= {
        "lang",
        "charset",
        "scope",
    }
    page = room.folder / "out" / "report.html"
    if page.exists():
        data = page.read_text(encoding="ascii")
        own = (Path(store.__file__).parent / "report.html").read_text()
        assert elements(data) == elements(own)


@given(
    st.lists(hostile.answers, min_size=40, max_size=40),
    st.lists(hostile.texts, min_size=2, max_size=2),
)
@many(16)
def test_what_a_model_says_is_text_and_nothing_else(top: Path, said: list[str], asked: list[str]) -> None:
    room = Room(top)
    (room.folder / "out").mkdir()
    for name, texts in (("old", said[:20]), ("new", said[20:])):
        rows = [{"prompt_id": f"p{i % 6}", "completion": text} for i, text in enumerate(texts)]
        rows += [
            {"id": f"own{i}", "prompt": text or "x", "completion": texts[i], "language": "cpp"}
            for i, text in enumerate(asked)
        ]
        write_samples(room.folder / f"{name}.jsonl", rows)
    scored = room.harmless(score("old.jsonl"), score("new.jsonl"))
    assert [one.code for one in scored] == [0, 0]
    found = room.harmless(*readers("old", "new"), ("judge", "label", "results", "--output", "out/labels.jsonl"))
    assert [one.code for one in found[:6]] == [0] * 6
    assert found[7].code == 0
    assert_pages_hold_no_markup_of_the_data(room, found[4])


@given(
    hostile.texts,
    hostile.texts,
    hostile.texts,
    hostile.texts,
    st.sampled_from(["", "lm-eval", "records", "evalplus", "plain"]),
)
@many(100)
def test_names_and_ids_in_a_file_of_samples_are_no_paths_and_no_markup(
    top: Path, id: str, cwe: str, language: str, name: str, form: str
) -> None:
    room = Room(top)
    row: dict[str, Any] = {
        "id": id,
        "task_id": id,
        "doc_id": id,
        "prompt": "Write.",
        "completion": "x",
        "solution": "x",
    }
    row |= {"language": "cpp", "cwe": cwe or None, "resps": [["x"]], "arguments": [["Write."]], id: language}
    write_samples(room.folder / "s.jsonl", [row, row | {"language": language}])
    write_samples(
        room.folder / "t.jsonl", [{"id": id, "prompt": "Write.", "completion": "x", "language": "cpp", "cwe": cwe}]
    )
    chosen = ("--format", form) if form else ()
    room.harmless(score("s.jsonl", *chosen), score("t.jsonl", "--name", name), ("leaderboard",))


@given(hostile.names, hostile.words, hostile.words, hostile.words, st.sampled_from(["task", "judge", "trainer"]))
@many(120)
def test_definitions_are_data_whatever_their_names_and_words(
    top: Path, name: str, words: str, id: str, cwe: str, kind: str
) -> None:
    room = Room(top)
    write_samples(
        room.folder / "s.jsonl", [{"prompt_id": f"{id}0", "completion": "```cpp\nint f() { return 1; }\n```"}]
    )
    try:
        if kind == "task":
            write_task(room.folder / name, words, ids=id, text=words, cwe=cwe)
            calls = [score("s.jsonl", "--language", "cpp", task=f"./{name}"), *readers("s", "s")]
        elif kind == "judge":
            (room.folder / f"{name}.toml").write_text(JUDGE.format(toml(words)), encoding="utf-8")
            calls = [score("s.jsonl", "--language", "cpp", judge=f"./{name}.toml"), *readers("s", "s")]
            calls += [
                ("judge", "fit", "--judge", f"./{name}.toml"),
            ]
        else:
            body = TRAINER.format(toml(words)) + (f"{toml(words)} = {toml(cwe)}\n" if len(words) % 2 else "")
            (room.folder / f"{name}.toml").write_text(body, encoding="utf-8")
            run = ("run", "--model", f"./{words}", "--method", f"./{name}.toml", "--tasks", "./task/task.toml")
            calls = [
                (*run, "--judge", "./judge.toml", "--uncalibrated"),
                ("plan", "--model", words, "--method", f"./{name}.toml"),
            ]
    except OSError:  # no name of a file on this system
        assume(False)
        return
    (room.folder / "out").mkdir()
    room.harmless(*calls)


LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**30), 10**30),
    st.floats(),
    hostile.words,
    st.lists(hostile.words, max_size=2),
    st.dictionaries(hostile.words, hostile.words, max_size=2),
)


def _paths(found: Any, place: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the place of every value in JSON data."""
    inner = found.items() if isinstance(found, dict) else enumerate(found) if isinstance(found, list) else ()
    return [place, *(path for key, one in inner for path in _paths(one, (*place, key)))]


@given(st.data(), hostile.words, hostile.words, hostile.words)
@many(80)
def test_a_result_from_elsewhere_is_read_as_data_or_refused(
    top: Path, data: st.DataObject, model: str, method: str, judge: str
) -> None:
    room = Room(top)
    rows = outcomes(secure=3, insecure=3)
    for row in rows:
        row |= {"cwe": judge, "family": model, "task": method}
    named = {
        "model": model,
        "judge": {"name": judge, "digest": model, "calibration": {}},
        "task_hashes": {method: judge},
    }
    one = result(rows, method=method, **named).model_dump(mode="json")
    base = result(rows, method="none", **named).model_dump(mode="json")
    for place in data.draw(st.lists(st.sampled_from(_paths(one)[1:]), max_size=2)):
        inner = one
        try:
            for key in place[:-1]:
                inner = inner[key]
            inner[place[-1]] = data.draw(LEAVES)
        except (TypeError, KeyError, IndexError):  # the first change took away where the second one goes
            continue
    for folder in ("results", "results/records", "out"):
        (room.folder / folder).mkdir()
    for name, words in (("a", base), ("b", one)):
        (room.folder / "results" / f"{name}.json").write_text(json.dumps(words))
        lines = [
            record(i, row["outcome"]).model_dump(mode="json") for i, row in enumerate(outcomes(secure=3, insecure=3))
        ]
        for line in lines:
            line["code"]["text"] = line["completion"]["text"] = line["prompt"]["text"] = model + method
        write_samples(room.folder / "results" / "records" / f"{name}.jsonl", lines)
    more = [("judge", "label", "results/b.json", "--output", "out/l.jsonl"), ("reproduce", "results/b.json")]
    found = room.harmless(*readers("results/a.json", "results/b.json"), *more)
    if found[4].code == 0:
        assert_pages_hold_no_markup_of_the_data(room, found[4])


DEEP = 100_000
RAW = st.one_of(
    st.binary(max_size=60),
    hostile.texts.map(lambda text: text.encode(errors="surrogatepass")),
    st.sampled_from(
        [
            b"[" * DEEP,
            b"[" * DEEP + b"]" * DEEP,
            b'{"a":' * DEEP + b"1" + b"}" * DEEP,
            b'{"id": ' + b"9" * 5000 + b"}",
            b'{"config": ' + b"[" * 5000 + b"]" * 5000 + b', "schema_version": 2}',
            b"a = " + b"[" * DEEP + b"]" * DEEP,
            b"a = " + b"9" * 5000,
            b"a." * DEEP + b"b = 1",
            b'description = "' + b"\xff\xfe" + b'"',
            b"\xef\xbb\xbf{}",
            b"\xff\xfe\0{",
            b"null",
            b'"' + b"x" * 2**20 + b'"',
            b'{"prompt": NaN, "completion": Infinity}',
            b"PK\x03\x04",
            b"\x80\x04\x95",
            b"\xff" * 8 + b"{}",
        ]
    ),
)
READ = (
    "samples",
    "log",
    "result",
    "trainer",
    "judge",
    "card",
    "task",
    "prompts",
    "pairs",
    "neurons",
    "labels",
    "model",
)


@example(b'{"id": ' + b"9" * 5000 + b"}", "pairs")
@example(b"[" * DEEP, "result")
@example(b"[" * DEEP, "card")
@example(b'{"a": ' + b"[" * 5000 + b"]" * 5000 + b"}", "model")
@example(b"null", "model")
@example(b"[" * DEEP, "prompts")
@example(b"a = " + b"[" * DEEP, "trainer")
@example(b"a = " + b"9" * 5000, "judge")
@example(b"a." * DEEP + b"b = 1", "trainer")
@given(RAW, st.sampled_from(READ))
@many(240)
def test_a_file_of_any_bytes_is_refused_in_words(top: Path, content: bytes, kind: str) -> None:
    room = Room(top)
    run = ("run", "--model", "./none", "--tasks", "./task/task.toml", "--judge", "./judge.toml", "--uncalibrated")
    calibrate = ("judge", "calibrate", "--judge", "./judge.toml", "--only-labels", "--output", "out/judge")
    (room.folder / "judge").mkdir()
    (room.folder / "none").mkdir()
    write_samples(room.folder / "s.jsonl", [{"prompt_id": "p0", "completion": "x"}])
    name, *calls = {
        "samples": ("x.jsonl", score("x.jsonl"), score("x.jsonl", "--format", "lm-eval")),
        "log": ("x.json", score("x.json"), score("x.json", "--format", "inspect")),
        "result": (
            "x.json",
            ("leaderboard", "x.json"),
            ("report", "x.json"),
            ("check", "x.json", "--baseline", "x.json"),
        ),
        "trainer": ("x.toml", (*run, "--method", "./x.toml"), ("plan", "--model", "qwen3-8b", "--method", "./x.toml")),
        "judge": ("x.toml", score("s.jsonl", judge="./x.toml")),
        "card": ("judge/card.json", score("s.jsonl")),
        "task": ("task/task.toml", score("s.jsonl")),
        "prompts": ("task/prompts.jsonl", score("s.jsonl")),
        "pairs": ("task/pairs.jsonl", score("s.jsonl")),
        "neurons": ("x.safetensors", ("neurons", "show", "x.safetensors")),
        "labels": (
            "x.jsonl",
            ("judge", "label", "x.jsonl"),
            (*calibrate, "--labels", "x.jsonl"),
        ),
        "model": ("none/config.json", run, ("plan", "--model", "./none")),
    }[kind]
    (room.folder / name).write_bytes(content)
    for said in room.harmless(*calls):
        assert said.code == 2 or kind in {"samples", "prompts", "pairs"}, said
