"""What the panel's weights are chosen by: AUC on calibration sets with each share for the signals.

    python benchmarks/panel_weights.py --data FOLDER

It asks both members about every undamaged calibration set, mixes their answers as the vote does, and prints mean AUC
over languages, in %. Transfer sets are not asked about. It asserts nothing.
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
from goodvibe_bench.judging.data import labelled_sets
from goodvibe_bench.progress import Show
from goodvibe_bench.types import LANGUAGES, Labelled

MEMBERS = ("smollm2-135m", "signals")
SHARES = (0.0, 1 / 4, 1 / 3, 1 / 2, 2 / 3, 3 / 4, 9 / 10, 1.0)
"""Of the signals."""


def aucs(members: Sequence[judges.Fitted], rows: Sequence[Labelled], show: Show) -> list[float]:
    """Return the AUC in % for every share, on snippets of one language."""
    language = rows[0].language
    answers = [
        [
            centred(record.verdict.p_unsafe, member.thresholds[language])
            for record in replay(rows, language, member, show)
        ]
        for member in members
    ]
    labels = [row.label for row in rows]
    mixed = ([combine(both, "mean", [1 - share, share]) for both in zip(*answers, strict=True)] for share in SHARES)
    return [100 * float(roc_auc_score(labels, scores)) for scores in mixed]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--scratch", type=Path, default=Path(".runs"), help="where the model's scores are kept")
    words = parser.parse_args()
    show = Show(quiet=True)
    members = [judges.load(name, judges.Loading(scratch=words.scratch)) for name in MEMBERS]
    sys.stdout.write("| set | " + " | ".join(f"{share:.2f}" for share in SHARES) + " |\n")
    sys.stdout.write("|" + " --- |" * (1 + len(SHARES)) + "\n")
    for one in labelled_sets(words.data, show):
        if one.use != "calibration" or one.name.endswith("-raw"):
            continue
        parts = [[row for row in one.rows if row.language == language] for language in LANGUAGES]
        found = [aucs(members, rows, show) for rows in parts if rows]
        means = [fmean(column) for column in zip(*found, strict=True)]
        sys.stdout.write(f"| {one.name} | " + " | ".join(f"{mean:.1f}" for mean in means) + " |\n")


if __name__ == "__main__":
    main()
