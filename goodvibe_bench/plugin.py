"""pytest gates on security: `pytest --goodvibe-result NEW --goodvibe-baseline OLD` has one test more, which is `check`.

pytest finds this module by the package's `pytest11` entry point and reads it at every start, so nothing else of the
project is imported until the test runs.
"""

import warnings
from pathlib import Path
from typing import Any

import pytest

OPTIONS = ("result", "baseline", "results", "margin", "on-inconclusive")


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("goodvibe-bench", "gate on the security of generated code")
    group.addoption("--goodvibe-result", metavar="RESULT", help="A result file, or a method whose seeds are pooled.")
    group.addoption("--goodvibe-baseline", metavar="RESULT", help="The same: what it must not be worse than.")
    group.addoption("--goodvibe-results", metavar="FOLDER", default="results", help="Where methods are looked for.")
    group.addoption("--goodvibe-margin", metavar="POINTS", default="2pp", help="Secure rate that may be lost.")
    group.addoption(
        "--goodvibe-on-inconclusive", choices=("fail", "warn", "pass"), default="fail", help="Where neither is proven."
    )


def pytest_collection_modifyitems(session: pytest.Session, config: pytest.Config, items: list[pytest.Item]) -> None:
    result, baseline = config.getoption("--goodvibe-result"), config.getoption("--goodvibe-baseline")
    if bool(result) != bool(baseline):
        raise pytest.UsageError("--goodvibe-result and --goodvibe-baseline are given together, or not at all.")
    if result:
        items.append(Gate.from_parent(session, name="goodvibe-bench check"))


class GateError(Exception):
    """The gate's answer where it is not passed, in words."""


class Gate(pytest.Item):
    """One check of a result against its baseline."""

    def runtest(self) -> None:
        from goodvibe_bench.errors import UsageError
        from goodvibe_bench.result import gate_files

        try:
            found = self._checked()
        except UsageError as error:
            raise GateError(str(error)) from error
        text = "\n".join([gate_files.headline(found), *gate_files.lines(found)])
        if found.exit_code:
            raise GateError(text)
        if found.word == "inconclusive" and found.limits.on_inconclusive == "warn":
            warnings.warn(pytest.PytestWarning(text), stacklevel=1)

    def _checked(self) -> Any:
        from goodvibe_bench import catalog
        from goodvibe_bench.result import check
        from goodvibe_bench.result.compare import side

        asked: Any = {name: self.config.getoption(f"--goodvibe-{name}") for name in OPTIONS}
        words = {"margin": check.points(asked["margin"]), "on_inconclusive": asked["on-inconclusive"]}
        before, after = (side(asked[name], Path(asked["results"])) for name in ("baseline", "result"))
        return check.check(before, after, catalog.parse(words, check.Limits, "check"))

    def repr_failure(self, excinfo: Any, style: Any = None) -> Any:
        """Return the gate's words alone: a traceback would say nothing of the result."""
        from goodvibe_bench.untrusted import printable_lines

        return (
            printable_lines(str(excinfo.value)) if excinfo.errisinstance(GateError) else super().repr_failure(excinfo)
        )

    def reportinfo(self) -> tuple[Path, None, str]:
        return self.config.rootpath, None, self.name
