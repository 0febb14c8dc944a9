import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from huggingface_hub import ModelCard

from goodvibe_bench.errors import UsageError
from goodvibe_bench.progress import Show
from goodvibe_bench.publishing import check, write_card
from goodvibe_bench.request import Request
from goodvibe_bench.run import run, train_only
from goodvibe_bench.trainer import reporting
from goodvibe_bench.types import Record
from tests.short import short_request

TOKEN = "hf_very_secret_0123456789"
PUSH = "import sys; from pathlib import Path; from goodvibe_bench.publishing import push; print(push(Path(sys.argv[1]), 'me/tuned'))"


class Hub(ThreadingHTTPServer):
    """A model hub on loopback that takes every file in the commit itself, and keeps what it was sent."""

    daemon_threads = True

    def __init__(self, status: int = 200) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.status = status
        self.files: set[str] = set()
        self.bodies: list[bytes] = []
        self.tokens: set[str | None] = set()


class _Handler(BaseHTTPRequestHandler):
    server: Hub

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.bodies.append(body)
        self.server.tokens.add(self.headers.get("Authorization"))
        place = f"http://127.0.0.1:{self.server.server_address[1]}/me/tuned"
        reply: dict[str, object] = {"url": place, "name": "me/tuned", "id": "me/tuned"}
        if "/preupload/" in self.path:
            names = [file["path"] for file in json.loads(body)["files"]]
            reply = {"files": [{"path": name, "uploadMode": "regular", "shouldIgnore": False} for name in names]}
        elif "/commit/" in self.path:
            rows = [json.loads(line) for line in body.splitlines()]
            self.server.files |= {row["value"]["path"] for row in rows if row["key"] == "file"}
            reply = {"commitUrl": f"{place}/commit/{'1' * 40}", "commitOid": "1" * 40, "pullRequestUrl": None}
        self._answer(reply)

    def do_GET(self) -> None:
        self._answer({"id": "me/tuned", "sha": "1" * 40, "siblings": [], "name": "me"})

    def _answer(self, reply: dict[str, object]) -> None:
        text = json.dumps(reply).encode()
        self.send_response(self.server.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def hub(request: pytest.FixtureRequest) -> Iterator[Hub]:
    with Hub(getattr(request, "param", 200)) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def request_(tmp_path: Path) -> Request:
    return short_request(tmp_path, {})


def _push(folder: Path, hub: Hub) -> subprocess.CompletedProcess[str]:
    place = f"http://127.0.0.1:{hub.server_address[1]}"
    words = {**os.environ, "HF_ENDPOINT": place, "HF_TOKEN": TOKEN, "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_XET": "1"}
    return subprocess.run(
        [sys.executable, "-c", PUSH, str(folder)], capture_output=True, text=True, env=words, timeout=120
    )


def test_a_trained_model_has_a_card_and_with_a_result_the_card_has_its_figures(request_: Request):
    (trained,) = train_only(request_, Show(quiet=True))
    folder = Path(trained.name)
    assert ModelCard.load(folder / "README.md").data.eval_results is None
    ((result, _),) = run(request_, Show(quiet=True))
    card = ModelCard.load(folder / "README.md")
    assert card.data.library_name == "transformers"
    figures = {(one.dataset_name, one.metric_type): one.metric_value for one in card.data.eval_results or ()}
    assert figures["goodvibe-bench cpp", "secure_rate"] == 100 * result.results["cpp"]["secure_rate,none"]
    assert "Loss on fixed texts" in card.text


def test_a_trained_folder_is_evaluated_again_to_the_same_samples(request_: Request, tmp_path: Path):
    (trained,) = train_only(request_, Show(quiet=True))
    ((first, path),) = run(request_, Show(quiet=True))
    elsewhere = {
        "model": trained.name,
        "methods": ("none",),
        "scratch": tmp_path / "other",
        "output": tmp_path / "more",
    }
    ((second, other),) = run(request_.model_copy(update=elsewhere), Show(quiet=True))
    assert second.model.digest == first.model.digest
    assert second.outcomes == first.outcomes
    texts = [
        [Record.model_validate_json(line).completion.text for line in lines.splitlines()]
        for lines in ((one.parent / "records" / f"{one.stem}.jsonl").read_text() for one in (path, other))
    ]
    assert texts[0] == texts[1]
    assert len(texts[0]) == 3


def test_a_push_uploads_the_whole_folder_and_never_the_token(request_: Request, hub: Hub):
    (trained,) = train_only(request_, Show(quiet=True))
    done = _push(Path(trained.name), hub)
    assert done.returncode == 0, done.stderr
    assert {"README.md", "config.json", "model.safetensors", "tokenizer.json", "goodvibe.json"} <= hub.files
    assert hub.tokens == {f"Bearer {TOKEN}"}
    assert not any(TOKEN.encode() in body for body in hub.bodies)
    assert TOKEN not in done.stdout + done.stderr


@pytest.mark.parametrize("hub", [403], indirect=True)
def test_a_hub_that_refuses_is_one_message_that_says_where_the_model_lies(hub: Hub, tmp_path: Path):
    (tmp_path / "config.json").write_text("{}")
    done = _push(tmp_path, hub)
    assert "UsageError" in done.stderr
    assert "status 403" in done.stderr.splitlines()[-1]
    assert str(tmp_path) in done.stderr.splitlines()[-1]
    assert TOKEN not in done.stderr


def test_a_push_without_a_token_or_with_several_models_is_refused(request_: Request, monkeypatch: pytest.MonkeyPatch):
    asked = request_.model_copy(update={"push": "me/tuned"})
    monkeypatch.delenv("HF_TOKEN", raising=False)
    with pytest.raises(UsageError, match=r"\$HF_TOKEN"):
        check(asked, 1)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    check(asked, 1)
    with pytest.raises(UsageError, match="one trained model"):
        check(asked, 2)


def test_names_on_a_card_are_no_markup(request_: Request, tmp_path: Path):
    (trained,) = train_only(request_, Show(quiet=True))
    assert trained.report
    base = trained.noun.model_copy(update={"id": "<b>|x\n# y"})
    write_card(tmp_path, base, "[a](b)", trained.report)
    text = ModelCard.load(tmp_path / "README.md").text
    assert "\\<b\\>\\|x\ufffd\\# y" in text
    assert r"\[a\](b)" in text


def test_a_missing_tracker_is_refused_with_its_install_line_before_anything_is_trained(request_: Request):
    with pytest.raises(UsageError, match="pip install no_such_tracker"):
        reporting.check("no_such_tracker")
    reporting.check(None)
