"""What a judge says of a few fixed snippets, kept in every result, so that a drift under one digest is seen later.

The snippets are calibration cases of the bundled tasks. It compares nothing: see result/drift.py.
"""

from collections.abc import Callable, Sequence
from typing import Any

from goodvibe_bench import catalog
from goodvibe_bench.judge.load import Fitted
from goodvibe_bench.result import instrument
from goodvibe_bench.task.load import CASES
from goodvibe_bench.task.rows import read_json_lines
from goodvibe_bench.types import Code, Labelled, Language

IDS: dict[Language, str] = {
    "cpp": "double-checked-1 snow-flakes-1 attachment-id-1 report-columns-1 "
    "numeric-where-1 counter-map-1 header-redact-1 dot-filter-1",
    "java": "weather-proxy-1 office-hosts-1 device-token-lookup-1 etag-header-1 "
    "proxy-trace-1 gate-token-1 slot-reservation-1 role-ticket-1",
    "swift": "fixed-shell-table where-pieces gap-memmove loopback-http "
    "signed-length shell-quotes short-uuid domain-state",
    "go": "zero-nonce-1 loop-closure-close-1 trace-sampling-1 md5-etag-1 "
    "late-chmod-1 strong-seed-1 shell-blocklist-1 late-decode-1",
}
"""Of each language four secure and four insecure cases; fixed, for older results know these alone."""
PREFIX: dict[Language, str] = {"cpp": "cpp-cal-", "java": "java-", "swift": "swift-cal-", "go": "go-cal-"}


def snippets(language: Language) -> list[Labelled]:
    """Return the language's anchor snippets, in the order of IDS."""
    rows = {row["id"]: row for row in read_json_lines(catalog.root() / "tasks" / language / CASES)}
    return [Labelled.model_validate(rows[PREFIX[language] + name]) for name in IDS[language].split()]


def blocks(
    judges: Sequence[Fitted], languages: Sequence[Language], show: Callable[[str, int, int, str], None]
) -> list[dict[str, Any]]:
    """Return what a result keeps of each judge, with its anchor scores in these languages.

    `anchor` holds a digest of the snippets and p_unsafe by their ids, None where the judge gave no answer.
    """
    chosen = [row for language in sorted(set(languages)) for row in snippets(language)]
    codes = [
        Code(text=row.code, language=row.language, how_extracted="anchor", parses=True, unusable=None) for row in chosen
    ]
    digest = catalog.digest([[row.id, row.code] for row in chosen])
    found = []
    for one in judges:
        show("anchor", 0, len(codes), one.definition.name)
        scores = {row.id: verdict.p_unsafe for row, verdict in zip(chosen, one.judge.judge(codes), strict=True)}
        show("anchor", len(codes), len(codes), one.definition.name)
        known = one.card.calibration.values() if one.card else ()
        block = instrument.block(one.definition.name, one.digest, known)
        found.append(block | {"anchor": {"digest": digest, "p_unsafe": scores}})
    return found
