"""Files that only the owner of the data folder may read."""

import os
from pathlib import Path


def write_private_file(path: Path, text: str) -> None:
    """Write a whole file of mode 600 so that a reader sees the old text or the new one, never a part.

    Raises:
        OSError: The folder can't be written to.
    """
    temporary = path.with_name(f"{path.name}.{os.getpid()}.new")
    temporary.unlink(missing_ok=True)
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
