"""Which files of tests run in the small world: a file that can runs in one world by day, and in the other by night.

Its name decides, never the commit: a change that has nothing to do with a file must not move it. A test that is about
one world says so by a mark (`small_world`, `usual_world`), and runs there whatever the world of its file is.
"""

import os
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal

from tests.small_world.loader import SWITCH

World = Literal["small", "usual"]

ROOT: Final = Path(__file__).parents[2]
CAN_BE_SMALL: Final = (
    "tests/unit/projections",
    "tests/unit/api",
    "tests/unit/workers",
    "tests/unit/domain/values/test_similar_texts.py",
    "tests/integration",
    "tests/faults/test_long_life.py",
    "tests/faults/test_chaos.py",
    "tests/faults/test_standby_reads.py",
)
"""Tests whose execution a bound can change. All others run in the usual world only."""
LEFT_OUT: Final[Mapping[str, str]] = {
    "tests/integration/api/http/test_schemathesis.py": "random requests: each operation has separate tests",
    "tests/integration/api/v1/test_upload_memory.py": "memory, which batches of the usual size need",
    "tests/integration/cli/backup": "copies of files",
    "tests/integration/cli/embedded": "processes that start and end",
    "tests/integration/cli/server/test_production_checks.py": "settings that a start refuses",
    "tests/integration/cli/test_progress_bars.py": "a terminal that is redirected",
    "tests/integration/cli/test_untrusted_text.py": "characters of texts",
    "tests/integration/projections/database": "connections",
    "tests/integration/projections/engine_check": "questions to a server before there is a ledger",
    "tests/integration/web/staff_auth/test_factor_proofs.py": "proofs of one session",
    "tests/integration/web/staff_auth/test_hashing_queue.py": "threads that hash, as many as there are cores",
    "tests/integration/web/staff_auth/test_login_throttle.py": "limits of sign-ins, by the keys of all limits",
    "tests/integration/web/staff_auth/test_password_links.py": "links of one account",
    "tests/integration/web/staff_auth/test_proofs.py": "proofs of one session",
    "tests/integration/web/staff_auth/test_second_factors.py": "factors of one account",
    "tests/integration/web/staff_auth/test_sign_in.py": "sessions of one account",
    "tests/integration/workers/mail_reports/test_mail_hosts.py": "mail servers; the parser has unit tests",
    "tests/unit/api/cli/test_command_index.py": "modules that commands import",
    "tests/unit/projections/telemetry/test_log_setup.py": "lines of logs",
    "tests/unit/projections/telemetry/test_counters.py": "files of metrics",
    "tests/unit/workers/test_settings.py": "settings, and processes that start and end",
}
"""By file or folder, what they are about. `tests.small_world.uses` fails if that leaves a bound without a test.

A file belongs here if its tests execute the same lines in both worlds, or others only of what has separate tests.
"""


def can_be_small(path: Path) -> bool:
    """Return whether a file or folder of tests can run in the small world."""
    return _is_below(path, CAN_BE_SMALL) and not _is_below(path, LEFT_OUT)


def world_of(path: Path) -> World:
    """Return the world that a file of tests has by day."""
    name = path.relative_to(ROOT).as_posix().encode()
    return "small" if can_be_small(path) and zlib.crc32(name) % 2 else "usual"


def find_worlds(path: Path) -> set[World]:
    """Return the worlds that a file of tests is imported in by day: its own, and those that its marks name."""
    text = path.read_bytes()
    marked: set[World] = {world for world in ("small", "usual") if b"mark.%b_world" % world.encode() in text}
    return {world_of(path)} | marked


def is_split() -> bool:
    """Return whether the run gives each file its world. A run in one world for all sets `SMALL_WORLD`."""
    return SWITCH not in os.environ


def _is_below(path: Path, folders: Mapping[str, str] | tuple[str, ...]) -> bool:
    return any(path.is_relative_to(ROOT / folder) for folder in folders)
