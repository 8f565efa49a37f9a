"""What the tests of the embedded stack share."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user may enter; pytest's own are closed to all but their owner."""
    path = Path(tempfile.mkdtemp(prefix="ledger-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)
