"""What `judge bench --save` leaves in a judge's card. It measures nothing."""

from collections.abc import Sequence
from pathlib import Path

from goodvibe_bench import catalog
from goodvibe_bench.errors import UsageError
from goodvibe_bench.judge import cards
from goodvibe_bench.judge.definition import JudgeDefinition
from goodvibe_bench.judging.bench import MACRO, Row
from goodvibe_bench.judging.card import write
from goodvibe_bench.judging.probes import ProbeReport
from goodvibe_bench.result import score, store
from goodvibe_bench.run import versions


def card_folder(judge: str) -> Path:
    """Return the folder of a judge's card. Raises UsageError when it has none, or the folder is not writable."""
    folder = cards.weights_folder(catalog.read("judges", judge, JudgeDefinition))
    if cards.read_card(folder) is None:
        raise UsageError(f"Judge {judge!r} has no card to save to. Make one: judge calibrate --judge {judge}")
    return store.writable(folder)


def save(judge: str, rows: Sequence[Row], probes: ProbeReport | None = None) -> Path:
    """Write the judge's rows, and what probes found, into its card; return the card's folder.

    What the card said of other sets and languages, or of probes where none are given, stays if judge and versions are
    still the same. A set that keeps such a language has no mean over languages: it would be of some of them.
    """
    folder = card_folder(judge)
    card = cards.read_card(folder)
    if card is None:
        raise UsageError(f"The card in {folder} is gone.")
    now = score.now()
    new = [row.model_copy(update={"date": now}).model_dump(mode="json") for row in rows if row.judge == card.judge]
    same = {"judge_digest": new[0]["judge_digest"] if new else None, "versions": versions()}
    old = card.measured if all(card.measured.get(key) == value for key, value in same.items()) else {}
    known = {(row["set"], row["language"]) for row in new} | {(row["set"], MACRO) for row in new}
    rest = [row for row in old.get("rows", []) if (row["set"], row["language"]) not in known]
    partly = {(row["set"], MACRO) for row in rest}
    measured = same | {
        "date": now,
        "rows": rest + [row for row in new if (row["set"], row["language"]) not in partly],
        "probes": probes.model_dump(mode="json") if probes else old.get("probes"),
    }
    write(card.model_copy(update={"measured": measured}), folder)
    return folder
