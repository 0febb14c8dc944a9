"""Find and parse the definitions in tasks/, judges/, trainers/ and experiments/. It acts on none and runs none of them.

A definition is TOML: tasks/<name>/task.toml, judges/<name>.toml (and so for the rest), or a path that the user gives.
"""

import hashlib
import json
import tomllib
import typing
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ValidationError

from goodvibe_bench.errors import UsageError, nearest

Kind = Literal["tasks", "judges", "trainers", "experiments"]
T = TypeVar("T", bound=BaseModel)
LONGEST_SHOWN = 40
"""Characters of a value that a fault repeats; a longer one is not shown."""
MOST_DOTS = 1000
"""Before the = of a line, in a file that is a definition: a key of more parts is nobody's."""


@dataclass(frozen=True)
class Definition(Generic[T]):
    """A parsed definition, where it was read, and the digest of what it says."""

    name: str
    path: Path
    content: T
    digest: str


def root() -> Path:
    """Return the folder that holds the definitions: the checkout's, else the installed package's."""
    package = Path(__file__).parent
    checkout = package.parent
    return checkout if (checkout / "trainers").is_dir() else package / "definitions"


def names(kind: Kind) -> list[str]:
    """Return the names of the definitions that come with the project, sorted."""
    folder = root() / kind
    if kind == "tasks":
        return sorted(path.parent.name for path in folder.glob("*/task.toml"))
    return sorted(path.stem for path in folder.glob("*.toml"))


def read(kind: Kind, name: str, content: type[T]) -> Definition[T]:
    """Return the definition `name` (or the TOML file at that path) as `content`.

    Raises UsageError for an unknown name, a file that is not TOML, and for all faults of the file together.
    """
    path = _path(kind, name)
    found = words(path)
    stem = path.parent.name if kind == "tasks" else path.stem
    return Definition(stem, path, parse(found, content, str(path)), digest(found))


def words(path: Path) -> dict[str, Any]:
    """Return what a TOML file says. Raises UsageError when it cannot be read or is no TOML."""
    return _words(path, "TOML", _toml)


def json_words(path: Path) -> Any:
    """Return what a file of one JSON text says. Raises UsageError when it cannot be read or is no JSON."""
    return _words(path, "JSON", json.loads)


def _words(path: Path, kind: str, meaning: Callable[[str], Any]) -> Any:
    try:
        return meaning(path.read_text(encoding="utf-8"))
    except RecursionError as error:
        raise UsageError(f"{path} is nested too deeply.") from error
    except ValueError as error:  # wrong syntax, bytes that are no UTF-8, a number of thousands of digits
        raise UsageError(f"{path} is not valid {kind}: {error}") from error
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error


def _toml(text: str) -> dict[str, Any]:
    if any(line.partition("=")[0].count(".") > MOST_DOTS for line in text.splitlines()):
        raise RecursionError  # tomllib takes memory by the square of a key's parts
    return tomllib.loads(text)


def parse(words: Any, content: type[T], where: str, spelled: Callable[[str], str] = str) -> T:
    """Return `words` as a `content`. Raises one UsageError that names all faults, and the nearest valid keys.

    `spelled` returns how the user wrote a key such as "sampling.temperature": --temperature.
    """
    try:
        return content.model_validate(words)
    except ValidationError as error:
        found = faults(error, content, spelled)
        raise UsageError("\n  ".join([f"{where}: {len(found)} fault(s)", *found])) from error


def faults(error: ValidationError, content: type[BaseModel], spelled: Callable[[str], str] = str) -> list[str]:
    """Return what does not fit a `content`, each fault once: the key as it was `spelled`, why, and what stood there."""
    return list(dict.fromkeys(_fault(fault, content, spelled) for fault in error.errors(include_url=False)))


def digest(words: Any) -> str:
    """Return 16 hex digits of SHA-256 over the canonical JSON of `words`."""
    return hashlib.sha256(json.dumps(words, sort_keys=True, default=str).encode()).hexdigest()[:16]


def code_digest(*packages: str) -> str:
    """Return a digest of our own source in these sub-packages (all of it when none is named)."""
    folder = Path(__file__).parent
    places = [folder / package for package in packages] if packages else [folder]
    return digest([path.read_text() for place in places for path in sorted(place.rglob("*.py"))])


MODEL_LIBRARIES = ("torch", "transformers", "tokenizers")
"""What a model's numbers depend on besides our own source."""


def versions(*packages: str) -> dict[str, str]:
    """Return the versions of installed packages."""
    return {package: version(package) for package in packages}


def plain(rows: Sequence[BaseModel]) -> list[Any]:
    """Return rows as what JSON has, to be digested."""
    return [row.model_dump(mode="json") for row in rows]


def _path(kind: Kind, name: str) -> Path:
    if name.endswith(".toml") or "/" in name:
        path = Path(name).expanduser()
        path = path / "task.toml" if kind == "tasks" and path.is_dir() else path
        if not path.is_file():
            raise UsageError(f"There is no definition at {name!r}.")
        return path
    valid = names(kind)
    if name not in valid:
        raise UsageError(f"Unknown {kind[:-1]} {name!r}. {nearest(name, valid)} See `goodvibe-bench ls {kind}`.")
    return root() / kind / (f"{name}/task.toml" if kind == "tasks" else f"{name}.toml")


def _fault(fault: Any, content: type[BaseModel], spelled: Callable[[str], str]) -> str:
    place = [part for part in fault["loc"] if isinstance(part, str)]
    key = ".".join(map(str, _written(content, fault["loc"])))
    where = f"{spelled(key)}: " if key else ""
    if fault["type"] == "extra_forbidden":
        return f"{where}unknown key. {nearest(place[-1], list(_fields(content, place[:-1])))}"
    given, why = fault["input"], fault["msg"].removeprefix("Value error, ").replace("a valid tuple", "a list")
    seen = why.startswith("Input should") and isinstance(given, str | int | float)
    return f"{where}{why}" + (f", not {given!r}" if seen and len(repr(given)) <= LONGEST_SHOWN else "")


def _written(content: type[BaseModel], place: Sequence[str | int]) -> list[str | int]:
    """Return the keys of `place` that a user writes: without the names of the members of tagged unions."""
    kept: list[str | int] = []
    found: Any = content
    for part in place:
        fields = found.model_fields if isinstance(found, type) and issubclass(found, BaseModel) else {}
        member = fields[part].annotation if part in fields else _member(found, str(part))
        if part in fields or member is found:
            kept.append(part)
        found = member
    return kept


def _fields(content: type[BaseModel], place: list[str]) -> list[str]:
    """Return the valid keys at `place` inside `content`, following nested models and tagged unions."""
    found: Any = content
    for part in place:
        field = found.model_fields.get(part) if isinstance(found, type) and issubclass(found, BaseModel) else None
        found = field.annotation if field else _member(found, part)
    while not (isinstance(found, type) and issubclass(found, BaseModel)):
        members = [m for m in typing.get_args(found) if isinstance(m, type) and issubclass(m, BaseModel)]
        if not members:
            return []
        found = members[0]
    return list(found.model_fields)


def _member(union: Any, tag: str) -> Any:
    for member in typing.get_args(union):
        for option in typing.get_args(member) or (member,):
            kind = getattr(option, "model_fields", {}).get("kind")
            if kind is not None and tag in typing.get_args(kind.annotation):
                return option
    return union
