import json
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib.metadata import distributions
from pathlib import Path

import pytest

from goodvibe_bench import doctor, request
from goodvibe_bench.errors import UsageError
from goodvibe_bench.judge.tools import TOOLS
from goodvibe_bench.model import cpu
from goodvibe_bench.run import versions
from tests.conftest import Call

PROXIES = ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")


class _Hub(BaseHTTPRequestHandler):
    def do_HEAD(self) -> None:
        self.send_response(503 if self.path == "/broken" else 200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a hub on this machine."""
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
    with HTTPServer(("127.0.0.1", 0), _Hub) as server:
        answering = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        answering.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        answering.join()


@pytest.fixture
def deaf(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An address that takes a connection and never says a word."""
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> list[doctor.Fact]:
    return doctor.facts(tmp_path_factory.mktemp("empty") / "none")


def _of(found: list[doctor.Fact], group: str) -> dict[str, doctor.Fact]:
    return {fact.name: fact for fact in found if fact.group == group}


def test_every_version_that_a_result_names_is_told(found: list[doctor.Fact]) -> None:
    told = {name: fact.text for name, fact in _of(found, "Installed").items()}
    assert versions().items() <= told.items()


def _versions(name: str) -> list[str]:
    """What is installed under this name, or a build of it for CPUs."""
    return [one.version for one in distributions() if one.name.replace("_", "-") in {name, f"{name}-cpu"}]


def test_an_extra_is_there_with_its_version_or_missing_with_its_install_line(found: list[doctor.Fact]) -> None:
    extras = _of(found, "Extras")
    assert list(extras) == list(doctor.EXTRAS)
    assert {fact.state for fact in extras.values()} <= {"ok", "missing"}
    for name, fact in extras.items():
        assert fact.text.startswith("pip install") if fact.state == "missing" else fact.text in _versions(name)


def test_an_install_line_has_the_versions_that_the_package_wants() -> None:
    assert doctor.install_line("trl").startswith("pip install 'trl>=")
    assert doctor.install_line("inspect-ai").startswith("pip install 'inspect-ai>=")
    assert doctor.install_line("tree") == "pip install tree", "tree-sitter is another package"


def test_every_analyser_is_told_with_its_install_line_where_it_is_missing(found: list[doctor.Fact]) -> None:
    told = _of(found, "Analysers")
    assert [name.partition(" ")[0] for name in told] == list(TOOLS)
    for (_, fact), tool in zip(told.items(), TOOLS.values(), strict=True):
        assert fact.state == "ok" or fact.text == tool.install


def test_the_default_backend_is_the_one_of_a_run(found: list[doctor.Fact]) -> None:
    (fact,) = _of(found, "Backend").values()
    assert fact.text.startswith(f"{request.Request.model_fields['backend'].default} ")


def test_cores_memory_and_disk_are_told(found: list[doctor.Fact]) -> None:
    assert {"CPU", "bf16 on the CPU"} <= set(_of(found, "Devices"))
    assert list(_of(found, "Memory")) == ["total", "available"]
    assert list(_of(found, "Disk")) == ["free", *doctor.PARTS]


@pytest.mark.parametrize(
    ("line", "flag"),
    [
        ("flags\t\t: fpu avx512_bf16 amx_bf16", "amx_bf16"),
        ("Features\t: fp asimd bf16", "bf16"),
        ("model: flags", None),
    ],
)
def test_the_features_of_a_processor_are_read_from_linux(tmp_path: Path, line: str, flag: str | None) -> None:
    (tmp_path / "cpuinfo").write_text(f"processor\t: 0\n{line}\n")
    known = cpu.features(tmp_path / "cpuinfo")
    assert flag in known if flag else known == frozenset()


def test_where_no_features_are_told_there_are_none(tmp_path: Path) -> None:
    assert cpu.features(tmp_path / "none") == frozenset()


def test_the_scratch_folders_parts_have_their_sizes_and_no_folder_is_made(tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    assert [fact.text for fact in doctor.disk(scratch)][1:] == ["nothing yet"] * 4
    assert not scratch.exists()
    (scratch / "models" / "one").mkdir(parents=True)
    (scratch / "models" / "one" / "weights").write_bytes(b"0" * 2**20)
    (scratch / "models" / "two").symlink_to(tmp_path)
    assert doctor.size(scratch / "models" / "one") == 2**20
    assert next(fact.text for fact in doctor.disk(scratch) if fact.name == "models") == "1.0 MiB"


def test_a_scratch_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="is a file"):
        list(doctor.disk(tmp_path / "file"))


def test_published_data_is_found_where_the_variable_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = "cybernative/secure_programming_dpo.json"
    monkeypatch.setenv("GOODVIBE_BENCH_DATA", str(tmp_path))
    assert {fact.name: fact.state for fact in doctor.data()}[name] == "missing"
    (tmp_path / name).parent.mkdir()
    (tmp_path / name).write_text("[]")
    assert {fact.name: fact.state for fact in doctor.data()}[name] == "ok"


def test_a_data_variable_that_names_no_folder_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOODVIBE_BENCH_DATA", str(tmp_path / "none"))
    assert next(doctor.data()).state == "warning"


def test_a_hub_that_answers_is_ok(hub: str) -> None:
    assert doctor.hub(hub) == doctor.Fact(group="Services", state="ok", name="model hub", text="127.0.0.1 answers")


def test_a_hub_that_answers_with_an_error_is_a_warning_with_its_status(hub: str) -> None:
    fact = doctor.hub(f"{hub}/broken")
    assert fact.state == "warning"
    assert "status 503" in fact.text


@pytest.mark.parametrize(
    "address", ["http://127.0.0.1:9", "http://[", "file:///etc/passwd", "", "http://a b", "http://x:y"]
)
def test_an_address_that_is_no_hub_is_a_warning_and_raises_nothing(
    monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
    assert doctor.hub(address).state == "warning"


@pytest.mark.parametrize(("seconds", "in_all"), [(0.2, 4.0), (2.0, 0.2)])
def test_a_hub_that_says_nothing_is_not_waited_for(deaf: str, seconds: float, in_all: float) -> None:
    started = time.monotonic()
    assert doctor.hub(deaf, seconds, in_all).state == "warning"
    assert time.monotonic() - started < 1.5


def test_the_hub_is_waited_for_less_than_five_seconds() -> None:
    assert doctor.HUB_SECONDS < doctor.HUB_SECONDS_IN_ALL < 5


def test_a_password_in_the_hubs_address_is_told_to_nobody(deaf: str) -> None:
    assert "hunter2" not in doctor.hub(deaf.replace("//", "//me:hunter2@"), 0.2).text


def test_the_value_of_a_key_is_told_to_nobody(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    for key in doctor.KEYS:
        monkeypatch.setenv(key, "hunter2")
    code, out, err = call("doctor")
    assert code == 0
    assert "hunter2" not in out + err
    assert all(f"ok       {key}: set" in out.splitlines() for key in doctor.KEYS)


def test_every_line_is_a_heading_or_begins_with_its_state_and_offline_mode_is_told(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    code, out, err = call("doctor", "--scratch", "elsewhere")
    assert (code, err) == (0, "")
    groups = out.rstrip("\n").split("\n\n")
    assert [group.splitlines()[0] for group in groups] == [
        *("Installed", "Extras", "Devices", "Memory", "Disk", "Analysers", "Data and models", "Services", "Backend")
    ]
    for group in groups:
        lines = group.splitlines()[1:]
        assert lines
        assert {line.split()[0] for line in lines} <= {"ok", "missing", "warning"}
    assert "HF_HUB_OFFLINE is set" in out
    assert "elsewhere" in out


def test_as_json_every_fact_has_the_same_four_keys(call: Call) -> None:
    code, out, _ = call("doctor", "--json")
    rows = json.loads(out)
    assert code == 0
    assert {tuple(row) for row in rows} == {("group", "state", "name", "text")}


def test_doctor_with_a_wrong_option_is_exit_code_2(call: Call) -> None:
    assert call("doctor", "--jsn")[0] == 2
