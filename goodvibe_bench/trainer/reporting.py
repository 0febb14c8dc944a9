"""Trackers that transformers' own trainer reports to. It writes nothing to them by hand, and imports none. No torch."""

from importlib.util import find_spec

from goodvibe_bench.errors import UsageError


def check(tracker: str | None) -> None:
    """Raise UsageError with the install line where the tracker's package is not there."""
    if tracker is not None and find_spec(tracker) is None:
        raise UsageError(f"--report-to {tracker}: the package {tracker} is not installed: pip install {tracker}")
