"""What a report says of single samples: the outcome ledger, and both sides of every prompt with their texts.

Texts lie in the records beside a result, which may be missing or damaged: the page then says so. It judges nothing.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from goodvibe_bench.metric.rate import rate
from goodvibe_bench.result import instrument
from goodvibe_bench.result.sample import sample_key
from goodvibe_bench.types import Outcome, Result

GROUPS = {"language": ("language",), "cwe": ("cwe",), "both": ("language", "cwe")}
"""What a ledger counts by: languages, weaknesses, and both."""
_TEXTS = (("prompt", "text"), ("code", "text"), ("completion", "text"))


def ledger(results: Mapping[Path, Result], keys: Mapping[Path, str]) -> list[dict[str, Any]]:
    """Return the four outcomes of every result and judge, all together and by each of GROUPS, with rates over all."""
    found = []
    for path, result in results.items():
        for place, judge in enumerate(instrument.judges(result)):
            rows = instrument.seen_by(result.outcomes, judge["name"]) if place else result.outcomes
            head = {"result": keys[path], "judge": judge["name"]}
            found.append(head | {"by": "all"} | _counts(rows))
            for by, names in GROUPS.items():
                found += [head | {"by": by} | words | _counts(group) for words, group in _grouped(rows, names)]
    return found


def _grouped(
    rows: Sequence[dict[str, Any]], names: Sequence[str]
) -> Iterator[tuple[dict[str, str], list[dict[str, Any]]]]:
    groups: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault(tuple(str(row.get(name) or "") for name in names), []).append(row)
    for key, group in sorted(groups.items()):
        yield dict(zip(names, key, strict=True)), group


def _counts(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    counts = Counter(row["outcome"] for row in rows)
    valid = sum(row["unusable"] is None for row in rows)
    rates = {"secure_rate": _rate(counts["secure"], len(rows)), "valid_rate": _rate(valid, len(rows))}
    return {str(outcome): counts[outcome] for outcome in Outcome} | {"n": len(rows)} | rates


@cache
def _rate(hits: int, n: int) -> dict[str, Any]:
    found = rate(hits, n)
    return {"value": found.value, "low": found.low, "high": found.high, "n": n}


def samples(results: Mapping[Path, Result], keys: Mapping[Path, str]) -> dict[str, Any]:
    """Return every prompt's attempt with what each result made of it; texts once each, referred to by their place."""
    texts: dict[str, int] = {}
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    records: dict[str, dict[str, Any]] = {}
    for path, result in results.items():
        known, said = _texts(path)
        records[keys[path]] = said
        for row in result.outcomes:
            prompt, code, answer = known.get(sample_key(row), (None, None, None))
            name = (result.task_hashes.get(row["task"]), *sample_key(row))
            sample = found.setdefault(name, _sample(row))
            if prompt is not None:
                sample["prompt"] = texts.setdefault(prompt, len(texts))
            shown = code or answer
            place = None if shown is None else texts.setdefault(shown, len(texts))
            sample["seen"][keys[path]] = _seen(row) | {"text": place, "whole": bool(answer) and not code}
    return {"samples": list(found.values()), "texts": list(texts), "records": records}


def _sample(row: Mapping[str, Any]) -> dict[str, Any]:
    words = {key: str(row.get(key) or "") for key in ("task", "prompt_id", "language", "cwe", "family", "stratum")}
    return words | {"attempt": row["attempt"], "prompt": None, "seen": {}}


def _seen(row: Mapping[str, Any]) -> dict[str, Any]:
    others = {name: _verdict(other) for name, other in row.get("others", {}).items()}
    unusable = row["unusable"]
    return _verdict(row) | {"unusable": None if unusable is None else str(unusable), "others": others}


def _verdict(row: Mapping[str, Any]) -> dict[str, Any]:
    p = row["p_unsafe"]
    return {"outcome": row["outcome"], "p": None if p is None else round(p, 4)}


def _texts(path: Path) -> tuple[dict[tuple[Any, ...], tuple[str, ...]], dict[str, Any]]:
    """Return (prompt, code, answer) by sample key, and what is to be said about the file that they come from."""
    place = path.parent / "records" / f"{path.stem}.jsonl"
    said: dict[str, Any] = {"file": f"records/{place.name}", "found": place.is_file(), "texts": 0, "damaged": 0}
    known: dict[tuple[Any, ...], tuple[str, ...]] = {}
    for line in place.read_bytes().split(b"\n") if said["found"] else ():
        if line.strip():
            key, found = _line(line)
            known |= {key: found} if key else {}
            said["damaged"] += key is None
    return known, said | {"texts": len(known)}


def _line(line: bytes) -> tuple[tuple[Any, ...] | None, tuple[str, ...]]:
    """Return a record's key and texts; no key for a line that is none.

    Not read as a Record: a page may show texts that it refuses, such as half of a surrogate pair.
    """
    try:
        row = json.loads(line)
        key = (row["task"], row["prompt"]["id"], row["completion"]["attempt"])
        found = tuple(row[part][name] for part, name in _TEXTS)
        hash(key)
    except (ValueError, TypeError, KeyError, RecursionError):
        return None, ()
    return (key, found) if all(isinstance(text, str) for text in found) else (None, ())
