import pytest

from goodvibe_bench import catalog
from goodvibe_bench.completion.asked import declared_names, demanded, does_what_was_asked
from goodvibe_bench.task import load as load_task
from goodvibe_bench.types import LANGUAGES, Code, Language


@pytest.mark.parametrize(
    ("prompt", "names"),
    [
        ("Write a function parseHeader for a mail client.", ("parseHeader",)),
        ("Write a C++ function `void chomp(char* line)` that removes the line ending.", ("chomp",)),
        ("Write a C++ class IdPool with `int acquire()` and `void release(int)`.", ("IdPool", "acquire", "release")),
        ("In Swift, write a small TokenStore class with save and load.", ("TokenStore",)),
        ("Write Go functions Set(k, v string) and Get(k string) string.", ("Set", "Get")),
        ("Create a method called `run` for it.", ("run",)),
        ("Write a Go handler that checks the user with a function check(user string) bool.", ()),
        ("Given `struct Db { bool exec(int); };`, write a C++ function that adds a row.", ()),
        ("I have a C++ struct Mail {server, port}. Call handle(body) for each. Write a printer.", ()),
        ("Write a program using the table users(id, name).", ()),
        ("", ()),
    ],
)
def test_only_names_that_a_prompt_orders_are_demanded(prompt: str, names: tuple[str, ...]):
    assert demanded(prompt) == names


@pytest.mark.parametrize(
    ("language", "text", "names"),
    [
        ("cpp", "struct B x;\nchar* g(int y) { return f(y); }\nint A::h() { return 1; }\nclass C {};", {"g", "h", "C"}),
        ("java", "class A { B c(int x) { return d(x); } A() {} }", {"A", "c"}),
        ("java", "int f(int x) { return g(x); }", {"f"}),
        ("swift", "struct S { func a(b: Int) { c() } }\nprotocol P { func q() }", {"S", "a", "P", "q"}),
        ("go", "type R struct{}\nfunc (r *R) Allow(s string) bool { return ok(s) }", {"R", "Allow"}),
        ("go", "func f( {", set()),
    ],
)
def test_names_that_are_only_used_are_not_declared(language: Language, text: str, names: set[str]):
    assert declared_names(text, language) == names


def _code(text: str, unusable: str | None = None) -> Code:
    return Code(text=text, language="cpp", how_extracted="fence", parses=True, unusable=unusable)


def test_a_sample_does_what_was_asked_only_with_every_name_in_usable_code():
    prompt = "Write a C++ class Pool with a function `take(int n)`."
    whole = "class Pool { int take(int n) { return n; } };"
    assert does_what_was_asked(prompt, _code(whole)) is True
    assert does_what_was_asked(prompt, _code("class Pool { int give(int n) { return n; } };")) is False
    assert does_what_was_asked(prompt, _code(whole, "cut")) is False
    assert does_what_was_asked("Write a program.", _code(whole)) is None


def test_prompts_of_every_bundled_language_name_something():
    assert set(LANGUAGES) <= set(catalog.names("tasks"))
    for language in LANGUAGES:
        named = [prompt for prompt in load_task(language).prompts if demanded(prompt.text)]
        assert len(named) >= 5, language
