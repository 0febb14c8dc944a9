import base64
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from goodvibe_bench.errors import UsageError
from goodvibe_bench.generator.openai import MAX_RETRIES, OpenAIGenerator
from goodvibe_bench.generator.sampling import Sampling
from goodvibe_bench.generator.server import Server
from goodvibe_bench.result.store import read_lines, read_result
from goodvibe_bench.types import Completion, Prompt, Record
from tests.conftest import Call

KEY = "sk-very-secret-0123456789"
PROMPTS = [Prompt(id=f"p{i}", language="cpp", text=f"Write loop {i}.") for i in range(6)]
JUDGE = 'description = "x"\n[judge]\nkind = "scripted"\nunsafe_words = ["strcpy"]\n'
CODE = "```cpp\nint twice(int n) { return 2 * n; }\n```"


class Reply:
    """What the server answers: a status, a body, and headers; or nothing at all."""

    def __init__(self, body: Any, status: int = 200, *, seconds: float = 0, promised: int = 0, **headers: str) -> None:
        self.body = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.status, self.seconds, self.promised = status, seconds, promised
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


def said(text: str | None = CODE, finish: str | None = "stop", **more: Any) -> Reply:
    choice = {"index": 0, "message": {"role": "assistant", "content": text, **more}, "finish_reason": finish}
    return Reply({"id": "x", "object": "chat.completion", "choices": [choice], "usage": {"completion_tokens": 7}})


def refused(status: int, message: str = "no", **words: Any) -> Reply:
    return Reply({"error": {"message": message, **words}}, status, retry_after_ms="1")


