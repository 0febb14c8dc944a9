"""Made-up rows in the published data set's format, with defects and near twins planted."""

import json
import random
from pathlib import Path
from typing import Any

STRAY, UNPARSABLE, IDENTICAL, EMPTY, PROSE = 3, 5, 7, 9, 11
"""Rows with a defect, by their place in the file."""
TWINS = [(0, 20), (1, 21), (1, 22), (2, 23), (12, 24)]
"""Rows that are near twins: by prompt (0-20), by code on one side (the others), in a chain by row 1."""
ORDERS_FLAW = 14


def _words(dice: random.Random, count: int) -> list[str]:
    return ["".join(dice.choices("abcdefghijklmnopqrstuvwxyz", k=dice.randint(6, 9))) for _ in range(count)]


def _code(dice: random.Random) -> str:
    a, b, c, d, e, f = _words(dice, 6)
    return f"int {a}(int {b}) {{\n    int {c} = {b} + {dice.randint(10, 9999)};\n    return {d}({c}, {e}, {f});\n}}\n"


def published_rows(count: int = 40) -> list[dict[str, Any]]:
    """Return `count` C++ rows and, behind them, one Go row."""
    dice = random.Random(7)
    rows = [
        {
            "lang": "c++",
            "vulnerability": "made up",
            "system": "",
            "question": " ".join(_words(dice, 14)),
            "chosen": f"```cpp\n{_code(dice)}```",
            "rejected": f"```cpp\n{_code(dice)}```",
        }
        for _ in range(count)
    ]
    rows[STRAY]["rejected"] = "```cpp\n" + _code(dice).replace("{\n", "{\n    重要;\n") + "```"
    rows[UNPARSABLE]["chosen"] = "```cpp\nint broken(int a { return ;;; ] }\n```"
    rows[IDENTICAL]["rejected"] = rows[IDENTICAL]["chosen"].replace("    ", "  ")
    rows[EMPTY]["chosen"] = ""
    rows[PROSE]["rejected"] = "I am sorry, but I cannot help with that request."
    rows[20]["question"] = rows[0]["question"] + "."
    rows[21]["chosen"] = rows[1]["chosen"].replace("return", "return  ")
    rows[22]["rejected"] = rows[21]["chosen"]
    rows[23]["chosen"] = rows[2]["rejected"]
    rows[24]["rejected"] = rows[12]["rejected"].replace("int ", "int  ", 1)
    rows[ORDERS_FLAW]["question"] += " with strcpy so that it will overflow"
    return [*rows, {**rows[4], "lang": "Go", "question": "a row of another language"}]


def write_rows(path: Path, rows: list[dict[str, Any]]) -> Path:
    """Write rows as JSON Lines; return the path."""
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path
