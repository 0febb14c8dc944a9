from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from goodvibe_bench.errors import UsageError
from goodvibe_bench.judge import linear, signals
from goodvibe_bench.types import Code, Labelled, Outcome

FILE = """
language = "cpp"

[[signal]]
id = "copy"
says = "insecure"
match = '\\bstrcpy\\s*\\('
unless = '\\bstrlen\\s*\\('
strength = 2.0
cwe = "CWE-120"
note = "copies until a NUL"

[[signal]]
id = "md5"
says = "insecure"
view = "text"
match = '"MD5"'
cwe = "CWE-327"
note = "broken hash"

[[signal]]
id = "bounded"
says = "secure"
match = '\\bsnprintf\\s*\\('
cwe = "CWE-120"
note = "knows the room"
"""


@pytest.fixture
def known(tmp_path: Path) -> signals.Signals:
    (tmp_path / "cpp.toml").write_text(FILE)
    return signals.read(tmp_path)


def _found(known: signals.Signals, text: str) -> list[str]:
    return [signal.id for signal in known.found(text, "cpp")]


def test_comments_and_strings_are_no_code(known: signals.Signals):
    assert _found(known, "strcpy(a, b);") == ["copy"]
    assert _found(known, "// strcpy(a, b);\n/* strcpy(c, d) */ int x;") == []
    assert _found(known, 'puts("strcpy(a, b);");') == []
    assert _found(known, 'R"x(strcpy(a, b);)x"; // done') == []


def test_the_text_view_keeps_strings(known: signals.Signals):
    assert _found(known, 'digest("MD5");') == ["md5"]
    assert _found(known, '// digest("MD5");') == []


def test_a_remedy_silences_a_signal(known: signals.Signals):
    assert _found(known, "if (strlen(b) < n) strcpy(a, b);") == []


def test_other_languages_have_other_signals(known: signals.Signals):
    assert known.found("strcpy(a, b);", "go") == []


def test_learning_moves_weights_from_their_strengths_and_never_over_zero(known: signals.Signals):
    def rows(code: str, label: int, count: int) -> list[Labelled]:
        name = f"{code}{label}"
        return [
            Labelled(id=f"{name}{i}", code=code, language="cpp", label=label, family=f"{name}{i}") for i in range(count)
        ]  # type: ignore[arg-type]

    data = rows("strcpy(a, b);", 0, 40) + rows("x();", 1, 40) + rows("snprintf(a);", 0, 40) + rows("y();", 1, 40)
    copy, md5, bounded, *_ = signals.fit(known, data)
    assert 0 <= copy < 0.1, "data that speaks against a signal takes its weight, not its sign"
    assert md5 == pytest.approx(1.0, abs=1e-3), "a signal that was never seen keeps its strength"
    assert bounded < -1
    held = signals.fit(known, data, pull=1e6)
    assert held[:3] == pytest.approx(known.unfitted[:3], abs=1e-3)


def test_a_judge_is_more_than_half_sure_where_a_signal_speaks(known: signals.Signals, tmp_path: Path):
    signals.save(known.unfitted, tmp_path)
    judge = signals.SignalsJudge("signals", known, signals.load(tmp_path, known))
    texts = ["strcpy(a, b);", "snprintf(a, n, b);"]
    codes = [Code(text=text, language="cpp", how_extracted="given", parses=True) for text in texts]
    assert [verdict.outcome for verdict in judge.judge(codes)] == [Outcome.INSECURE, Outcome.SECURE]
    steep = (np.logaddexp(0, 2 - 1) - np.logaddexp(0, -1)) / (1 / (1 + np.exp(1)))
    assert judge.judge(codes)[0].p_unsafe == pytest.approx(1 / (1 + np.exp(-steep)))


def test_a_check_against_one_kind_of_weakness_makes_no_other_good(known: signals.Signals):
    judge = signals.SignalsJudge("signals", known, known.unfitted)
    md5, copy, both, checked = judge.probabilities(
        ['digest("MD5");', "strcpy(a, b);", "strcpy(a, b); snprintf(a, n, b);", 'digest("MD5"); snprintf(a, n, b);'],
        ["cpp"] * 4,
    )
    lost = [np.log(a / (1 - a)) - np.log(b / (1 - b)) for a, b in ((copy, both), (md5, checked))]
    assert lost[0] > 2 * lost[1] > 0, "snprintf is against CWE-120, as strcpy is for it"
    assert lost[1] < 0.7, "and against another weakness it counts no more than by itself"


