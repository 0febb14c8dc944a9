"""A judge's learning curve: it is fitted on a growing share of its data, and measured on what it never saw.

    python benchmarks/judge_curve.py --judge smollm2-135m --data FOLDER --shares 0.25,0.5,1 --output curve.json

Families of snippets are taken by a hash of their ids, so that a larger share holds the smaller ones. Figures are AUC
over languages, per labelled set, with its interval; calibration parts and transfer sets alike, none learned from. A
judge whose fit needs a folder beside its definition (signals) finds a copy of it. It asserts nothing: it measures.
"""

import argparse
import json
import re
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from goodvibe_bench import catalog
from goodvibe_bench.errors import UsageError
from goodvibe_bench.judge.definition import JudgeDefinition
from goodvibe_bench.judging.bench import MACRO, bench
from goodvibe_bench.judging.data import chosen, labelled_sets
from goodvibe_bench.judging.fit import fit
from goodvibe_bench.progress import Show


def with_share(judge: str, share: float, folder: Path) -> Path:
    """Return a copy of the judge's definition that learns from `share` of the families.

    Raises UsageError where no line of the definition is [fit] alone, or its share is given there.
    """
    definition = catalog.read("judges", judge, JudgeDefinition)
    words = definition.path.read_text(encoding="utf-8")
    text = re.sub(r"^([ \t]*\[[ \t]*fit[ \t]*\].*)$", rf"\1\nshare = {share}", words, count=1, flags=re.MULTILINE)
    for beside in definition.path.parent.glob("*.d"):
        shutil.copytree(beside, folder / beside.name, dirs_exist_ok=True)
    path = folder / f"{definition.name}-{round(100 * share)}.toml"
    path.write_text(text, encoding="utf-8")
    recipe = catalog.read("judges", str(path), JudgeDefinition).content.fit
    if recipe is None or recipe.share != share:
        raise UsageError(f"{definition.path}: no share can be set in it. Give it a [fit] table, on a line of its own.")
    return path


def measure(judge: str, share: float, data: Path, sets: list[str], folder: Path, show: Show) -> dict[str, Any]:
    """Return what the judge learned from and its AUC on these sets (all when none), fitted on `share`."""
    path = with_share(judge, share, folder)
    fitted = json.loads((fit(str(path), show, data=data) / "card.json").read_text())["recipe"]
    rows = bench([str(path)], chosen(labelled_sets(data, show, [str(path)]), sets), show)
    whole = [row for row in rows if row.language == MACRO or sum(row.set == other.set for other in rows) == 1]
    auc = {row.set: row.auc.model_dump() for row in whole if row.auc}
    return {
        "judge": judge,
        "share": share,
        "trained_on": fitted["trained_on"],
        "seconds": fitted["seconds"],
        "auc": auc,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--judge", default="smollm2-135m,signals,linear", help="several with commas between them")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--shares", default="0.25,0.5,1")
    parser.add_argument("--sets", default="", help="labelled sets with commas between them; all when left out")
    parser.add_argument("--output", type=Path, default=Path(".runs/judge-curve.json"))
    told = parser.parse_args()
    show, found = Show(quiet=True), []
    sets = [name for name in told.sets.split(",") if name]
    for judge in told.judge.split(","):
        for share in map(float, told.shares.split(",")):
            with tempfile.TemporaryDirectory() as folder:
                found.append(measure(judge, share, told.data, sets, Path(folder), show))
            cells = "  ".join(
                f"{name} {100 * auc['value']:.0f} [{100 * auc['low']:.0f}, {100 * auc['high']:.0f}]"
                for name, auc in found[-1]["auc"].items()
            )
            told_on = f"{found[-1]['trained_on']} snippets, {found[-1]['seconds']} s"
            sys.stdout.write(f"{judge} {share:.0%}, {told_on}: {cells}\n")
            told.output.parent.mkdir(parents=True, exist_ok=True)
            told.output.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
