"""Samples made elsewhere: from the rows of a file to samples, one reader a format. It matches no prompt.

All text in such a file is untrusted: it is never run, never a path, and every word that a result keeps is checked.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO, Literal, NamedTuple, get_args

from pydantic import ValidationError

from goodvibe_bench.errors import UsageError
from goodvibe_bench.types import LANGUAGES, Language, Prompt, Record, Stop

Format = Literal["records", "plain", "lm-eval", "evalplus", "inspect"]
Row = dict[str, Any]
MAX_ROW_BYTES = 16 * 2**20
MAX_WORD = 200
"""Characters of an id or a CWE."""
ANSWERS = ("completion", "response", "output")
NAME_LANGUAGE = "Name the language: --language, or `language` in the row; or name the --tasks with these prompts."
_ALIASES: dict[str, Language] = {"c++": "cpp", "cc": "cpp", "cxx": "cpp", "c": "cpp", "golang": "go"}
_STOPS: dict[str, Stop] = {"length": "length", "max_tokens": "length", "model_length": "length", "error": "error"}
_STOP_KEYS = ("stop", "stop_reason", "finish_reason")
_INSTALL = (
    'Inspect logs are read by the inspect_ai package, which is not installed: pip install "goodvibe-bench[inspect]"'
)


@dataclass(frozen=True)
class Sample:
    """One answer in a file, before it is known whose prompt it answers."""

    text: str
    id: str | None = None
    """The prompt's."""
    prompts: tuple[str, ...] = ()
    """Texts that may be the prompt's, the likeliest first."""
    language: Language | None = None
    cwe: str | None = None
    attempt: int | None = None
    stop: Stop = "end"
    tokens: int = 0
    seconds: float = 0.0
    recorded: Prompt | None = None
    """The whole prompt, where the file is one of our own records."""
    line: int = 0


class Fault(NamedTuple):
    """What is wrong with a line, and the way out where it is not plain from that."""

    line: int
    text: str
    way_out: str = ""


class RowError(Exception):
    """A row that is no sample; `args` are a Fault's words after its line."""


def check(path: Path) -> None:
    """Raise UsageError where there is no such file."""
    if not path.is_file():
        raise UsageError(f"There is no file {str(path)!r}.")


def read(path: Path, form: Format | None = None) -> tuple[Format, list[Sample], list[Fault]]:
    """Return the format (recognised from the first row when None), all samples, and the faults of the other rows.

    Raises UsageError for a file that cannot be read or holds no row, a format that is not recognised, and an Inspect
    log without the package that reads it.
    """
    check(path)
    if form == "inspect" or (form is None and _is_inspect(path)):
        return "inspect", *_each(_inspect_rows(path), _inspect)
    rows, faults = _rows(path)
    if not rows and not faults:
        raise UsageError(f"{path} is empty: it holds no row.")
    found = form or (_recognised(f"{path}, line {rows[0][0]}", rows[0][1]) if rows else "plain")
    samples, more = _each(rows, _lm_eval() if found == "lm-eval" else _READERS[found])
    return found, samples, sorted(faults + more)


def refuse(path: Path, faults: Iterable[Fault], unit: str = "line") -> None:
    """Raise one UsageError for all faults, where there is one: the first five, a count of the others, the ways out."""
    found = sorted(faults)
    if not found:
        return
    lines = [f"{path}, {unit} {fault.line}: {fault.text}" for fault in found[:5]]
    lines += [f"... and {len(found) - 5} more"] if len(found) > 5 else []
    ways_out = dict.fromkeys(fault.way_out for fault in found if fault.way_out)
    raise UsageError("\n  ".join([f"{path.name}: {len(found)} fault(s)", *lines, *ways_out]))


def language_of(word: Any) -> Language:
    """Return the language that a word names. Raises RowError for one that is not ours."""
    name = word.strip().lower() if isinstance(word, str) else word
    for language in LANGUAGES:
        if name == language or (isinstance(name, str) and _ALIASES.get(name) == language):
            return language
    raise RowError(f"language {_short(word)} is none of {', '.join(LANGUAGES)}")


def clean(text: str) -> str:
    """Return `text` with lone surrogates as "?", so that it can be written."""
    return text.encode(errors="replace").decode()


def _each(rows: Iterable[tuple[int, Any]], reader: Callable[[Any], list[Sample]]) -> tuple[list[Sample], list[Fault]]:
    samples: list[Sample] = []
    faults: list[Fault] = []
    for line, row in rows:
        try:
            samples += [replace(sample, line=line) for sample in reader(row)]
        except RowError as fault:
            faults.append(Fault(line, *fault.args))
    return samples, faults