def test_the_slope_is_that_of_the_scores(known: signals.Signals):
    found = known.evidence(["strcpy(a, b); snprintf(a, n, b);", 'digest("MD5"); strcpy(a, b);', "x"], ["cpp"] * 3)
    weights, outer = known.unfitted.astype(float) + 0.1, np.array([0.3, -0.7, 0.2])
    steps = 1e-6 * np.eye(len(weights))
    measured = [(found.scores(weights + step) - found.scores(weights - step)) @ outer / 2e-6 for step in steps]
    assert found.slope(weights, outer) == pytest.approx(measured, abs=1e-6)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\x00" * 10,
        "\ud800",
        '"' * 5000,
        "/*" * 5000,
        "'" * 100_000,
        "strcpy(" * 100_000,
        'R"(' * 60_000,
        '#"' * 90_000,
        '"' + '\\"' * 90_000,
        '#"""' * 50_000,
    ],
)
def test_hostile_text_is_read_in_no_time(known: signals.Signals, text: str):
    assert len(known.found(text, "cpp")) <= 1


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        ('language = "cpp"\n[[signal]]\nid = "a"\nsays = "insecure"\nmatch = "(?=x)"\ncwe = "C"\nnote = "n"', "RE2"),
        ('language = "cpp"\nsignal = 3', "signal"),
        ("language = ", "TOML"),
        (FILE + FILE.replace('\nlanguage = "cpp"\n', ""), "twice"),
    ],
)
def test_a_faulty_file_is_refused_with_its_fault(tmp_path: Path, words: str, fault: str):
    (tmp_path / "cpp.toml").write_text(words)
    with pytest.raises(UsageError, match=fault):
        signals.read(tmp_path)


def test_a_language_may_have_several_files_and_an_id_once(tmp_path: Path):
    (tmp_path / "cpp-copies.toml").write_text(FILE)
    (tmp_path / "cpp-more.toml").write_text(FILE.replace('id = "', 'id = "other-'))
    both = signals.read(tmp_path)
    assert _found(both, "strcpy(a, b);") == ["copy", "other-copy"]
    assert len(both.places) == 6
    (tmp_path / "cpp-third.toml").write_text(FILE)
    with pytest.raises(UsageError, match=r"cpp-third.toml: these ids are there twice: bounded, copy, md5"):
        signals.read(tmp_path)


def test_weights_of_other_signals_are_refused(known: signals.Signals, tmp_path: Path):
    signals.save(known.unfitted[1:], tmp_path)
    with pytest.raises(UsageError, match="other signals"):
        signals.load(tmp_path, known)


@pytest.mark.parametrize("words", [b"", b"\x00" * 100, b'{"weights": 1}', b"\x02\x00\x00\x00\x00\x00\x00\x00{}"])
def test_damaged_weights_are_refused_with_the_way_out(known: signals.Signals, tmp_path: Path, words: bytes):
    for name in ("signals", "linear"):
        (tmp_path / f"{name}.safetensors").write_bytes(words)
    with pytest.raises(UsageError, match="judge fit"):
        signals.load(tmp_path, known)
    with pytest.raises(UsageError, match="judge fit"):
        linear.load(tmp_path)


@pytest.mark.parametrize(
    "tensors",
    [
        {"other": np.zeros(9)},
        {"weights": np.zeros((3, 3)), "coefficients": np.zeros(9), "intercept": np.zeros(())},
        {"weights": np.zeros(9, dtype=int), "coefficients": np.zeros(0), "intercept": np.zeros(1)},
        {"weights": np.zeros(9), "more": np.zeros(9)},
    ],
)
def test_other_tensors_are_refused_with_the_way_out(known: signals.Signals, tmp_path: Path, tensors: dict[str, Any]):
    for name in ("signals", "linear"):
        save_file(tensors, tmp_path / f"{name}.safetensors")
    with pytest.raises(UsageError, match=r"does not hold what it should.*judge fit"):
        signals.load(tmp_path, known)
    with pytest.raises(UsageError, match=r"does not hold what it should.*judge fit"):
        linear.load(tmp_path)
