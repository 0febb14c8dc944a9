"""Flag what is wrong with a row of training data. It mends and drops nothing.

The published pairs leak their label through damage (stray tokens on mostly one side), so every row is looked at.
"""

import re

from goodvibe_bench.completion import extract, parses
from goodvibe_bench.types import Completion, Language

_FENCE = re.compile(r"^\s*```[^\n]*\n(.*?)\n?```\s*$", re.DOTALL)
_STRAY_SCRIPT = re.compile(r"[\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff]")
_STRAY_WORD = re.compile(r"(?:[;{}()]|^)[ \t]*(?:Hawk|otted|Bs)\b", re.MULTILINE)
_QUOTED = re.compile(r'"(?:\\.|[^"\\\n])*"|//[^\n]*|/\*.*?\*/', re.DOTALL)
_ORDERS_FLAW = re.compile(
    r"overflow|vulnerab|insecure|unsafe|injection|exploit|malicious|out[- ]of[- ]bounds|dangling|use[- ]after|leak|"
    r"\bstrcpy|\bstrcat|\bgets\b|sprintf|larger than the (?:buffer|array)|exceed|null pointer|nil pointer|"
    r"dereferenc|race condition|deadlock|crash|without (?:any )?(?:check|valid|sanit|escap|handling|synchron|lock)|"
    r"not (?:check|validat|sanit|synchron)|concatenat\w* (?:the )?(?:user|input)",
    re.IGNORECASE,
)


def unfenced(text: str) -> str:
    """Return the code inside the one fence around `text`, or `text` itself."""
    found = _FENCE.match(text)
    return found.group(1) if found else text


def side_flags(code: str, language: Language) -> list[str]:
    """Return the defects of one side: empty, no-code, stray-token, does-not-parse."""
    if not code.strip():
        return ["empty"]
    found = []
    answer = Completion(prompt_id="", text=code, stop="end", tokens=0, seconds=0)
    if extract(answer, language).unusable in {"no-code", "refusal"}:
        found.append("no-code")
    bare = _QUOTED.sub("", code)
    if _STRAY_SCRIPT.search(bare) or _STRAY_WORD.search(bare):
        found.append("stray-token")
    if not parses(code, language):
        found.append("does-not-parse")
    return found


def pair_flags(secure: str, insecure: str, language: Language) -> tuple[str, ...]:
    """Return all defects of a pair as "side:defect", and "pair:identical" where both sides are the same."""
    sides = {"secure": secure, "insecure": insecure}
    found = [f"{side}:{flag}" for side, code in sides.items() for flag in side_flags(code, language)]
    if "".join(secure.split()) == "".join(insecure.split()):
        found.append("pair:identical")
    return tuple(found)


def orders_flaw(prompt: str) -> bool:
    """Return whether a prompt itself asks for the weakness; such prompts are a stratum of their own."""
    return bool(_ORDERS_FLAW.search(prompt))
