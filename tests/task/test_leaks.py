import pytest

from goodvibe_bench.task.leaks import Crossing, body, comparisons, crossings
from goodvibe_bench.types import Labelled, Pair, Prompt

SUM = "int sum(const int* values, int count) { int total = 0; while (count--) total += *values++; return total; }"
LOG = "void log_line(std::ostream& out, const std::string& text) { out << std::time(nullptr) << text; }"
SORT = "template <class T> void order(std::vector<T>& rows) { std::stable_sort(rows.begin(), rows.end()); }"
KEY = "bool has_key(const std::map<long, double>& table, long key) { return table.find(key) != table.end(); }"
RING = "class Ring { public: void push(float value); private: float samples[128]; unsigned next = 0; };"
DOOR = "struct Door { bool open = false; }; Door make_door() { Door front; front.open = true; return front; }"


def _pair(id: str, prompt: str, secure: str, insecure: str) -> Pair:
    return Pair(id=id, language="cpp", prompt=prompt, secure=secure, insecure=insecure, source="test")


def _case(code: str) -> Labelled:
    return Labelled(id="c", code=code, language="cpp", label=0, family="c")


def _found(*bodies) -> dict[tuple[str, str], Crossing]:
    return {(crossing.left, crossing.right): crossing for crossing in crossings(bodies, 0.9)}


def test_exact_and_near_twins_are_counted_between_parts_of_one_source() -> None:
    train = body("a", "tuner-train", "cpp", [_pair("1", "Add up numbers in an array", SUM, LOG)])
    near = SORT.replace("rows", "rows") + "\n// once more"
    calibration = body("a", "calibration", "cpp", [_pair("2", "Sort the rows of a table", SORT, KEY)], (), [_case(SUM)])
    held_out = body("a", "held-out", "cpp", [], [Prompt(id="p", language="cpp", text="Sort  the rows of a table")])
    judge = body("a", "judge-train", "cpp", [_pair("3", "Open the garage door", near, DOOR)])
    found = _found(train, calibration, held_out, judge)
    assert (found["a tuner-train", "calibration"].exact, found["a tuner-train", "calibration"].near) == (1, 1)
    assert (found["a calibration", "held-out"].exact, found["a calibration", "held-out"].near) == (1, 1)
    assert (found["a calibration", "judge-train"].exact, found["a calibration", "judge-train"].near) == (0, 1)
    assert found["a tuner-train", "held-out"].near == 0
    assert found["a tuner-train", "calibration"].compared == "1 x 2"


def test_other_sources_are_compared_as_a_whole_and_other_languages_never() -> None:
    mine = [
        body("a", part, "cpp", [_pair(part, f"Prompt for {part}", SUM, LOG)]) for part in ("tuner-train", "held-out")
    ]
    theirs = [body("b", "all", "cpp", [_pair("x", "Quack like ducks", KEY, SUM), _pair("y", "Paint", RING, DOOR)])]
    other = body("j", "all", "java", [_pair("z", "Quack like ducks", KEY, SUM)])
    found = _found(*mine, *theirs, other)
    assert set(found) == {("a tuner-train", "held-out"), ("a tuner-train", "b"), ("a held-out", "b")}
    assert found["a tuner-train", "b"].exact == 1
    assert found["a tuner-train", "b"].compared == "1 x 2"
    assert found["a tuner-train", "b"].closest == pytest.approx(1)
    assert comparisons([*mine, *theirs, other]) == len(found)


def test_a_body_without_prompts_is_compared_by_code_and_an_empty_one_not_at_all() -> None:
    found = _found(
        body("a", "one", "cpp", [_pair("1", "", SUM, LOG)]),
        body("a", "two", "cpp", [_pair("2", " ", KEY, SORT)]),
        body("a", "three", "cpp", []),
    )
    assert set(found) == {("a one", "two")}
    assert found["a one", "two"].near == 0
