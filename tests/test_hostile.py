"""The property tests of hostile_properties.py, each in a process of its own with a limit of memory.

Their audit hook cannot be taken off a process again, and a command line that is called a thousand times in one process
is no command line: what one call leaves behind must not decide what the next one does.
"""

import ast
import resource
import subprocess
import sys
from pathlib import Path

import pytest

PROPERTIES = Path(__file__).with_name("hostile_properties.py")
NAMES = [node.name for node in ast.parse(PROPERTIES.read_text()).body if isinstance(node, ast.FunctionDef)]
CLAIMS = [name for name in NAMES if name.startswith("test_")]
MOST_BYTES = 12 * 2**30


def test_there_are_properties_to_test() -> None:
    assert len(CLAIMS) >= 5


@pytest.mark.parametrize("claim", CLAIMS)
def test_hostile(claim: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"{PROPERTIES}::{claim}"],
        cwd=PROPERTIES.parents[1],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=600,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (MOST_BYTES, MOST_BYTES)),
    )
    assert done.returncode == 0, done.stdout[-8000:]
    assert done.stdout.lstrip().startswith("."), "it was run, not skipped"
