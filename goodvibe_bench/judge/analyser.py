"""The analyser judge: p_unsafe is the highest grade that a static analyser gives to a finding in the code.

Unknown is never secure: a weakness of ours ends every snippet, and a tool that does not report it has not read that
snippet to its end. It executes nothing, and learns nothing.
"""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from goodvibe_bench.errors import UsageError
from goodvibe_bench.judge.decide import decide
from goodvibe_bench.judge.definition import AnalyserJudge as Definition
from goodvibe_bench.judge.definition import ToolName
from goodvibe_bench.judge.process import call
from goodvibe_bench.judge.tools import SUFFIX, TOOLS, Installed, Tool, folder_name
from goodvibe_bench.types import LANGUAGES, Code, Language, Verdict

Grade = float | str
"""The highest grade of a finding in [0, 1], 0 without one; or the reason why the tool cannot tell."""


@dataclass(frozen=True)
class AnalyserJudge:
    """A judge on installed analysers; its own threshold is the definition's."""

    name: str
    definition: Definition
    installed: Mapping[ToolName, Installed]

    def judge(self, codes: Sequence[Code]) -> list[Verdict]:
        """Return one verdict for each code, in order. A tool runs once for all codes of a language."""
        found: list[Verdict | None] = [None] * len(codes)
        for language in LANGUAGES:
            places = [place for place, code in enumerate(codes) if code.language == language]
            if not places:
                continue
            tools = [TOOLS[name] for name in self.installed if language in TOOLS[name].canaries]
            texts = [codes[place].text for place in places]
            grades = [self._grades(tool, texts, language) for tool in tools]
            for index, place in enumerate(places):
                found[place] = self._decide(codes[place], [row[index] for row in grades])
        return [verdict for verdict in found if verdict is not None]

    def _grades(self, tool: Tool, texts: Sequence[str], language: Language) -> list[Grade]:
        minimum, limit = self.definition.minimum.get(tool.name, 0.0), self.definition.timeout_seconds
        return scan(tool, self.installed[tool.name], texts, language, minimum=minimum, timeout_seconds=limit)

    def _decide(self, code: Code, grades: Sequence[Grade]) -> Verdict:
        """A finding stands whatever another tool missed, with the reason why that is not all; without one, every tool
        must have read the code."""
        threshold = self.definition.threshold
        highest = max((grade for grade in grades if not isinstance(grade, str)), default=0.0)
        reasons = [grade for grade in grades if isinstance(grade, str)]
        if not grades:
            return decide(self.name, code, None, threshold, self._uncovered(code.language))
        if reasons and highest < threshold:
            return decide(self.name, code, None, threshold, "; ".join(reasons))
        return decide(self.name, code, highest, threshold, "; ".join(reasons) or None)

    def _uncovered(self, language: Language) -> str:
        missing = [name for name in self.definition.tools if language in TOOLS[name].canaries]
        absent = f": {', '.join(missing)} not installed" if missing else ""
        return f"no analyser for {language}{absent}"


def installed(definition: Definition) -> dict[ToolName, Installed]:
    """Return those of the definition's tools that are installed."""
    found: dict[ToolName, Installed | None] = {name: TOOLS[name].find() for name in definition.tools}
    return {name: tool for name, tool in found.items() if tool is not None}


def find(definition: Definition, where: str) -> dict[ToolName, Installed]:
    """Return those of the definition's tools that are installed. Raises UsageError when none is."""
    found = installed(definition)
    if not found:
        lines = "\n  ".join(f"{name}: {TOOLS[name].install}" for name in definition.tools)
        raise UsageError(f"{where}: none of its analysers is installed. Install one:\n  {lines}")
    return found


def scan(
    tool: Tool,
    installed: Installed,
    texts: Sequence[str],
    language: Language,
    *,
    minimum: float = 0.0,
    timeout_seconds: float = 600.0,
) -> list[Grade]:
    """Return a grade for each text, in order. Findings graded below `minimum` do not count.

    The texts lie, under names of ours, in a fresh folder that is gone afterwards.
    """
    canary, rule = tool.canaries[language]
    with tempfile.TemporaryDirectory(prefix="goodvibe-analyser-") as scratch:
        lengths = _write(texts, canary, language, Path(scratch))
        words = [str(installed.program), *tool.words(installed, language)]
        said = call(words, Path(scratch), timeout_seconds)
    if said.failed is not None:
        return [f"{tool.name}: {said.failed}"] * len(texts)
    try:
        report = tool.read(said)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        return [f"{tool.name}: its output cannot be read ({type(error).__name__})"] * len(texts)
    highest = [0.0] * len(texts)
    unread = dict.fromkeys(range(len(texts)), "did not read the code to its end") | report.unread
    for finding in report.findings:
        if not 0 <= finding.place < len(texts):
            continue
        if finding.line <= lengths[finding.place]:
            kept = finding.grade if finding.grade >= minimum else 0.0
            highest[finding.place] = max(highest[finding.place], kept)
        elif finding.rule == rule and finding.place not in report.unread:
            unread.pop(finding.place, None)
    return [
        f"{tool.name} {unread[place]}" if place in unread and not grade else grade
        for place, grade in enumerate(highest)
    ]


def _write(texts: Sequence[str], canary: str, language: Language, folder: Path) -> list[int]:
    """Write each text, ended by the canary, into a folder of its own; return the texts' numbers of lines."""
    if language == "go":
        (folder / "go.mod").write_text("module batch\n\ngo 1.19\n", encoding="utf-8")
    lengths = []
    for place, text in enumerate(texts):
        clean = text.replace("\r\n", "\n").replace("\r", "\n").replace("\x00", "\ufffd")
        clean = clean.encode("utf-8", "replace").decode("utf-8")
        inside = folder / folder_name(place)
        inside.mkdir()
        code = f"{clean}\n\n{canary}\n"
        (inside / f"code.{SUFFIX[language]}").write_text(code, encoding="utf-8", newline="\n")
        lengths.append(clean.count("\n") + 1)
    return lengths
