"""Files that are whole or absent, whatever ends the process that writes them. It knows nothing of what they hold."""

import os
import tempfile
from pathlib import Path

PARTIAL = ".partial-"
"""What the name of an unfinished file or folder begins with."""


def write_text(path: Path, text: str) -> None:
    """Write `text` so that the file is there whole or not at all."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=PARTIAL)
    partial = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        partial.chmod(0o644)
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def publish(partial: Path, folder: Path) -> None:
    """Rename a finished temporary folder to `folder`, readable by all as ordinary files are.

    What a killed writer left unfinished in it is removed first.
    """
    partial.chmod(0o755)
    for path in partial.rglob("*"):
        if path.name.startswith(PARTIAL) and path.is_file():
            path.unlink()
        else:
            path.chmod(0o755 if path.is_dir() else 0o644)
    partial.rename(folder)
