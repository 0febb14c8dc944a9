"""Files that are whole or absent, whatever ends the process that writes them. It knows nothing of what they hold."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PARTIAL = ".partial-"
"""What the name of an unfinished file or folder begins with."""


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Give a file to write in place of `path`, whose name it takes at the end; after an error neither is there anew."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=PARTIAL)
    os.close(handle)
    partial = Path(name)
    try:
        yield partial
        partial.chmod(0o644)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write `text` so that the file is there whole or not at all, and on the disk."""
    with whole(path) as partial, partial.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


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
