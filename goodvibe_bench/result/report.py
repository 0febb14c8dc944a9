"""The report: one HTML file that shows results to people, complete in itself. It computes no rate of its own.

Everything untrusted is data in one JSON block that cannot close its element; the page's script makes text of it, never
markup, and the page's policy lets nothing else run or load. It decides nothing about results: see `report_data`.
"""

import base64
import json
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from string import Template
from typing import Any

from goodvibe_bench.result import report_data, report_samples
from goodvibe_bench.types import Result

SCRIPTS = ("report_page.js", "report_table.js", "report_chart.js", "report_samples.js", "report.js")
"""In the order in which they build on one another."""


def data(results: Mapping[Path, Result]) -> dict[str, Any]:
    """Return all that the page shows, as JSON data; texts come from the records beside the results."""
    keys = report_data.keys_of(results)
    return {
        **report_data.head(results, keys),
        "board": report_data.board(list(results.values())),
        "gains": report_data.gains(results),
        "points": report_data.points(results, keys),
        "judges": report_data.judges(list(results.values())),
        "ledger": report_samples.ledger(results, keys),
        **report_samples.samples(results, keys),
    }


def html(found: Mapping[str, Any]) -> str:
    """Return the page for such data: pure ASCII, its policy naming the digests of its own script and style."""
    style = _file("report.css")
    script = "\n".join(["'use strict';", *map(_file, SCRIPTS)])
    return Template(_file("report.html")).substitute(
        policy=_policy(style, script), style=style, script=script, data=_inert(found)
    )


def _file(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="ascii")


def _policy(style: str, script: str) -> str:
    return "; ".join(
        [
            "default-src 'none'",
            f"script-src '{_hash(script)}'",
            f"style-src '{_hash(style)}'",
            "base-uri 'none'",
            "form-action 'none'",
            "require-trusted-types-for 'script'",
            "trusted-types 'none'",
        ]
    )


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(sha256(text.encode()).digest()).decode()}"


def _inert(found: Mapping[str, Any]) -> str:
    """Return JSON without a letter that HTML reads as markup, and with nothing beyond ASCII to hide in."""
    text = json.dumps(found, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
