import pytest

from goodvibe_bench.completion import parses
from goodvibe_bench.judging import augment
from goodvibe_bench.judging.augment import STRAY_SHARE, STRING_SHARE, varied
from goodvibe_bench.task import load
from goodvibe_bench.trainer.train import labelled

DATA = labelled(load("go").pairs["judge-train"][:10])
STRAY = ("Hawk", "otted", "Bs", "属")


def test_one_copy_differs_on_all_sides_of_a_family_or_on_none():
    found = varied(DATA, 1, seed=0)
    assert [item.label for item in found] == [item.label for item in DATA]
    changed = {old.family: old.code != new.code for old, new in zip(DATA, found, strict=True)}
    both = [old.code != new.code for old, new in zip(DATA, found, strict=True)]
    assert both == [changed[item.family] for item in DATA]


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """First copies keep their surface."""
    monkeypatch.setattr(augment, "VARIED_SHARE", 0.0)


def test_about_half_of_the_first_copies_have_another_surface(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(augment, "STRING_SHARE", 0.0)
    monkeypatch.setattr(augment, "STRAY_SHARE", 0.0)
    drawn = [(old, new) for seed in range(10) for old, new in zip(DATA, varied(DATA, 1, seed), strict=True)]
    assert 0.35 < sum(new.code != old.code for old, new in drawn) / len(drawn) < 0.65


@pytest.mark.usefixtures("plain")
def test_about_the_stray_share_of_families_is_damaged_and_by_stray_tokens_alone(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(augment, "STRING_SHARE", 0.0)
    drawn = [(old, new) for seed in range(20) for old, new in zip(DATA, varied(DATA, 1, seed), strict=True)]
    damaged = [(old, new) for old, new in drawn if old.code != new.code]
    assert STRAY_SHARE / 2 < len(damaged) / len(drawn) < 2 * STRAY_SHARE
    for old, new in damaged:
        rest = new.code
        for word in STRAY:
            rest = rest.replace(word, "")
        assert "".join(rest.split()) == "".join(old.code.split())


@pytest.mark.usefixtures("plain")
def test_about_the_string_share_of_families_ends_in_an_unused_string():
    drawn = [(old, new) for seed in range(20) for old, new in zip(DATA, varied(DATA, 1, seed), strict=True)]
    whole = [(old, new) for old, new in drawn if not any(word in new.code for word in STRAY)]
    longer = [(old, new) for old, new in whole if old.code != new.code]
    assert STRING_SHARE / 2 < len(longer) / len(whole) < 2 * STRING_SHARE
    for old, new in longer:
        assert new.code.startswith(old.code.rstrip())
        assert new.code[len(old.code.rstrip()) :].count('"') == 2


def test_further_copies_have_another_surface_and_still_parse():
    found = varied(DATA, 3, seed=0)
    assert len(found) == 3 * len(DATA)
    assert len({item.id for item in found}) == len(found)
    later = found[len(DATA) :]
    assert sum(new.code != old.code for new, old in zip(later, DATA * 2, strict=True)) > len(DATA)
    whole = [item for item in later if not any(word in item.code for word in STRAY)]
    assert whole
    assert all(parses(item.code, "go") for item in whole)


def test_families_of_copies_stay_apart():
    found = varied(DATA, 2, seed=0)
    sides = {family: [item.label for item in found if item.family == family] for family in {i.family for i in found}}
    assert all(sorted(set(labels)) == [0, 1] for labels in sides.values())
    assert {family.rpartition("#")[2] for family in sides} == {"0", "1"}


def test_the_same_seed_gives_the_same_copies():
    assert varied(DATA[:4], 2, seed=1) == varied(DATA[:4], 2, seed=1)
    assert varied(DATA, 2, seed=1) != varied(DATA, 2, seed=2)