class Fake(ThreadingHTTPServer):
    """A server on loopback that answers its n-th request with `script(n, request)`."""

    daemon_threads = True

    def __init__(self, script: Callable[[int, dict[str, Any]], Reply]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.script, self.lock = script, threading.Lock()
        self.asked: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.paths: list[str] = []
        self.busy = self.most_busy = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing where a client has gone."""


class _Handler(BaseHTTPRequestHandler):
    server: Fake

    def do_POST(self) -> None:
        fake = self.server
        words = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with fake.lock:
            fake.asked.append(words)
            fake.headers.append({name.lower(): value for name, value in self.headers.items()})
            fake.paths.append(self.path)
            fake.busy += 1
            fake.most_busy = max(fake.busy, fake.most_busy)
            number = len(fake.asked)
        reply = fake.script(number, words)
        time.sleep(reply.seconds)
        with fake.lock:
            fake.busy -= 1
        self.send_response(reply.status)
        for name, value in {"Content-Type": "application/json", **reply.headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(reply.body) + reply.promised))
        self.end_headers()
        self.wfile.write(reply.body)

    def log_message(self, *words: Any) -> None:
        pass


Serve = Callable[[Callable[[int, dict[str, Any]], Reply]], Fake]


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    """Start servers that are stopped afterwards; the key is set."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    started: list[tuple[Fake, threading.Thread]] = []

    def start(script: Callable[[int, dict[str, Any]], Reply]) -> Fake:
        fake = Fake(script)
        thread = threading.Thread(target=fake.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        started.append((fake, thread))
        return fake

    yield start
    for fake, thread in started:
        fake.shutdown()
        thread.join()
        fake.server_close()


def ask(fake: Fake, prompts: list[Prompt] = PROMPTS[:1], *, url: str | None = None, **words: Any) -> list[Completion]:
    of_server = {key: words.pop(key) for key in ("concurrency", "timeout_seconds") if key in words}
    server = Server(base_url=url or fake.url, **of_server)
    return list(OpenAIGenerator(server, "served", Sampling(**words)).generate(prompts))


def test_the_request_carries_the_sampling(serve: Serve):
    fake = serve(lambda number, words: said())
    (found,) = ask(fake, temperature=0.5, top_p=0.9, max_new_tokens=33, system="Be brief.")
    assert (found.prompt_id, found.text, found.stop, found.tokens, found.error) == ("p0", CODE, "end", 7, None)
    (words,) = fake.asked
    assert 0 <= words.pop("seed") < 2**31
    assert words == {
        "model": "served",
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Write loop 0."}],
        "max_tokens": 33,
        "temperature": 0.5,
        "top_p": 0.9,
    }
    assert fake.paths == ["/v1/chat/completions"]
    assert fake.headers[0]["authorization"] == f"Bearer {KEY}"


def test_every_attempt_is_asked_once_with_a_seed_of_its_own_and_those_kept_are_not(serve: Serve):
    fake = serve(lambda number, words: said())
    generator = OpenAIGenerator(Server(base_url=fake.url), "served", Sampling(attempts=3), {("p0", 1), ("p1", 0)})
    found = {(one.prompt_id, one.attempt) for one in generator.generate(PROMPTS[:2])}
    assert found == {("p0", 0), ("p0", 2), ("p1", 1), ("p1", 2)}
    assert len({words["seed"] for words in fake.asked}) == len(fake.asked) == 4


def test_without_a_key_a_placeholder_is_sent(serve: Serve, monkeypatch: pytest.MonkeyPatch):
    fake = serve(lambda number, words: said())
    monkeypatch.delenv("OPENAI_API_KEY")
    assert ask(fake)[0].stop == "end"
    assert fake.headers[0]["authorization"] == "Bearer none"


@pytest.mark.parametrize(
    ("finish", "stop"), [("stop", "end"), ("length", "length"), ("content_filter", "end"), (None, "end")]
)
def test_stop_reasons_are_mapped(serve: Serve, finish: str | None, stop: str):
    assert ask(serve(lambda number, words: said(finish=finish)))[0].stop == stop


def test_an_answer_that_the_server_gave_up_on_failed(serve: Serve):
    (found,) = ask(serve(lambda number, words: said(finish="abort")))
    assert (found.stop, found.text, found.error) == ("error", "", "the server gave up on it")


def test_a_null_content_is_an_empty_answer_and_a_refusal_is_its_text(serve: Serve):
    fake = serve(lambda number, words: said(None) if number == 1 else said(None, refusal="I cannot."))
    found = ask(fake, PROMPTS[:2])
    assert [(one.text, one.stop) for one in found] == [("", "end"), ("I cannot.", "end")]


def test_a_rate_limit_is_waited_out(serve: Serve):
    busy = Reply({"error": {"message": "slow down"}}, 429, Retry_After="0")
    fake = serve(lambda number, words: busy if number == 2 else said())
    found = ask(fake, PROMPTS[:2])
    assert [one.stop for one in found] == ["end", "end"]
    assert len(fake.asked) == 3


def test_a_server_that_only_fails_is_asked_so_often_and_no_more(serve: Serve):
    fake = serve(lambda number, words: refused(500))
    (found,) = ask(fake)
    assert (found.stop, found.text, found.tokens, found.error) == ("error", "", 0, "HTTP 500")
    assert len(fake.asked) == 1 + 1 + MAX_RETRIES


@pytest.mark.parametrize(
    "body",
    [
        b'{"choices": [',
        b"<html>welcome</html>",
        b"",
        b"[]",
        b"null",
        b'{"choices": []}',
        b'{"choices": null}',
        b'{"choices": [{"message": {"content": 7}}]}',
        b'{"choices": [{"message": null}]}',
        b'{"choices": [{"message": {"content": "\\ud800"}}]}',
        b"\xff\xfe",
        b"[" * 100_000,
    ],
)
def test_what_is_no_chat_completion_failed(serve: Serve, body: bytes):
    (found,) = ask(serve(lambda number, words: Reply(body)))
    assert (found.stop, found.text, found.error) == ("error", "", "an answer that is no chat completion")


def test_an_answer_without_a_count_of_tokens_is_taken(serve: Serve):
    choice = {"message": {"content": "x"}}
    assert ask(serve(lambda number, words: Reply({"choices": [choice], "usage": "many"})))[0].tokens == 0


def test_a_slow_answer_failed_and_the_others_are_there(serve: Serve):
    fake = serve(lambda number, words: Reply(b"", seconds=0.4) if "loop 1" in str(words["messages"]) else said())
    found = {one.prompt_id: one for one in ask(fake, PROMPTS[:3], timeout_seconds=0.15)}
    assert {id: one.stop for id, one in found.items()} == {"p0": "end", "p1": "error", "p2": "end"}
    assert found["p1"].error == "timeout"


def test_a_connection_closed_midway_is_tried_again(serve: Serve):
    torn = Reply(b'{"choices": [', promised=50)
    fake = serve(lambda number, words: torn if number == 1 else said())
    assert ask(fake)[0].text == CODE
    assert len(fake.asked) == 2


def test_a_huge_answer_comes_whole(serve: Serve):
    text = "int x = 1;\n" * 500_000
    assert ask(serve(lambda number, words: said(text)))[0].text == text


def test_no_more_requests_are_under_way_than_asked_for_and_answers_come_as_they_are_done(serve: Serve):
    def script(number: int, words: dict[str, Any]) -> Reply:
        reply = said()
        reply.seconds = 0.3 if "loop 1" in str(words["messages"]) else 0.02
        return reply

    fake = serve(script)
    found = ask(fake, PROMPTS, concurrency=2)
    assert fake.most_busy == 2
    assert [one.prompt_id for one in found][-1] == "p1"


def test_a_caller_may_stop_early(serve: Serve):
    fake = serve(lambda number, words: said())
    answers = OpenAIGenerator(Server(base_url=fake.url, concurrency=1), "served").generate(PROMPTS)
    assert isinstance(answers, Iterator)
    next(answers)
    answers.close()  # type: ignore[attr-defined]
    assert len(fake.asked) < len(PROMPTS)


@pytest.mark.parametrize(("status", "way_out"), [(401, "OPENAI_API_KEY"), (403, "OPENAI_API_KEY"), (404, "'served'")])
def test_what_the_user_can_mend_is_one_usage_error_at_the_first_request(serve: Serve, status: int, way_out: str):
    fake = serve(lambda number, words: refused(status, f"Incorrect key {KEY}"))
    with pytest.raises(UsageError, match=way_out) as raised:
        ask(fake, PROMPTS)
    assert len(fake.asked) == 1
    assert KEY not in str(raised.value)
    assert raised.value.__context__ is None
    assert raised.value.__cause__ is None


def test_the_same_later_on_stops_nothing(serve: Serve):
    fake = serve(lambda number, words: refused(403, "moderated") if number == 2 else said())
    found = ask(fake, PROMPTS)
    assert sorted(one.error or "" for one in found) == [*[""] * 5, "HTTP 403"]


def test_a_server_that_is_not_there_is_a_usage_error():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://me:hunter2@127.0.0.1:{taken.getsockname()[1]}/v1?token=t0k3n"
        with pytest.raises(UsageError, match="cannot be reached") as raised:
            list(OpenAIGenerator(Server(base_url=url), "served").generate(PROMPTS))
    assert "hunter2" not in str(raised.value)
    assert "t0k3n" not in str(raised.value)


def test_a_parameter_that_the_server_refuses_is_named_and_its_message_is_not_repeated(serve: Serve):
    fake = serve(lambda number, words: refused(400, f"bad {KEY}", param="max_tokens" if number < 3 else KEY))
    assert sorted(str(one.error) for one in ask(fake, PROMPTS[:2], concurrency=1)) == [
        "HTTP 400",
        "HTTP 400 about max_tokens",
    ]


@pytest.mark.parametrize("key", ["sk-\u00e9", "sk-a\nb"])
def test_a_key_that_no_header_can_carry_is_refused_unsaid(serve: Serve, monkeypatch: pytest.MonkeyPatch, key: str):
    fake = serve(lambda number, words: said())
    monkeypatch.setenv("OPENAI_API_KEY", key)
    with pytest.raises(UsageError, match="characters that no key has") as raised:
        ask(fake)
    assert key not in str(raised.value)


def test_user_and_query_of_the_address_are_sent_and_never_written(serve: Serve):
    fake = serve(lambda number, words: said())
    url = fake.url.replace("//", "//me:hunter2@") + "/?api-version=3#top"
    ask(fake, url=url)
    assert fake.paths == ["/v1/chat/completions?api-version=3"]
    assert fake.headers[0]["authorization"] == "Basic " + base64.b64encode(b"me:hunter2").decode()
    server = Server(base_url=url)
    assert server.model_dump()["base_url"] == json.loads(server.model_dump_json())["base_url"] == fake.url
    assert "hunter2" not in repr(server)
    assert server.describe("m") == Server(base_url=fake.url).describe("m") != Server(base_url=fake.url).describe("n")


@pytest.mark.parametrize("url", ["", "localhost:8000", "ftp://x/v1", "http://", "http://x:99999/v1", "http://a b/v1"])
def test_what_is_no_address_is_refused(url: str):
    with pytest.raises(ValueError, match="no address of a server"):
        Server(base_url=url)


def test_the_package_that_is_missing_is_named_with_its_install_line():
    code = "import sys; sys.modules['openai'] = None; import goodvibe_bench.generator.openai"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert 'UsageError: --backend openai needs a package: pip install "goodvibe-bench[openai]"' in done.stderr


def words_for(folder: Path, url: str, *more: str) -> list[str]:
    (folder / "double.toml").write_text(JUDGE)
    words = ["run", "--model", "served/model:7b", "--method", "none", "--backend", "openai", "--base_url", url]
    return [*words, "--tasks", "cpp", "--limit", "4", "--judge", "./double.toml", "--uncalibrated", *more]


def leaks(folder: Path, *texts: str) -> list[str]:
    written = [path.read_bytes().decode(errors="replace") for path in folder.rglob("*") if path.is_file()]
    return [text for text in [*written, *texts] if KEY in text or "hunter2" in text or "t0k3n" in text]


def test_a_run_asks_the_server_judges_and_asks_what_failed_again(serve: Serve, call: Call, tmp_path: Path):
    broken = True

    def script(number: int, words: dict[str, Any]) -> Reply:
        return refused(500, f"key {KEY}") if broken and number > 2 else said()

    fake = serve(script)
    url = fake.url.replace("//", "//me:hunter2@") + "?token=t0k3n"
    code, out, err = call(*words_for(tmp_path, url, "--concurrency", "1", "--timeout", "20"))
    assert code == 0, err
    assert "2 of 4 requests failed and stay unjudged (2 x HTTP 500)" in err
    (path,) = (tmp_path / "results").glob("*.json")
    result = read_result(path)
    assert sorted(row["outcome"] for row in result.outcomes) == ["secure", "secure", "unjudged", "unjudged"]
    assert [row["label"] for row in result.outcomes if row["outcome"] == "unjudged"] == [None, None]
    rates = result.results["all"]
    assert (rates["secure_rate,none"], rates["safe_rate,none"], rates["unjudged_rate,none"]) == (0.5, 0.5, 0.5)
    assert result.config["server"] == {"base_url": fake.url, "concurrency": 1, "timeout_seconds": 20.0}
    assert result.model.id == "served/model:7b"
    assert leaks(tmp_path, out, err) == []
    broken, asked = False, len(fake.asked)
    code, out, err = call(*words_for(tmp_path, url, "--concurrency", "1", "--timeout", "20"))
    assert (code, len(fake.asked) - asked) == (0, 2)
    assert "failed" not in err
    assert {row["outcome"] for row in read_result(path).outcomes} == {"secure"}
    assert len(read_lines(path.parent / "records" / f"{path.stem}.jsonl", Record)) == 4
    assert leaks(tmp_path, out, err) == []


def test_a_refused_key_is_exit_2_and_is_written_nowhere(serve: Serve, call: Call, tmp_path: Path):
    fake = serve(lambda number, words: refused(401, f"Incorrect API key provided: {KEY}"))
    code, out, err = call(*words_for(tmp_path, fake.url))
    assert (code, out) == (2, "")
    assert "refuses the key (HTTP 401). Set $OPENAI_API_KEY" in err
    assert "Traceback" not in err
    assert leaks(tmp_path, out, err) == []


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--method", "none,lora"), "--backend openai has no weights that lora could train. Use --method none"),
        (("--backend", "transformers"), "--base_url is for --backend openai"),
        (("--base_url", "localhost:8000"), "no address of a server"),
        (("--concurrency", "0"), "--concurrency: Input should be greater"),
        (("--timeout", "0"), "--timeout: Input should be greater"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_starts(
    call: Call, tmp_path: Path, more: tuple[str, ...], message: str
):
    code, out, err = call(*words_for(tmp_path, "http://127.0.0.1:9/v1", *more))
    assert (code, out) == (2, "")
    assert message in err
    assert not (tmp_path / "results").exists()


def test_no_server_is_refused(call: Call, tmp_path: Path):
    (tmp_path / "double.toml").write_text(JUDGE)
    code, _, err = call("run", "--model", "m", "--backend", "openai", "--judge", "./double.toml", "--uncalibrated")
    assert code == 2
    assert "--base_url http://localhost:8000/v1" in err
