"""New names for what a snippet itself declares: locals, parameters, private functions and types.

It resolves no types. A name is changed only when every place where it stands is known: inside the scope and behind the
declaration of a local or parameter, or a call of a private function, or a use of a private type. One place that might
be something else (a member, a label, an import, a macro's text, a name from outside) leaves the name as it is.
Where names are declared, and what the places around mean, is in declared.py.
"""

import re
from collections.abc import Iterable, Sequence
from random import Random

from goodvibe_bench.completion.declared import Kind, Site, sites
from goodvibe_bench.completion.leaves import Edit, Source, edited, read, shape
from goodvibe_bench.types import Language

_WORDS = (
    *("amber", "basil", "birch", "cedar", "clover", "copper", "coral", "daisy", "ember", "fern", "flint", "ginger"),
    *("hazel", "heron", "indigo", "ivory", "jasper", "juniper", "laurel", "lilac", "linden", "maple", "marble"),
    *("mellow", "mint", "moss", "nectar", "olive", "onyx", "opal", "pebble", "pepper", "plum", "poppy", "quartz"),
    *("raven", "rowan", "saffron", "sage", "sable", "sienna", "sorrel", "spruce", "teal", "thistle", "topaz"),
    *("tulip", "umber", "velvet", "violet", "walnut", "willow", "yarrow", "zinnia"),
)
_SHOWS_TYPES = re.compile(r"%T|%#v|reflect|getClass|typeid|type\(of|describing:")


def renamed(text: str, language: Language, seed: int) -> str:
    """Return the code with new names, each for all places of the old one and nowhere else in the text."""
    return renamed_together([text], language, seed)[0]


def renamed_together(texts: Sequence[str], language: Language, seed: int) -> list[str]:
    """Return the texts, such as both sides of a pair, with one map of names for all.

    A name that cannot be changed in one of them stays in all; one text that does not parse leaves all unchanged.
    """
    sources = [source for text in texts if (source := read(text, language)) is not None]
    if len(sources) < len(texts):
        return list(texts)
    found = [sites(source, language) for source in sources]
    names = _new_names(_free(found, texts), texts, language, seed)
    results = [_with_names(*pair, names) for pair in zip(sources, found, strict=True)]
    kept = all(_only_names_differ(source, text, language, names) for source, text in zip(sources, results, strict=True))
    return results if kept else list(texts)


def _free(found: Iterable[dict[str, list[Site]]], texts: Sequence[str]) -> dict[str, Kind]:
    """Return the names that may change and what they stand for, in the order of their first place."""
    kinds: dict[str, set[Kind | None]] = {}
    for places in found:
        for name, its in places.items():
            kinds.setdefault(name, set()).add(_kind(its))
    shows_types = any(_SHOWS_TYPES.search(text) for text in texts)
    free: dict[str, Kind] = {}
    for name, its in kinds.items():
        (kind, *others) = its
        if kind is not None and not others and not (kind == "type" and shows_types):
            free[name] = kind
    return free


def _kind(places: list[Site]) -> Kind | None:
    """Return what a name stands for when all its places are known, else None."""
    declared = [place for place in places if place.declares]
    kinds: set[Kind | None] = {place.declares for place in declared}
    if len(kinds) != 1:
        return None
    (kind,) = kinds
    if kind is None or (kind != "variable" and len(declared) == len(places)):
        return None  # a private function that nothing here calls may be what was asked for
    known = all(
        kind in place.may_be and any(other.start <= place.at < other.end or other.at == place.at for other in declared)
        for place in places
    )
    return kind if known else None


def _new_names(free: dict[str, Kind], texts: Sequence[str], language: Language, seed: int) -> dict[str, str]:
    words = [word for word in _WORDS if not any(word in text.lower() for text in texts)]
    Random(seed).shuffle(words)  # noqa: S311
    return {name: _styled(word, kind, language) for (name, kind), word in zip(free.items(), words, strict=False)}


def _styled(word: str, kind: Kind, language: Language) -> str:
    if kind == "type" and language != "go":
        return word.capitalize()
    if kind == "function":
        return f"do_{word}" if language == "cpp" else f"do{word.capitalize()}"
    return word


def _with_names(source: Source, places: dict[str, list[Site]], names: dict[str, str]) -> str:
    edits = [
        Edit(place.at, place.at + len(name.encode()), names[name])
        for name, its in places.items()
        if name in names
        for place in its
    ]
    return edited(source.data, edits)


def _only_names_differ(source: Source, text: str, language: Language, names: dict[str, str]) -> bool:
    other = read(text, language)
    if other is None:
        return False
    new = {old.encode(): name.encode() for old, name in names.items()}
    expected = [
        (kind, size, new.get(leaf, leaf) if "identifier" in kind else leaf) for kind, size, leaf in shape(source.root)
    ]
    return shape(other.root) == expected
