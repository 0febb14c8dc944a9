"""Every bundled C++, Java and Go snippet passes its own compiler, where that is installed (`make toolchains`)."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.bundled.rows import snippets

CHUNKS = 8
HERE = Path(__file__).parent
ENVIRONMENT = {"GOPROXY": "off", "GOFLAGS": "-mod=mod", "GOTOOLCHAIN": "local", "CGO_ENABLED": "0"}


def _needs(program: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(shutil.which(program) is None, reason=f"{program} is not installed: make toolchains")


def _run(words: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    import os

    return subprocess.run(words, capture_output=True, text=True, cwd=folder, env=os.environ | ENVIRONMENT)


def _cpp_fault(code: str, folder: Path) -> str:
    (folder / "snippet.cpp").write_text(code)
    return _run(["g++", "-fsyntax-only", "-std=c++17", "snippet.cpp"], folder).stderr


def _java_faults(codes: dict[str, str], folder: Path) -> list[str]:
    paths = []
    for number, code in enumerate(codes.values()):
        public = re.search(r"\bpublic\s+(?:(?:final|abstract|sealed)\s+)*(?:class|interface|enum|record)\s+(\w+)", code)
        path = folder / str(number) / f"{public.group(1) if public else 'Snippet'}.java"
        path.parent.mkdir()
        path.write_text(code)
        paths.append(str(path))
    done = _run(["java", str(HERE / "CompileAll.java"), *paths], folder)
    said = done.stdout.splitlines()
    assert [line.split()[1] for line in said if line.startswith(("passed ", "failed "))] == paths, done.stderr
    return [line for line in said if line.startswith("failed ")]


def _go_faults(codes: dict[str, str], folder: Path) -> str:
    (folder / "go.mod").write_text("module snippets\n\ngo 1.19\n")
    for number, code in enumerate(codes.values()):
        path = folder / f"s{number}" / "snippet.go"
        path.parent.mkdir()
        path.write_text(code)
    done = _run(["go", "vet", "./..."], folder)
    return done.stderr if done.returncode else ""


@_needs("g++")
@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_every_cpp_snippet_compiles_without_errors(chunk: int, tmp_path: Path) -> None:
    codes = dict(list(snippets("cpp").items())[chunk::CHUNKS])
    assert codes
    assert {name: fault for name, code in codes.items() if "error:" in (fault := _cpp_fault(code, tmp_path))} == {}


@_needs("javac")
@pytest.mark.parametrize("chunk", range(2))
def test_every_java_snippet_compiles(chunk: int, tmp_path: Path) -> None:
    assert _java_faults(dict(list(snippets("java").items())[chunk::2]), tmp_path) == []


@_needs("go")
def test_every_go_snippet_passes_vet(tmp_path: Path) -> None:
    assert _go_faults(snippets("go"), tmp_path) == ""


@_needs("g++")
def test_the_cpp_check_sees_a_fault(tmp_path: Path) -> None:
    assert "error:" in _cpp_fault("int f() { return missing; }", tmp_path)


@_needs("javac")
def test_the_java_check_sees_a_fault(tmp_path: Path) -> None:
    found = _java_faults({"good": "class A { }", "bad": "class B { Missing field; }"}, tmp_path)
    assert len(found) == 1


@_needs("go")
def test_the_go_check_sees_a_fault(tmp_path: Path) -> None:
    assert "missing" in _go_faults({"bad": "package a\n\nfunc f() int { return missing }\n"}, tmp_path)
