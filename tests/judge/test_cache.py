import math
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from goodvibe_bench.errors import UsageError
from goodvibe_bench.judge.cache import AT_ONCE, Cached, cached, digest_scoring, digest_text


class Asked:
    """A scorer that remembers what it was asked; p_unsafe is 1 / (1 + length)."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def __call__(self, texts: Sequence[str]) -> list[float]:
        self.texts += texts
        return [1 / (1 + len(text)) for text in texts]


def test_a_code_is_asked_about_once_also_by_the_next_process(tmp_path: Path):
    asked = Asked()
    first = cached(asked, tmp_path / "verdicts", "d")
    assert first(["a", "bb", "a"]) == [1 / 2, 1 / 3, 1 / 2]
    assert first(["bb", "ccc"]) == [1 / 3, 1 / 4]
    assert asked.texts == ["a", "bb", "ccc"]
    again = Asked()
    assert cached(again, tmp_path / "verdicts", "d")(["ccc", "a"]) == [1 / 4, 1 / 2]
    assert again.texts == []


def test_another_digest_shares_nothing(tmp_path: Path):
    cached(Asked(), tmp_path, "one")(["a"])
    asked = Asked()
    cached(asked, tmp_path, "two")(["a"])
    assert asked.texts == ["a"]


def test_scores_come_back_bit_for_bit(tmp_path: Path):
    p_unsafe = math.nextafter(0.1, 1)
    cached(lambda texts: [p_unsafe], tmp_path, "d")(["a"])
    assert cached(Asked(), tmp_path, "d")(["a"]) == [p_unsafe]


@pytest.mark.parametrize("torn", [b'{"code": "ab', b"\x00\x00\x00", b"{}"])
def test_a_torn_last_line_is_dropped_and_cut_off(tmp_path: Path, torn: bytes):
    cached(Asked(), tmp_path, "d")(["a"])
    path = tmp_path / "d.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole + torn)
    asked = Asked()
    assert cached(asked, tmp_path, "d")(["a", "bb"]) == [1 / 2, 1 / 3]
    assert asked.texts == ["bb"]
    assert path.read_bytes().startswith(whole)
    assert len(path.read_bytes().splitlines()) == 2
    assert torn not in path.read_bytes()[len(whole) - 1 :] or torn == b"{}"


@pytest.mark.parametrize("line", ['{"code": "x", "p_unsafe": 7}', "not json", "", '{"code": "x", "p_unsafe": null}'])
def test_a_line_that_is_no_score_is_as_if_it_were_not_there(tmp_path: Path, line: str):
    path = tmp_path / "d.jsonl"
    path.write_text(line.replace('"x"', f'"{digest_text("a")}"') + "\n")
    assert cached(Asked(), tmp_path, "d")(["a"]) == [1 / 2]


def test_a_score_that_is_not_finite_is_asked_for_again(tmp_path: Path):
    assert math.isnan(cached(lambda texts: [math.nan], tmp_path, "d")(["a"])[0])
    assert cached(Asked(), tmp_path, "d")(["a"]) == [1 / 2]


def test_what_a_killed_run_had_scored_is_kept(tmp_path: Path):
    early, late = [f"a{i}" for i in range(AT_ONCE)], ["e"]

    def dies(texts: Sequence[str]) -> list[float]:
        if "e" in texts:
            raise KeyboardInterrupt
        return [0.5 for _ in texts]

    with pytest.raises(KeyboardInterrupt):
        cached(dies, tmp_path, "d")(early + late)
    asked = Asked()
    cached(asked, tmp_path, "d")(early + late)
    assert asked.texts == late


def test_a_second_user_of_the_file_sees_what_the_first_adds(tmp_path: Path):
    asked = Asked()
    one, two = cached(Asked(), tmp_path, "d"), cached(asked, tmp_path, "d")
    two(["a"])
    one(["a", "bb"])
    assert two(["bb"]) == [1 / 3]
    assert asked.texts == ["a"]


def test_two_processes_at_once_lose_and_tear_nothing(tmp_path: Path):
    code = (
        "import sys; from pathlib import Path; from goodvibe_bench.judge.cache import cached\n"
        "keep = cached(lambda texts: [0.5 for _ in texts], Path(sys.argv[1]), 'd')\n"
        "for i in range(60): keep([f'{sys.argv[2]}{i}', f'both{i}'])\n"
    )
    running = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path), name]) for name in ("a", "b")]
    assert [process.wait(timeout=120) for process in running] == [0, 0]
    asked = Asked()
    everything = [f"{name}{i}" for name in ("a", "b", "both") for i in range(60)]
    assert cached(asked, tmp_path, "d")(everything) == [0.5] * 180
    assert asked.texts == []


def test_any_text_has_a_digest_of_its_own():
    hostile = ["", "\x00", "\ud800", "?", "\ufffd", "x" * 1_000_000]
    assert len({digest_text(text) for text in hostile}) == len(hostile)


def test_the_digest_covers_definition_weights_and_device():
    one = digest_scoring("def", ["weights", None, "bfloat16"], "cpu")
    assert one == digest_scoring("def", ["weights", None, "bfloat16"], "cpu")
    others = [("fed", ["weights", None, "bfloat16"], "cpu"), ("def", ["w", None, "bfloat16"], "cpu")]
    others += [("def", ["weights", None, "float32"], "cpu"), ("def", ["weights", None, "bfloat16"], "cuda")]
    assert len({one, *(digest_scoring(*words) for words in others)}) == 5


def test_a_folder_that_cannot_be_made_is_the_users_fault(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="another folder"):
        cached(Asked(), tmp_path / "file" / "verdicts", "d")


def test_a_cache_whose_file_went_away_goes_on(tmp_path: Path):
    asked = Asked()
    keep = Cached(asked, tmp_path / "d.jsonl")
    assert keep(["a"]) == [1 / 2]
    (tmp_path / "d.jsonl").unlink()
    assert keep(["a", "bb"]) == [1 / 2, 1 / 3]
    assert asked.texts == ["a", "bb"]


@pytest.mark.parametrize("name", ["model.py", "served.py", "decide.py", "bare.py", "verdict.py", "chat.py", "load.py"])
def test_scores_are_of_the_source_that_makes_them(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    before = digest_scoring("d", ["w"], "cpu")
    real = Path.read_text
    monkeypatch.setattr(Path, "read_text", lambda path, **how: real(path, **how) + "#" * (path.name == name))
    assert digest_scoring("d", ["w"], "cpu") != before
