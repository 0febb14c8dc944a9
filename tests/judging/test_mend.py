from goodvibe_bench.judging.mend import mended
from goodvibe_bench.task.flags import pair_flags
from goodvibe_bench.types import Pair

WHOLE = "int f(int a) {\n    return a + 1;\n}"


def _pair(secure: str, insecure: str = "int f(int a) {\n    return a + 2;\n}") -> Pair:
    flags = pair_flags(secure, insecure, "cpp")
    return Pair(id="p", language="cpp", prompt="", secure=secure, insecure=insecure, source="made", flags=flags)


def test_a_pair_without_defects_stays_as_it_is() -> None:
    assert list(mended([_pair(WHOLE)])) == [_pair(WHOLE)]


def test_stray_tokens_are_taken_out_and_the_pair_says_so() -> None:
    damaged = _pair(WHOLE.replace(";", "; Hawk").replace("{", "{ 属"))
    assert damaged.flags
    (found,) = mended([damaged])
    assert (found.id, found.flags) == ("p#mended", ())
    assert "".join(found.secure.split()) == "".join(WHOLE.split())


def test_what_is_broken_beyond_stray_tokens_is_left_out() -> None:
    assert list(mended([_pair(WHOLE[:-1] + " Hawk")])) == []


def test_words_in_strings_and_comments_are_the_authors() -> None:
    code = 'const char* f() {\n    return "Hawk 属"; // 属\n}\nHawk otted'
    (found,) = mended([_pair(code)])
    assert '"Hawk 属"; // 属' in found.secure
