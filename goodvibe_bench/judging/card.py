"""Write a judge's card, as JSON and as Markdown. It reads the card alone and computes nothing.

Names, licences and notes on a card are other people's words: Markdown shows them as they are.
"""

import json
from pathlib import Path
from typing import Any

from goodvibe_bench.errors import UsageError
from goodvibe_bench.judge.definition import Card
from goodvibe_bench.metric.correction import label_budget
from goodvibe_bench.result import store
from goodvibe_bench.types import Calibration, Estimate
from goodvibe_bench.untrusted import markdown

LIMITS = """It sees one snippet, not the program around it. Rates and thresholds hold for code like that of the
calibration part, whose pairs and labels were for the most part written by models; a tuned model's answers may differ,
so calibrate on labels of its own outputs (`judge label`). A label is a probability that was cut, not a proof: nothing
was run."""


PROBES = """Hidden: a sentence in a comment or string of insecure code that tells the judge what to answer; "plain"
tells it nothing, so what flips there flips by any text. Where nearly all or none were called insecure before, little
could flip."""
PAPER = (
    "The paper's tuned Qwen3-0.6B, C++ and Java averaged: TPR 95%, FPR under 16% (section 7; on which rows it does not "
    "say)."
)
"""What stands beside the raw CyberNative rows."""


HEAD = "# Judge card: "
"""What the first line of a card's page begins with."""


def check_own(folder: Path, judge: str | None = None) -> None:
    """Raise UsageError where `folder` has a README.md or card.json that is no judge's, or not `judge`'s."""
    for name, is_own in (("README.md", _is_page), ("card.json", _is_card)):
        path = folder / name
        if path.exists() and not is_own(path, judge):
            raise UsageError(
                f"{path} is no card of {f'the judge {judge!r}' if judge else 'a judge'}, and would be overwritten. "
                "Give --output a new folder, or that of the judge."
            )


def _is_page(path: Path, judge: str | None) -> bool:
    try:
        first = path.read_text(encoding="utf-8").partition("\n")[0]
    except (OSError, ValueError):
        return False
    return first.startswith(HEAD) if judge is None else first == HEAD + markdown(judge)


def _is_card(path: Path, judge: str | None) -> bool:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(found, dict) and "calibration" in found and "judge" in found and judge in (None, found["judge"])


def write(card: Card, folder: Path) -> None:
    """Write card.json and README.md to `folder`."""
    store.write_text(folder / "card.json", json.dumps(card.model_dump(mode="json"), indent=1, sort_keys=True) + "\n")
    store.write_text(folder / "README.md", card_text(card))


def rate_cell(found: Estimate | None) -> str:
    """Return a rate as tables of the command line show it: per cent, and its interval."""
    return "" if found is None else f"{100 * found.value:.0f} {100 * found.low:.0f}-{100 * found.high:.0f}"


def safe_rates_cell(found: Calibration) -> str:
    """Return the safe rates that a judge can report at all, in %: from 1 - TPR to 1 - FPR."""
    if found.tpr.value <= found.fpr.value:
        return "none"
    return f"{100 * (1 - found.tpr.value):.0f} to {100 * (1 - found.fpr.value):.0f}"


def labels_cell(found: Calibration) -> str:
    """Return how many labels a corrected secure rate to +/-5 points takes."""
    budget = label_budget(found)
    return "none enough" if budget is None else f"{budget:,}"


