"""Tests that `make small` leaves out: they use no bound, or those alone that every request of other tests uses."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
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
    "tests/unit/projections/telemetry/test_multiprocess.py": "files of metrics",
    "tests/unit/workers/test_celery_process.py": "processes that start and end",
    "tests/unit/workers/test_settings.py": "settings",
}
"""By file or folder, what they are about. `tests.small_world.uses` fails if that leaves a bound without a test.

A file belongs here if its tests execute the same lines in both worlds, or others only of what has separate tests.
"""


def is_left_out(path: Path) -> bool:
    """Return whether a file or folder of tests is left out."""
    return any(path.is_relative_to(ROOT / left_out) for left_out in LEFT_OUT)
