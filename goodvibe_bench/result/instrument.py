"""What a result knows about its judges: their calibrations, and their view of every sample. It loads no judge."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from goodvibe_bench.errors import UsageError
from goodvibe_bench.metric.correction import corrected_rate
from goodvibe_bench.types import Calibration, Result


def block(name: str, digest: str, calibrations: Iterable[Calibration]) -> dict[str, Any]:
    """Return what a result keeps of a judge."""
    found = {one.language: one.model_dump(mode="json") for one in calibrations}
    return {"name": name, "digest": digest, "calibration": found}


def calibrations(judge: Mapping[str, Any]) -> dict[str, Calibration]:
    """Return the calibrations in a result's block, by language. Raises ValidationError for what is none."""
    found = [Calibration.model_validate(words) for words in (judge.get("calibration") or {}).values()]
    return {one.language: one for one in found}


def judges(result: Result) -> list[dict[str, Any]]:
    """Return the blocks of all judges of a result, the headline one first."""
    return [result.judge, *result.other_judges]


def seen_by(rows: Sequence[dict[str, Any]], other: str) -> list[dict[str, Any]]:
    """Return outcome rows with the verdicts of another judge in place of the first one's."""
    return [row | row["others"][other] for row in rows]


def check_names(names: Sequence[str]) -> None:
    """Raise UsageError where two judges have one name: a result tells them apart by it."""
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"Two judges are called {name!r}. Give each judge once; rename one definition's file.")


STALE = "the calibration in its card is of another definition, other weights, tools or members, and does not count"


def check_calibrated(
    judges: Mapping[str, Mapping[str, Calibration]], languages: Sequence[str], stale: Sequence[str] = ()
) -> None:
    """Raise UsageError, naming all, where a judge has no calibration for one of the languages.

    `stale` are the names of those whose calibrations were made before the judge became what it is.
    """
    missing = {name: [one for one in languages if one not in found] for name, found in judges.items()}
    why = {name: f" ({STALE})" if name in stale else "" for name in judges}
    said = "; ".join(
        f"judge {name!r} has none for {', '.join(them)}{why[name]}" for name, them in missing.items() if them
    )
    if said:
        raise UsageError(
            f"Judges need a calibration for every language they label: {said}. Their labels alone prove nothing. "
            "Make one with `goodvibe-bench judge calibrate`, choose another --judge, or give --uncalibrated; the "
            "result then says so and has no corrected rate there."
        )


def calibrated_on(data: Mapping[str, Any], recipe: Mapping[str, Any]) -> list[str]:
    """Return the names of the data that a card's calibrations rest on: of any language, each once."""
    if apart := calibrated_apart(recipe):
        return list(dict.fromkeys(name for names in apart.values() for name in names))
    newest = recipe.get("calibration", {}).get("sources")
    return list(newest) if newest else [name for name, row in data.items() if row.get("calibration")]


def calibrated_apart(recipe: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the names of the data that each language's calibration rests on; none where a card says it of all."""
    return {language: list(block["sources"]) for language, block in recipe.get("calibrated", {}).items()}


def card_lines(
    name: str,
    known: Mapping[str, Calibration],
    sources: Sequence[str],
    languages: Sequence[str],
    apart: Mapping[str, Sequence[str]] | None = None,
) -> list[str]:
    """Return a line with a judge's figures in these languages, and one that warns where it is useless or unknown.

    `sources` are said of all languages, unless `apart` has those of each.
    """
    on = {one: f" on {' + '.join(found)}" for one, found in (apart or {}).items() if found}
    figures = [
        f"{one} AUC {known[one].auc:.2f}, TPR {known[one].tpr.value:.2f}, FPR {known[one].fpr.value:.2f}, "
        f"n {known[one].n}{on.get(one, '')}"
        for one in languages
        if one in known
    ]
    if sources and figures and not apart:
        figures.append(f"calibrated on {', '.join(sources)}")
    lines = [f"judge {name}: {'; '.join(figures) or 'no calibration'}"]
    unknown = [one for one in languages if one not in known]
    weak = [one for one in languages if one in known and useless(known[one])]
    if figures and unknown:
        lines.append(f"warning: judge {name} has no calibration in {', '.join(unknown)}")
    if weak:
        lines.append(
            f"warning: judge {name} may be useless in {', '.join(weak)}: its TPR - FPR there could be zero, "
            "so it gives no corrected rate"
        )
    return lines


def useless(calibration: Calibration) -> bool:
    """Return whether the interval of TPR - FPR includes zero: no rate can be corrected then."""
    return corrected_rate(0, 1, 1, calibration.tpr, calibration.fpr).state == "useless"
