"""Results whose every text wants to leave the page that shows it, or to lie to who reads it."""

import json
from pathlib import Path
from typing import Any

from goodvibe_bench.result import store
from goodvibe_bench.types import Outcome
from tests.result.builders import outcomes, record, result

TEXTS = {
    "script": "<script>window.hacked = 1</script>",
    "onerror": '<img src=x onerror="window.hacked = 2">',
    "close": "</script><script>window.hacked = 3</script>",
    "close-text": "</pre></td></textarea></title><svg onload=window.hacked=4>",
    "comment": "<!--<script>",
    "template": "${window.hacked = 5}`${alert(1)}`",
    "link": '<a href="javascript:window.hacked=6">x</a><base href="https://example.invalid/">',
    "beacon": '<img src="https://example.invalid/x.png"><link rel=stylesheet href="//example.invalid/x.css">',
    "terminal": "\x1b]0;title\x07\x1b[2J\x1b[31mred",
    "bidi": "if (admin) { /*\u202e } \u2066if (isAdmin)\u2069 \u2066 begin admins only */",
    "nul": "a\x00b",
    "line-separators": "a\u2028b\u2029c",
    "invisible": "pass\u200bword = \ufeff1; // \u00ad\U000e0041",
    "entities": "&lt;b&gt; &amp; &#60;script&#62;",
    "json": '"], "samples": []} \\u003c \\',
    "surrogate": "half \ud800 and \udc00 other",
    "rtl": "שלום int x;",
}
"""By name, without the long one; the surrogate can be no text of ours, so it comes into the file as an escape."""
LONG = "x" * 2**20
"""1 MB on one line."""


def hostile(folder: Path) -> list[Path]:
    """Write a base and a tuned result with records to `folder`; every name and text in them is hostile."""
    name = TEXTS["close"] + TEXTS["onerror"]
    texts = [*TEXTS.values(), LONG]
    rows = outcomes(insecure=len(texts))
    for row, text in zip(rows, texts, strict=True):
        row |= {"cwe": text[:40].replace("\ud800", "").replace("\udc00", ""), "family": name}
    judge = {"name": "../../" + name, "digest": name}
    paths = [folder / "base.json", folder / "tuned.json"]
    (folder / "records").mkdir(parents=True, exist_ok=True)
    for path, method in zip(paths, ("none", name + "\u202e"), strict=True):
        store.write_result(result(rows, model=name, method=method, judge=judge), path)
        lines = [json.dumps(_record(number, text)) for number, text in enumerate(texts)]
        (folder / "records" / f"{path.stem}.jsonl").write_text("\n".join(lines) + "\n")
    return paths


def _record(number: int, text: str) -> dict[str, Any]:
    words = record(number, Outcome.INSECURE).model_dump(mode="json")
    words["prompt"]["text"] = words["code"]["text"] = words["completion"]["text"] = text
    return words