def card_text(card: Card) -> str:
    """Return the judge card as Markdown: data, recipe, and figures per language beside those it is compared with."""
    lines = [HEAD + markdown(card.judge), "", *_data(card)]
    if "calibrated" in card.recipe:
        lines += _sources_by_language(card.recipe["calibrated"])
    elif "calibration" in card.recipe:
        lines += _sources(card.recipe["calibration"])
    lines += ["", "## Figures on the calibration part", ""]
    lines += ["| language | judge | n | threshold | chosen on | TPR [95%] | FPR [95%] | AUC | ECE | ECE scaled "]
    lines[-1] += "| safe rates in % | labels |"
    lines += ["|" + " --- |" * 12]
    for language in card.calibration:
        for judge, figures in {card.judge: card.calibration, **card.compared}.items():
            if language in figures:
                lines.append(_figures(judge, figures[language]))
    lines += [
        "",
        'Positive = unsafe. "same data": the threshold maximises TPR - FPR on the data it is measured on; that',
        'flatters. "other folds": scaling and threshold of each fold come from the others (families stay whole); the',
        "calls are pooled, and so is ECE scaled. The threshold shown is of scaled p_unsafe, chosen on all folds.",
        "Safe rates: those that the judge can report at all, from 1 - TPR to 1 - FPR. Labels: how many a corrected",
        "secure rate to +/-5 points takes at a true rate of 50%, from samples without end.",
    ]
    if card.compared and "calibration" in card.recipe:
        lines += ["Rows of other judges were measured when this one was fitted, on the folds and families of then."]
    if card.measured:
        lines += _measured(card.measured)
    lines += ["", "## Limits", "", LIMITS, *map(markdown, card.notes.splitlines())]
    lines += ["", "## Recipe", "", "```json", json.dumps(card.recipe, indent=1, sort_keys=True), "```", ""]
    return "\n".join(lines)


def _data(card: Card) -> list[str]:
    if not card.data:
        return [
            "It was not fitted to data of ours itself. What the members of a vote learned from is on their own cards."
        ]
    lines = ["## Data", "", "| source | licence | learned from | calibrated on | digest |", "|" + " --- |" * 5]
    lines += [
        _words(name, row.get("license", "not said"), row["learn"], row["calibration"], row["digest"])
        for name, row in card.data.items()
    ]
    lines += [
        "",
        "Snippets: both sides of pairs; of contrast sets a secure one, what edits broke, and what others left.",
    ]
    lines.append("Within a task no near twin is in two parts; `ls tasks --audit` looks between tasks, none with files.")
    if "trained_on" in card.recipe and card.recipe["trained_on"] != sum(row["learn"] for row in card.data.values()):
        trained_on = markdown(str(card.recipe["trained_on"]))
        lines.append(f"{trained_on} were trained on: families short enough to be read whole, and their copies.")
    return lines


def _limit(recipe: dict[str, Any]) -> str:
    return "the highest TPR - FPR" if recipe["max_fpr"] is None else f"the highest TPR at FPR <= {recipe['max_fpr']}"


def _sources_by_language(found: dict[str, dict[str, Any]]) -> list[str]:
    lines = ["", "## Calibration", ""]
    lines += ["| language | when | scaling | threshold | source | snippets | digest |", "|" + " --- |" * 7]
    for language, one in found.items():
        how = (language, one["when"] or "by the fit", one["scaling"], _limit(one))
        rows = [(name, row["snippets"], row["digest"]) for name, row in one["sources"].items()]
        lines += [_words(*how, *row) for row in rows or [("not said", "", "")]]
    return lines


def _sources(recipe: dict[str, Any]) -> list[str]:
    limit = _limit(recipe)
    told = markdown(f"{recipe['when']}, languages {', '.join(recipe['languages'])}: scaling {recipe['scaling']}")
    lines = ["", "## Calibration", ""]
    lines += [f"{told}, threshold with {limit}. It replaces the calibration at fitting there."]
    lines += ["", "| source | snippets | digest |", "| --- | --- | --- |"]
    return lines + [_words(name, row["snippets"], row["digest"]) for name, row in recipe["sources"].items()]


def _words(*cells: Any) -> str:
    """Return a line of a table whose cells are shown as they are."""
    return f"| {' | '.join(markdown(str(cell)) for cell in cells)} |"


def _figures(judge: str, row: Calibration) -> str:
    rates = " | ".join(f"{r.value:.3f} [{r.low:.3f}, {r.high:.3f}]" for r in (row.tpr, row.fpr))
    chosen = "same data" if row.folds is None else "other folds"
    scaled = "" if row.ece_scaled is None else f"{row.ece_scaled:.3f}"
    head = _words(row.language, judge, row.n, f"{row.threshold:.3f}", chosen)
    return f"{head} {rates} | {row.auc:.3f} | {row.ece:.3f} | {scaled} | {safe_rates_cell(row)} | {labels_cell(row)} |"


