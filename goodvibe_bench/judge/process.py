"""Calls an analyser: an argument list, no shell, a time limit for its whole process group. It reads no output."""

import os
import signal
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

PASSED_ON = ("PATH", "HOME", "TMPDIR", "GOCACHE", "SYSTEMROOT")
SETTINGS = {
    "LC_ALL": "C.UTF-8",
    "PYTHONUTF8": "1",
    "CGO_ENABLED": "0",
    "GOFLAGS": "-mod=mod",
    "GOPROXY": "off",
    "GOSUMDB": "off",
    "GOTOOLCHAIN": "local",
    "GOWORK": "off",
    "SEMGREP_SEND_METRICS": "off",
    "SEMGREP_ENABLE_VERSION_CHECK": "0",
}


@dataclass(frozen=True)
class Said:
    """Standard output and standard error, and why the program could not finish where it could not."""

    output: str
    errors: str
    failed: str | None = None


def call(words: list[str], folder: Path, timeout_seconds: float) -> Said:
    """Return what the program said, run in `folder`; its exit code is no sign, for analysers count findings in it.

    No secret of the environment reaches it. After `timeout_seconds` it and its children are killed.
    """
    environment = {name: os.environ[name] for name in PASSED_ON if name in os.environ} | SETTINGS
    with tempfile.TemporaryDirectory(prefix="goodvibe-settings-") as settings:
        environment["SEMGREP_SETTINGS_FILE"] = str(Path(settings) / "settings.yml")
        environment["SEMGREP_LOG_FILE"] = str(Path(settings) / "semgrep.log")
        try:
            process = subprocess.Popen(  # noqa: S603
                words,  # none of them comes from the code that is judged
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                encoding="utf-8",
                errors="replace",
                start_new_session=True,
            )
        except OSError as error:
            return Said("", "", f"does not start: {error.strerror}")
        with process:
            try:
                output, errors = process.communicate(timeout=timeout_seconds)
            except subprocess.TimeoutExpired:
                return Said("", "", f"no answer in {timeout_seconds:g} seconds")
            finally:
                if process.returncode is None:
                    os.killpg(process.pid, signal.SIGKILL)
    return Said(output, errors)
