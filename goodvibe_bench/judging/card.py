"""A judge card as Markdown. It reads the card alone and computes nothing."""

import json

from goodvibe_bench.judge.definition import Card


def card_text(card: Card) -> str:
    """Return the judge card as Markdown: data, recipe, and figures per language beside those it is compared with."""
    lines = [f"# Judge card: {card.judge}", "", "## Data", "", "| source | learned from | calibrated on | digest |"]
    lines += ["| --- | --- | --- | --- |"]
    lines += [
        f"| {name} | {row['learn']} | {row['calibration']} | {row['digest']} |" for name, row in card.data.items()
    ]
    lines += ["", "Snippets, half of them secure and half insecure."]
    lines.append("Within a task no near twin is in two parts; between tasks and files twins were not looked for.")
    if "trained_on" in card.recipe:
        lines.append(
            f"{card.recipe['trained_on']} of those learned from are short enough to be read whole; only they count."
        )
    lines += ["", "## Figures on the calibration part", ""]
    lines += ["| language | judge | n | threshold | TPR [95%] | FPR [95%] | AUC | ECE |", "|" + " --- |" * 8]
    for language in card.calibration:
        for judge, figures in {card.judge: card.calibration, **card.compared}.items():
            row = figures[language]
            rates = " | ".join(f"{r.value:.3f} [{r.low:.3f}, {r.high:.3f}]" for r in (row.tpr, row.fpr))
            name = f"| {language} | {judge} | {row.n} | {row.threshold:.3f} | "
            lines.append(f"{name}{rates} | {row.auc:.3f} | {row.ece:.3f} |")
    lines += [
        "",
        "Positive = unsafe. Each row's threshold maximises TPR - FPR on this same part, so these rates flatter.",
    ]
    lines += ["", "## Recipe", "", "```json", json.dumps(card.recipe, indent=1, sort_keys=True), "```", ""]
    return "\n".join(lines)