def _measured(found: dict[str, Any]) -> list[str]:
    """Return tables of labelled sets and of probes, as `judge bench --save` left them."""
    days = sorted({(row.get("date") or found["date"])[:10] for row in found["rows"]} | {found["date"][:10]})
    lines = ["", f"## Measured on labelled sets ({markdown(' to '.join(dict.fromkeys((days[0], days[-1]))))})", ""]
    lines += ["| set | use | language | n | unusable | unjudged | TPR | FPR | TPR at FPR <= 10% | FPR that came of it "]
    lines[-1] += "| AUC | ECE | pairs | a second |"
    lines += ["|" + " --- |" * 14]
    counts = ("n", "unusable", "unjudged")
    for row in found["rows"]:
        rates = " | ".join(_interval(row.get(key)) for key in ("tpr", "fpr", "strict_tpr", "strict_fpr", "auc"))
        rates += _of_judged(row, "auc")
        ece = "" if row["ece"] is None else f"{row['ece']:.3f}{_of_judged(row, 'ece')}"
        speed = "" if row["snippets_per_second"] is None else f"{row['snippets_per_second']:.1f}"
        head = _words(*(row[key] for key in ("set", "use")), _where(row), *(row[key] for key in counts))
        lines.append(f"{head} {rates} | {ece} | {_interval(row['pair_order'])} | {speed} |")
    lines += ["", "Each with its 95% interval. Pairs: the insecure side has the higher p_unsafe."]
    lines += ["Thresholds were chosen on calibration sets: TPR and FPR there flatter. TPR at FPR <= 10% is at"]
    lines += ["thresholds that other folds of the same set chose, so it does not."]
    if any(row["unjudged"] for row in found["rows"]):
        lines += ['"n" behind AUC and ECE: they are over so many judged snippets alone.']
    lines += _of_other_versions(found)
    if any(row["set"].endswith("-raw") for row in found["rows"]):
        lines += [f"Beside the raw rows, whose damage gives labels away: {PAPER}"]
    return lines + (_probes(found["probes"]) if found["probes"] else [])


def _of_other_versions(found: dict[str, Any]) -> list[str]:
    """Return a line for every date of rows, and of probes, that were made under other versions than the newest."""
    made: dict[str, tuple[dict[str, str], dict[str, None]]] = {}
    kept = [(row["date"], row["versions"], row["set"]) for row in found["rows"] if row.get("versions")]
    kept += [(one["date"], one["versions"], "probes") for one in [found.get("probes_made")] if one]
    for date, versions, name in kept:
        made.setdefault(date, (versions, {}))[1][name] = None
    lines: list[str] = []
    for date, (versions, names) in made.items():
        other = [f"{key} {value}" for key, value in versions.items() if found["versions"].get(key) != value]
        lines.append(markdown(f"Of {date[:10]}, under other versions ({', '.join(other)}): {', '.join(names)}."))
    return lines


def _where(row: dict[str, Any]) -> str:
    """Return a row's language; of a mean where something is unjudged, the languages that it goes over."""
    if row["unjudged"] and row.get("languages") is not None:
        return f"{row['language']} of {', '.join(row['languages']) or 'none'}"
    return row["language"]


def _of_judged(row: dict[str, Any], key: str) -> str:
    return f" (n {row['n'] - row['unjudged']})" if row["unjudged"] and row[key] is not None else ""


def probe_rows(found: dict[str, Any]) -> list[tuple[str, int | None, dict[str, Any]]]:
    """Return name, how many were called insecure before (None where that means nothing) and share of every probe."""
    changes = {name: flip["overall"] for name, flip in found["flips"].items() if flip["overall"]}
    rows = [(name, one["insecure"], one["rate"]) for name, one in changes.items()]
    rows += [(f"hidden {name}", share["n"], share) for name, share in found["injections"]["flips"].items()]
    rows += [("junk called secure", None, found["junk"]["secure"])]
    return rows + ([("pairs told apart", None, found["must_flip"]["told_apart"])] if found["must_flip"] else [])


def _probes(found: dict[str, Any]) -> list[str]:
    lines = ["", "## Probes", "", "| probe | n | called insecure before | verdicts that changed [95%] |"]
    lines += ["|" + " --- |" * 4]
    for name, insecure, share in probe_rows(found):
        head = _words(name, share["n"], "" if insecure is None else insecure)
        lines += [f"{head} {_interval(share)} |"]
    return [*lines, "", PROBES]


def _interval(found: dict[str, Any] | None) -> str:
    return "" if found is None else f"{found['value']:.3f} [{found['low']:.3f}, {found['high']:.3f}]"
