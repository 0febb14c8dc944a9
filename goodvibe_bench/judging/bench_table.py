"""What `judge bench` prints: tables of rows and of probes, and the lines below. It measures nothing."""

from collections.abc import Sequence
from typing import Any

from goodvibe_bench.judging.bench import MACRO, Row
from goodvibe_bench.judging.card import probe_rows, rate_cell
from goodvibe_bench.judging.probes import ProbeReport
from goodvibe_bench.types import LANGUAGES, Estimate

LEGEND = (
    "In %, each but ECE with its 95% interval; those of the column at 10% are in --json and on cards. Pairs: the "
    "insecure side has the higher p_unsafe. Thresholds were chosen on calibration sets, so TPR and FPR there flatter. "
    "At 10%: the TPR (and the FPR that came of it) at thresholds that other folds of the same set chose to keep an FPR "
    'of at most 10%. TPR and FPR count unjudged snippets as called neither; "n" behind AUC and ECE: they are over so '
    "many judged snippets alone."
)


def probe_cells(judge: str, found: ProbeReport) -> list[dict[str, Any]]:
    """Return a table's rows: of every probe, how many verdicts it may have changed, and the share in %."""
    rows = probe_rows(found.model_dump())
    return [
        {"judge": judge, "probe": name, "n": share["n"], "insecure": insecure, "flips": rate_cell(Estimate(**share))}
        for name, insecure, share in rows
    ]


def cells(rows: Sequence[Row]) -> tuple[str, list[str], list[list[str]]]:
    """Return title, headings and cells of one set's rows: by language, the best AUC first, idle columns left out."""
    order = [*LANGUAGES, MACRO]
    ranked = sorted(rows, key=lambda row: (order.index(row.language), -(row.auc.value if row.auc else -1)))
    columns = {
        "judge": [row.judge for row in ranked],
        "in": [_where(row, rows) for row in ranked],
        "n": [str(row.n) for row in ranked],
        "unjudged": [str(row.unjudged) if any(one.unjudged for one in ranked) else "" for row in ranked],
        "TPR": [rate_cell(row.tpr) for row in ranked],
        "FPR": [rate_cell(row.fpr) for row in ranked],
        "at 10%": [_strict_cell(row) for row in ranked],
        "AUC": [rate_cell(row.auc) + (_of_judged(row) if row.auc else "") for row in ranked],
        "ECE": ["" if row.ece is None else f"{100 * row.ece:.0f}{_of_judged(row)}" for row in ranked],
        "pairs": [rate_cell(row.pair_order) for row in ranked],
    }
    shown = {key: found for key, found in columns.items() if set(found) != {""}}
    title = f"{rows[0].set} ({rows[0].use})"
    if len(set(columns["in"])) == 1:
        title += f", {shown.pop('in')[0]}"
    return title, list(shown), [list(line) for line in zip(*shown.values(), strict=True)]


def _where(row: Row, rows: Sequence[Row]) -> str:
    """Return a row's language, of a mean the languages that it goes over where these are not all of the set's."""
    if row.language != MACRO:
        return row.language
    all_of_it = {one.language for one in rows} - {MACRO}
    if row.languages is None or set(row.languages) == all_of_it:
        return "mean"
    return f"mean of {', '.join(row.languages)}" if row.languages else "no mean"


def _of_judged(row: Row) -> str:
    return f" (n {row.judged})" if row.unjudged else ""


def _strict_cell(row: Row) -> str:
    if row.strict_tpr is None or row.strict_fpr is None:
        return ""
    return f"{100 * row.strict_tpr.value:.0f} ({100 * row.strict_fpr.value:.0f})"


def notes(rows: Sequence[Row]) -> list[str]:
    """Return a line for every judge of one set's rows: what is unusable or unjudged, and the speed."""
    whole = {row.judge: row for row in rows}  # the mean comes last, and counts all languages
    return [
        f"{row.judge}: of {row.n} snippets {row.unusable} unusable, {row.unjudged} unjudged"
        + (f"; {row.snippets_per_second:,.1f} a second" if row.snippets_per_second else "")
        for row in whole.values()
    ]
