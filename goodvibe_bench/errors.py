"""The one exception that is the user's fault. It does not format, print or exit: cli.py alone does."""


class UsageError(Exception):
    """Where and what was read, why it is wrong, and the way out; printed without a traceback, exit code 2."""


def nearest(word: str, valid: list[str]) -> str:
    """Return " Did you mean 'x'?" for the nearest valid name, or the list of valid names."""
    import difflib

    close = difflib.get_close_matches(word, valid, n=1, cutoff=0.5)
    if close:
        return f"Did you mean {close[0]!r}?"
    return f"Valid: {', '.join(sorted(valid))}." if valid else "There is none."
