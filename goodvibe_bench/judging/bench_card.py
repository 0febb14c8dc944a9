"""What `judge bench --save` leaves in a judge's card. It measures nothing."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

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


def state(judge: str) -> str:
    """Return a digest of what its card says that a judge is: it changes with a fit and with a calibration."""
    card = cards.read_card(card_folder(judge))
    known = card.calibration.values() if card else ()
    return catalog.digest([card and card.identity, card and card.weights_digest, catalog.plain(list(known))])


def save(judge: str, rows: Sequence[Row], probes: ProbeReport | None = None, of: str | None = None) -> Path:
    """Write the judge's rows, and what probes found, into its card; return the card's folder.

    `of` is the card's `state` before the judge was loaded. Raises UsageError where it is another by now: the rows are
    not of the calibration that they would stand beside.

    What the card said of other sets and languages, or of probes where none are given, stays if it is of the same judge,
    with the versions that it was made under. A set that keeps such a language has no mean over languages: it would be
    of some of them.
    """
    folder = card_folder(judge)
    if of is not None and of != state(judge):
        again = f"Measure it again: judge bench --judge {judge} --save"
        raise UsageError(f"Judge {judge!r} was fitted or calibrated while it was measured: nothing is saved. {again}")
    card = cards.read_card(folder)
    if card is None:
        raise UsageError(f"The card in {folder} is gone.")
    now = score.now()
    new = [row.model_copy(update={"date": now}).model_dump(mode="json") for row in rows if row.judge == card.judge]
    same = {"judge_digest": new[0]["judge_digest"] if new else None, "versions": versions()}
    old = card.measured if card.measured.get("judge_digest") == same["judge_digest"] else {}
    known = {(row["set"], row["language"]) for row in new} | {(row["set"], MACRO) for row in new}
    rest = [
        _stamped(row, old, same["versions"])
        for row in old.get("rows", [])
        if (row["set"], row["language"]) not in known
    ]
    partly = {(row["set"], MACRO) for row in rest}
    measured = same | {
        "date": now,
        "rows": rest + [row for row in new if (row["set"], row["language"]) not in partly],
        "probes": probes.model_dump(mode="json") if probes else old.get("probes"),
    }
    if not probes and old.get("probes"):
        made = old.get("probes_made") or {"date": old["date"], "versions": old["versions"]}
        measured |= {"probes_made": made} if made["versions"] != same["versions"] else {}
    write(card.model_copy(update={"measured": measured}), folder)
    return folder


def _stamped(row: dict[str, Any], old: dict[str, Any], now: dict[str, str]) -> dict[str, Any]:
    """Return a row that stays, with its date, and with its versions where these are not today's."""
    made = row.get("versions") or old["versions"]
    kept = {key: value for key, value in row.items() if key != "versions"} | {"date": row.get("date") or old["date"]}
    return kept if made == now else kept | {"versions": made}


def dropped(judge: str, rows: Sequence[Row]) -> str:
    """Return one line on what `save` will drop from the judge's card, for it is of another judge; "" for nothing."""
    card = cards.read_card(card_folder(judge))
    digests = {row.judge_digest for row in rows if card and row.judge == card.judge}
    if card is None or not card.measured or not digests or card.measured.get("judge_digest") in digests:
        return ""
    again = {row.set for row in rows}
    lost = list(dict.fromkeys(row["set"] for row in card.measured.get("rows", []) if row["set"] not in again))
    lost += ["probes"] if card.measured.get("probes") else []
    return (
        f"{judge} changed since its card was saved: what the card says of {', '.join(lost)} is dropped." if lost else ""
    )
