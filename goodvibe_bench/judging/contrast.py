"""Contrast sets: a secure snippet, edits that make it insecure, and edits that leave it secure.

What tells the sides of a set apart is the weakness and little else, so no style gives a label away (Gardner et al.
2020, "Evaluating Models' Local Decision Boundaries via Contrast Sets"). Sets are data, in files such as
judges/contrast.d/go.toml; an edit replaces text, and nothing is run.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from goodvibe_bench import catalog
from goodvibe_bench.errors import UsageError
from goodvibe_bench.types import Labelled, Language, Noun


class Edit(Noun):
    """One place of a snippet, written otherwise."""

    find: str = Field(min_length=1)
    """Text that occurs exactly once."""
    replace: str
    why: str
    """Why the snippet is insecure then, or still secure."""


class Break(Edit):
    """An edit that makes a snippet insecure."""

    cwe: str = Field(pattern=r"^CWE-\d+$")


class ContrastSet(Noun):
    """A secure snippet and its edits, each made by itself."""

    family: str
    secure: str
    breaks: tuple[Break, ...] = Field(min_length=1)
    keeps: tuple[Edit, ...] = ()

    @model_validator(mode="after")
    def _edits_apply(self) -> Self:
        seen = {self.secure}
        for edit in (*self.breaks, *self.keeps):
            count = self.secure.count(edit.find)
            if count != 1:
                raise ValueError(f"{self.family}: {edit.find[:60]!r} occurs {count} times, not once")
            changed = self.secure.replace(edit.find, edit.replace)
            if changed in seen:
                raise ValueError(f"{self.family}: the edit of {edit.find[:60]!r} gives a text that is there already")
            seen.add(changed)
        return self

    def labelled(self, language: Language) -> Iterator[Labelled]:
        """Yield the snippet, what its breaks make of it, and what its keeps do: one family."""

        def one(name: str, code: str, label: int, why: str | None = None, cwe: str | None = None) -> Labelled:
            fields = {"code": code, "language": language, "label": label, "family": self.family, "why": why, "cwe": cwe}
            return Labelled.model_validate({"id": f"{self.family}/{name}", **fields})

        yield one("secure", self.secure, 0)
        for number, edit in enumerate(self.breaks, 1):
            yield one(f"break-{number}", self.secure.replace(edit.find, edit.replace), 1, edit.why, edit.cwe)
        for number, edit in enumerate(self.keeps, 1):
            yield one(f"keep-{number}", self.secure.replace(edit.find, edit.replace), 0, edit.why)


class ContrastFile(Noun):
    """The contrast sets of one language."""

    language: Language
    contrast: tuple[ContrastSet, ...]


def read(folder: Path) -> dict[str, tuple[ContrastFile, str]]:
    """Return the files <language>.toml of `folder` by name, each with the digest of what it says.

    Raises UsageError when there is none, for a malformed one, and for a family that is there twice.
    """
    found = {}
    families: set[str] = set()
    for path in sorted(folder.glob("*.toml")):
        words = catalog.words(path)
        file = catalog.parse(words, ContrastFile, str(path))
        for one in file.contrast:
            if one.family in families:
                raise UsageError(f"{path}: the family {one.family!r} is there twice. Rename one of the two.")
            families.add(one.family)
        found[path.name] = (file, catalog.digest(words))
    if not found:
        raise UsageError(f"No contrast sets in {folder}: it holds no <language>.toml.")
    return found


def labelled(file: ContrastFile) -> list[Labelled]:
    """Return all snippets of a file."""
    return [snippet for one in file.contrast for snippet in one.labelled(file.language)]
