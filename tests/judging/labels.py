"""Records with chosen verdicts, and what people would say about them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from goodvibe_bench.types import Code, Completion, Language, Outcome, Prompt, Record, Verdict

JUDGE = 'description = "A double"\n[judge]\nkind = "scripted"\nunsafe_words = ["strcpy"]\n'


def record(number: int, language: Language, outcome: Outcome, p_unsafe: float | None, word: str = "x") -> Record:
    """Return the sample `number` of a language, whose code holds `word`."""
    known = outcome in (Outcome.SECURE, Outcome.INSECURE)
    unusable = "refusal" if outcome is Outcome.UNUSABLE else None
    name = f"{language}-{number}"
    return Record(
        task=language,
        prompt=Prompt(id=name, language=language, text=f"Write {number}.", family=f"f{number}"),
        completion=Completion(prompt_id=name, text="```", stop="end", tokens=3, seconds=0.1),
        code=Code(
            text=f"{word}({number});\u2028", language=language, how_extracted="fence", parses=True, unusable=unusable
        ),
        verdict=Verdict(
            judge="word", p_unsafe=p_unsafe, label=int(outcome is Outcome.INSECURE) if known else None, outcome=outcome
        ),
    )


def write_records(
    folder: Path, secure: int = 40, insecure: int = 8, languages: tuple[Language, ...] = ("cpp",)
) -> Path:
    """Write a records file beside where its result would be; return the result's path."""
    rows = []
    for language in languages:
        rows += [record(i, language, Outcome.SECURE, i / 100) for i in range(secure)]
        rows += [record(secure + i, language, Outcome.INSECURE, 0.6 + i / 100, "strcpy") for i in range(insecure)]
        rows.append(record(998, language, Outcome.UNUSABLE, 0.1))
        rows.append(record(999, language, Outcome.UNJUDGED, None))
    (folder / "records").mkdir(exist_ok=True)
    text = "".join(row.model_dump_json() + "\n" for row in rows)
    (folder / "records" / "run.jsonl").write_text(text, encoding="utf-8")
    return folder / "run.json"


def rows_of(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a label file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]


def fill(path: Path, answer: Callable[[dict[str, Any]], int | None]) -> None:
    """Label every row of a file as a person would: by `answer`."""
    rows = [row | {"label": answer(row)} for row in rows_of(path)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
