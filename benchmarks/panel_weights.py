"""What the panel's weights are chosen by: AUC and the order of pairs on calibration sets, by each set of weights.

    python benchmarks/panel_weights.py --data FOLDER

It asks all members about every undamaged calibration set, mixes their answers as the vote does, and prints the mean AUC
over languages, in %, and behind a slash the share of pairs whose insecure side has the higher p_unsafe (a tie counts as
half). Transfer sets are not asked about. It asserts nothing.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

from sklearn.metrics import roc_auc_score

from goodvibe_bench.judge import load as judges
from goodvibe_bench.judge.vote import centred, combine
from goodvibe_bench.judging.bench import replay
from goodvibe_bench.judging.data import LabelledSet, labelled_sets
from goodvibe_bench.metric.auc import pair_order
from goodvibe_bench.progress import Show
from goodvibe_bench.types import LANGUAGES, Language

MEMBERS = ("smollm2-135m", "signals", "pairwise")
WEIGHTS = (
    *((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    *((3, 1, 0), (2, 1, 0), (1, 1, 0), (1, 2, 0), (1, 3, 0), (1, 9, 0)),
    *((1, 3, 1), (1, 3, 2), (1, 3, 3), (1, 2, 1), (1, 2, 2), (2, 3, 3), (1, 6, 2), (1, 6, 3)),
    *((0, 3, 1), (0, 2, 1), (0, 1, 1)),
)
"""Of the members, in their order."""
Found = tuple[float, float | None]
"""AUC in %, and the share of pairs in the right order in %, where the set has pairs."""


def asked(members: Sequence[judges.Fitted], one: LabelledSet, language: Language, show: Show) -> list[Found]:
    """Return what every set of weights gives on a set of one language."""
    answers = [
        [
            centred(record.verdict.p_unsafe, member.thresholds[language])
            for record in replay(one.rows, language, member, show)
        ]
        for member in members
    ]
    labels = [row.label for row in one.rows]
    mixed = ([combine(all_, "mean", weights) for all_ in zip(*answers, strict=True)] for weights in WEIGHTS)
    return [(100 * float(roc_auc_score(labels, scores)), _in_order(one.pairs, scores)) for scores in mixed]


def _in_order(pairs: Sequence[tuple[int, int]], scores: Sequence[float]) -> float | None:
    gaps = [scores[insecure] - scores[secure] for secure, insecure in pairs]
    return 100 * pair_order(gaps).value if gaps else None


def _cell(found: Sequence[Found]) -> str:
    orders = [order for _, order in found if order is not None]
    return f"{fmean(auc for auc, _ in found):.1f}" + (f" / {fmean(orders):.0f}" if orders else "")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--scratch", type=Path, default=Path(".runs"), help="where the model's scores are kept")
    words = parser.parse_args()
    show = Show(quiet=True)
    members = [judges.load(name, judges.Loading(scratch=words.scratch)) for name in MEMBERS]
    columns = {}
    for one in labelled_sets(words.data, show):
        if one.use == "calibration" and not one.name.endswith("-raw"):
            parts: list[tuple[LabelledSet, Language]] = [
                (one.only([i for i, row in enumerate(one.rows) if row.language == language]), language)
                for language in LANGUAGES
            ]
            found = [asked(members, part, language, show) for part, language in parts if part.rows]
            columns[one.name] = [_cell(cells) for cells in zip(*found, strict=True)]
    sys.stdout.write("| " + ", ".join(MEMBERS) + " | " + " | ".join(columns) + " |\n")
    sys.stdout.write("|" + " --- |" * (1 + len(columns)) + "\n")
    for weights, cells in zip(WEIGHTS, zip(*columns.values(), strict=True), strict=True):
        sys.stdout.write(f"| {', '.join(map(str, weights))} | " + " | ".join(cells) + " |\n")


if __name__ == "__main__":
    main()
