"""The arrows, sizes and names of DESIGN.md, read from the source."""

import ast
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "goodvibe_bench"
FILES = sorted(PACKAGE.rglob("*.py"))
LEVELS = {
    0: {"types", "errors", "disk", "untrusted"},
    1: {"catalog"},
    2: {"completion", "task", "model", "metric", "engine"},
    3: {"objective", "neuron", "tuner"},
    4: {"trainer", "generator", "judge"},
    5: {
        "anchor",
        "result",
        "run",
        "request",
        "generating",
        "training",
        "judging",
        "foreign",
        "samples",
        "scoring",
        "reproduce",
    }
    | {"utility", "publishing"},
    6: {"auditing", "backends", "doctor", "plan", "progress"},
    7: {"experiment"},
    8: {"listing"},
    9: {"cli", "plugin"},
    10: {"__main__"},
}
LEVEL = {name: level for level, names in LEVELS.items() for name in names}
SIBLINGS_ALLOWED = {2, 3, 5}
BANNED = {"utils", "common", "helpers", "base", "manager", "handler", "misc"}
HEAVY = {"torch", "transformers", "peft", "datasets", "sklearn", "openai", "lm_eval", "vllm"}
HEAVY |= {"matplotlib", "ray", "fsspec"}
LIGHT = {
    "untrusted",
    "types",
    "errors",
    "catalog",
    "cli",
    "doctor",
    "experiment",
    "listing",
    "plugin",
    "progress",
    "run",
    "request",
    "generating",
    "training",
    "result",
    "utility",
    "engine",
}


def _name(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def _unit(path: Path) -> str:
    """The package or top module that a file belongs to."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def _imported(tree: ast.AST) -> Iterator[str]:
    """Every dotted name that the tree imports, inside functions as well; `from a import b` gives a.b."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: relative imports hide the arrows"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _arrows() -> list[tuple[Path, str]]:
    """Every (file, imported unit of ours) across units."""
    found = []
    for path in FILES:
        for name in _imported(ast.parse(path.read_text())):
            parts = name.split(".")
            if parts[0] == PACKAGE.name and len(parts) > 1 and parts[1] != _unit(path):
                found.append((path, parts[1]))
    return found


ARROWS = _arrows()


def _at_module_level(nodes: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Statements that run when the module is imported: not those in functions."""
    for node in nodes:
        yield node
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            for field in ("body", "orelse", "finalbody"):
                yield from _at_module_level(getattr(node, field, []))


def test_every_unit_has_a_level() -> None:
    assert {_unit(path) for path in FILES} - {"__init__"} == set(LEVEL)


def test_arrows_are_found() -> None:
    # Guards the tests below: an empty list of arrows would pass them all.
    assert ("run.py", "completion") in {(_name(path), unit) for path, unit in ARROWS}
    assert ("cli/commands.py", "listing") in {(_name(path), unit) for path, unit in ARROWS}, (
        "imports in functions count"
    )


def test_arrows_point_down() -> None:
    wrong = [
        f"{_name(path)} -> {unit}"
        for path, unit in ARROWS
        if _unit(path) != "__init__"
        and LEVEL[unit] >= LEVEL[_unit(path)]
        and not (LEVEL[unit] == LEVEL[_unit(path)] and LEVEL[unit] in SIBLINGS_ALLOWED)
    ]
    assert wrong == []


def test_the_package_root_imports_only_nouns_and_errors() -> None:
    assert {unit for path, unit in ARROWS if _name(path) == "__init__.py"} <= LEVELS[0]


def test_siblings_make_no_cycle() -> None:
    graph: dict[str, set[str]] = defaultdict(set)
    for path, unit in ARROWS:
        graph[_unit(path)].add(unit)
    assert len(list(TopologicalSorter(graph).static_order())) >= len(LEVEL)


def test_trainer_generator_and_judge_never_import_one_another() -> None:
    assert [(_name(path), unit) for path, unit in ARROWS if _unit(path) in LEVELS[4] and unit in LEVELS[4]] == []


def test_results_are_read_without_models() -> None:
    allowed = {"types", "errors", "disk", "untrusted", "catalog", "metric"}
    assert [(_name(path), unit) for path, unit in ARROWS if _unit(path) == "result" and unit not in allowed] == []


@pytest.mark.parametrize("path", [p for p in FILES if _unit(p) in LIGHT or _name(p) == "metric/rate.py"], ids=_name)
def test_a_light_module_imports_nothing_heavy(path: Path) -> None:
    loaded = {
        name.split(".")[0]
        for node in _at_module_level(ast.parse(path.read_text()).body)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in _imported(node)
    }
    assert loaded & HEAVY == set()


@pytest.mark.parametrize(
    ("modules", "heavy"),
    [
        ("goodvibe_bench, goodvibe_bench.cli", "torch transformers peft datasets sklearn scipy pandas"),
        ("goodvibe_bench.run, goodvibe_bench.listing", "torch transformers peft datasets openai"),
        ("goodvibe_bench.result.leaderboard, goodvibe_bench.result.store", "torch transformers peft datasets"),
    ],
)
def test_importing_loads_no_heavy_library(modules: str, heavy: str) -> None:
    code = f"import sys, {modules}; print([name for name in {heavy.split()} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert (done.stdout.strip(), done.returncode) == ("[]", 0), done.stderr


@pytest.mark.parametrize("path", FILES, ids=_name)
def test_a_file_has_at_most_400_lines(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 400


@pytest.mark.parametrize("path", FILES, ids=_name)
def test_a_function_has_at_most_50_lines(path: Path) -> None:
    long = {}
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            long |= {node.name: lines} if lines > 50 else {}
    assert long == {}


def test_folders_are_one_deep() -> None:
    assert [_name(path) for path in FILES if len(path.relative_to(PACKAGE).parts) > 2] == []


def test_no_module_has_a_banned_name() -> None:
    words = {part.removesuffix(".py") for path in FILES for part in path.relative_to(PACKAGE).parts}
    assert words & BANNED == set()


def test_definitions_are_not_python() -> None:
    root = PACKAGE.parent
    assert [
        path for kind in ("tasks", "judges", "trainers", "experiments") for path in (root / kind).rglob("*.py")
    ] == []
