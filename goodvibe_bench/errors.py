"""The exceptions that are no bug of ours. They do not format, print or exit: cli/ alone does."""


class UsageError(Exception):
    """Where and what was read, why it is wrong, and the way out; printed without a traceback, exit code 2."""


class RunError(Exception):
    """What something outside of us did, such as an engine that ended; printed without a traceback, exit code 1."""


def nearest(word: str, valid: list[str]) -> str:
    """Return "Did you mean 'x'?" for the nearest valid name, or the list of valid names."""
    return close(word, valid) or (f"Valid: {', '.join(sorted(valid))}." if valid else "There is none.")


def close(word: str, valid: list[str]) -> str:
    """Return "Did you mean 'x'?" for the nearest valid name, nothing where none is near."""
    import difflib

    found = difflib.get_close_matches(word, valid, n=1, cutoff=0.5)
    return f"Did you mean {found[0]!r}?" if found else ""