def _rows(path: Path) -> tuple[list[tuple[int, Row]], list[Fault]]:
    """Return the JSON objects of a JSON Lines file with their lines, and the faults of all other lines."""
    rows: list[tuple[int, Row]] = []
    faults: list[Fault] = []
    try:
        with path.open("rb") as file:
            for number, line in enumerate(_lines(file), 1):
                bare = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
                try:
                    rows += [(number, _row(bare))] if bare.strip() else []
                except RowError as fault:
                    faults.append(Fault(number, *fault.args))
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    return rows, faults


def _lines(file: BinaryIO) -> Iterator[bytes]:
    """Yield lines; of one that is too long only its beginning, so that no line fills the memory."""
    while line := file.readline(MAX_ROW_BYTES + 1):
        yield line
        while len(line) > MAX_ROW_BYTES and not line.endswith(b"\n"):
            line = file.readline(MAX_ROW_BYTES + 1)


def _row(line: bytes) -> Row:
    if len(line) > MAX_ROW_BYTES:
        raise RowError(f"longer than {MAX_ROW_BYTES // 2**20} MiB")
    if b"\0" in line:
        raise RowError("holds NUL bytes, so it is no UTF-8 text")
    try:
        row = json.loads(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise RowError(f"not UTF-8 (byte {error.start})") from error
    except RecursionError as error:
        raise RowError("nested too deeply") from error
    except ValueError as error:
        raise RowError(f"not JSON ({error})") from error
    if not isinstance(row, dict):
        raise RowError("no JSON object")
    return row


def _is_inspect(path: Path) -> bool:
    """Return whether a file is an Inspect log by its name, or one in JSON by how it begins."""
    if path.suffix == ".json":
        try:
            with path.open("rb") as file:
                head = file.read(4096)
        except OSError as error:
            raise UsageError(f"{path} cannot be read: {error.strerror}") from error
        return head.lstrip().startswith(b"{") and b'"eval"' in head and b'"version"' in head
    return path.suffix == ".eval"


def _recognised(where: str, row: Row) -> Format:
    keys = set(row)
    if {"prompt", "completion", "code", "verdict"} <= keys:
        return "records"
    if "doc_id" in keys and keys & {"resps", "filtered_resps"}:
        return "lm-eval"
    if "task_id" in keys and keys & {"solution", "completion"}:
        return "evalplus"
    if keys & {"prompt", "prompt_id", "id"} and keys & set(ANSWERS):
        return "plain"
    names = ", ".join(_short(key) for key in list(row)[:8]) or "none"
    raise UsageError(
        f"{where}: the format is not recognised by the keys of this first row ({names}). Name it: --format "
        f"{'|'.join(get_args(Format))}; plain rows have `prompt` (or `prompt_id`) and `completion`."
    )


def _record(row: Row) -> list[Sample]:
    try:
        record = Record.model_validate(row)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise RowError(f"no record ({'.'.join(map(str, first['loc']))}: {first['msg']})") from error
    prompt, drawn = record.prompt, record.completion
    _attempt(drawn.attempt)
    return [
        Sample(
            text=clean(drawn.text),
            id=_word("id", prompt.id),
            prompts=(clean(prompt.text),),
            language=prompt.language,
            cwe=prompt.cwe and _word("cwe", prompt.cwe),
            attempt=drawn.attempt,
            stop=drawn.stop,
            tokens=drawn.tokens,
            seconds=drawn.seconds,
            recorded=prompt.model_copy(update={"family": prompt.family and _word("family", prompt.family)}),
        )
    ]


def _plain(row: Row) -> list[Sample]:
    id, prompts = _id(row, "prompt_id", "id"), _prompt(row)
    if id is None and not prompts:
        raise RowError("no `prompt`, `prompt_id` or `id`")
    return [_sample(row, _answer(row, ANSWERS), id, prompts)]


def _evalplus(row: Row) -> list[Sample]:
    id = _id(row, "task_id")
    if id is None:
        raise RowError("no `task_id`")
    return [_sample(row, _answer(row, ("solution", "completion")), id, _prompt(row))]


def _lm_eval() -> Callable[[Row], list[Sample]]:
    """Return a reader that passes over rows that only show the answers of a row before through another filter."""
    filters: dict[tuple[str | None, tuple[str, ...]], Any] = {}

    def read_row(row: Row) -> list[Sample]:
        doc = row["doc"] if isinstance(row.get("doc"), dict) else {}
        id = _id(doc, "prompt_id", "id") if doc.get("prompt_id") or doc.get("id") else _id(row, "doc_id")
        context = _context(row.get("arguments"))
        prompts = tuple(dict.fromkeys([*context, *_texts(doc, "prompt", "question", "text")]))
        if id is None or not prompts:
            raise RowError("no `doc_id`" if id is None else "no prompt in `arguments`, nor in `doc`")
        answers = _flat(row["resps"] if "resps" in row else row.get("filtered_resps"))
        if filters.setdefault((id, prompts), row.get("filter")) != row.get("filter"):
            return []
        return [_sample(doc, answer, id, prompts) for answer in answers]

    return read_row


def _context(arguments: Any) -> list[str]:
    """Return the text that the model was given: {"gen_args_0": {"arg_0": text}}, or [[text, {...}]] before."""
    first = arguments
    for key in (0, "arg_0"):
        if isinstance(first, dict):
            first = first.get("arg_0") if key == "arg_0" else next(iter(first.values()), None)
        elif isinstance(first, list):
            first = first[0] if first else None
    return [clean(first)] if isinstance(first, str) and first.strip() else []


def _flat(found: Any, depth: int = 3) -> list[str]:
    if isinstance(found, str):
        return [clean(found)]
    if isinstance(found, list) and found and depth:
        return [text for one in found for text in _flat(one, depth - 1)]
    raise RowError("no text in `resps` or `filtered_resps` (a task without generated answers?)")


def _inspect_rows(path: Path) -> list[tuple[int, Any]]:
    """Return the samples of an Inspect log, counted from 1. Raises UsageError without the package, and for no log."""
    try:
        log_reader = import_module("inspect_ai.log")
    except ImportError as error:
        raise UsageError(f"{path}: {_INSTALL}") from error
    try:
        found = log_reader.read_eval_log(str(path)).samples
    except Exception as error:
        raise UsageError(f"{path} cannot be read as an Inspect log ({type(error).__name__}).") from error
    if not found:
        raise UsageError(f"{path} is empty: this Inspect log holds no sample.")
    return list(enumerate(found, 1))


def _inspect(found: Any) -> list[Sample]:
    """Return what an Inspect sample says; its prompt is the last thing that the user says."""
    asked = [one.text for one in found.input if one.role == "user"] if isinstance(found.input, list) else [found.input]
    stop = "error" if found.error else found.output.stop_reason
    row = {"id": found.id, "attempt": found.epoch - 1, "completion": found.output.completion, "stop": stop}
    return _plain({**(found.metadata or {}), **row, "prompt": asked[-1] if asked else None})


def _sample(row: Mapping[str, Any], text: str, id: str | None, prompts: tuple[str, ...]) -> Sample:
    """Return a sample with what rows of all formats may say beside: language, cwe, attempt, why it stopped."""
    word = next((row[key] for key in _STOP_KEYS if isinstance(row.get(key), str)), "end")
    return Sample(
        text=text,
        id=id,
        prompts=prompts,
        language=None if row.get("language") is None else language_of(row["language"]),
        cwe=None if row.get("cwe") is None else _word("cwe", row["cwe"]),
        attempt=_attempt(row.get("attempt")),
        stop=_STOPS.get(word, "end"),
    )


def _answer(row: Row, keys: tuple[str, ...]) -> str:
    found = next((row[key] for key in keys if key in row), None)
    if not isinstance(found, str):
        raise RowError(
            f"no text in {' or '.join(f'`{key}`' for key in keys)} (of an answer that failed, give an empty one)"
        )
    return clean(found)


def _prompt(row: Row) -> tuple[str, ...]:
    if not isinstance(row.get("prompt"), str | None):
        raise RowError(f"prompt {_short(row['prompt'])} is no text")
    return _texts(row, "prompt")


def _texts(row: Row, *keys: str) -> tuple[str, ...]:
    return tuple(clean(row[key]) for key in keys if isinstance(row.get(key), str) and row[key].strip())


def _attempt(found: Any) -> int | None:
    if found is None or (type(found) is int and 0 <= found < 10**6):
        return found
    raise RowError(f"attempt {_short(found)} is no count from 0")


def _id(row: Row, *keys: str) -> str | None:
    key = next((key for key in keys if row.get(key) is not None), None)
    found = None if key is None else row[key]
    return None if found is None else _word(str(key), str(found) if type(found) is int else found)


def _word(key: str, found: Any) -> str:
    """Return a word that a result may keep. Raises RowError for one that is no short printable text."""
    word = clean(found).strip() if isinstance(found, str) else ""
    if not word or len(word) > MAX_WORD or not word.isprintable():
        raise RowError(f"{key} {_short(found)} is no printable text of 1 to {MAX_WORD} characters")
    return word


def _short(found: Any) -> str:
    shown = repr(found) if isinstance(found, str | int | float | None) else f"of type {type(found).__name__}"
    return shown if len(shown) <= 40 else f"{shown[:37]}..."


_READERS: dict[Format, Callable[[Row], list[Sample]]] = {"records": _record, "plain": _plain, "evalplus": _evalplus}
