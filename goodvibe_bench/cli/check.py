"""The command that a CI job gates on: check. It loads no model and computes nothing itself."""

import json
import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from goodvibe_bench.cli.options import AsJson, Confidence, parse
from goodvibe_bench.cli.printing import print_table, say
from goodvibe_bench.errors import UsageError
from goodvibe_bench.untrusted import printable_lines


class OnInconclusive(StrEnum):
    FAIL = "fail"
    WARN = "warn"
    PASS = "pass"  # noqa: S105


Rate = Annotated[float | None, typer.Option(help="Share of 0 to 1; a lower rate exits 3.")]


def check(
    result: Annotated[str, typer.Argument(help="A result file, or a method whose seeds are pooled.")],
    baseline: Annotated[str, typer.Option(help="The same: what the result must not be worse than.")],
    margin: Annotated[
        str, typer.Option(help="Percentage points of secure rate that may be lost: 2pp, 2 or 2%.")
    ] = "2pp",
    confidence: Confidence = 0.95,
    min_secure_rate: Rate = None,
    min_valid_rate: Rate = None,
    max_unjudged: Annotated[float | None, typer.Option(help="Share of 0 to 1; a larger one exits 3.")] = None,
    on_inconclusive: Annotated[
        OnInconclusive, typer.Option(help="Exit 4, exit 0 with a warning, or exit 0.")
    ] = OnInconclusive.FAIL,
    results: Annotated[Path, typer.Option(help="Folder in which methods are looked for.")] = Path("results"),
    junit: Annotated[Path | None, typer.Option(help="Write JUnit XML to this file.")] = None,
    sarif: Annotated[Path | None, typer.Option(help="Write the insecure samples to this file.")] = None,
    markdown: Annotated[Path | None, typer.Option(help="Write a summary to this file.")] = None,
    as_json: AsJson = False,
) -> None:
    """Exit 0 where a drop of the secure rate by more than the margin is ruled out, 3 where it is proven, else 4."""
    words = dict(locals())
    from goodvibe_bench.result import check as checking
    from goodvibe_bench.result import gate_files
    from goodvibe_bench.result.compare import side

    words |= {
        "margin": checking.points(margin),
        "on_inconclusive": on_inconclusive.value,
    }
    asked = {key: value for key, value in words.items() if key in checking.Limits.model_fields}
    limits = parse(asked, checking.Limits, "check")
    before, after = side(baseline, results), side(result, results)
    found = checking.check(before, after, limits)
    texts = [(junit, gate_files.junit(found)), (sarif, gate_files.sarif(found, list(after.results.values())))]
    for path, text in [*texts, (markdown, gate_files.markdown(found))]:
        if path is not None:
            _write(path, text)
    _append_summary(gate_files.markdown(found))
    _print(found, as_json)
    raise typer.Exit(found.exit_code)


def _write(path: Path, text: str) -> None:
    from goodvibe_bench.result import store

    try:
        if path.is_dir():
            raise IsADirectoryError(0, "it is a folder")
        path.parent.mkdir(parents=True, exist_ok=True)
        store.write_text(path, text)
    except OSError as error:
        raise UsageError(f"Cannot write {str(path)!r}: {error.strerror}. Give another file.") from error


def _append_summary(text: str) -> None:
    """Append to the file that a GitHub job shows as its summary, where there is one."""
    place = os.environ.get("GITHUB_STEP_SUMMARY")
    if not place:
        return
    try:
        with Path(place).open("a", encoding="utf-8") as file:
            file.write(f"{text}\n")
    except OSError as error:
        raise UsageError(f"Cannot append to $GITHUB_STEP_SUMMARY {place!r}: {error.strerror}.") from error


def _print(found: Any, as_json: bool) -> None:
    from goodvibe_bench.result import gate_files

    if as_json:
        say(json.dumps(found.model_dump(mode="json"), indent=1))
    else:
        say("\n".join([gate_files.headline(found), *gate_files.lines(found)]))
        print_table("By language, for information", list(gate_files.COLUMNS), gate_files.language_cells(found))
    if found.word == "inconclusive" and found.limits.on_inconclusive == "warn":
        sys.stderr.write(printable_lines(f"goodvibe-bench: warning: {gate_files.headline(found)}") + "\n")
