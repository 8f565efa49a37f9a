"""Files of tests that take long run first: `--dist loadfile` gives whole files to processes, in the order of the tests.

One that came last would run alone at the end, while the other processes have nothing to do. Those that mostly wait
alternate with those that compute.
"""

from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
LONG_FILES: Final = (
    "tests/faults/test_failover.py",
    "tests/simulation/test_simulation.py",
    "tests/benchmarks/test_slice.py",
    "tests/contracts/test_omitted_reads.py",
    "tests/browser/test_office.py",
    "tests/packaging/test_release.py",
    "tests/integration/cli/backup/test_drill.py",
    "tests/extremes/test_requests.py",
    "tests/integration/workers/mail_reports/test_mail_hosts.py",
    "tests/faults/test_long_life.py",
    "tests/faults/test_chaos.py",
    "tests/integration/cli/maintenance/test_rebuild_verify.py",
    "tests/integration/api/use_cases/test_redeem_batch.py",
    "tests/faults/test_beats.py",
    "tests/security/test_answers.py",
    "tests/readme/test_readme.py",
)


def order_of(path: Path) -> int:
    """Return the place of a file in the order; files that are not long keep theirs, after all that are."""
    return _PLACES.get(path, len(LONG_FILES))


_PLACES: Final = {ROOT / name: place for place, name in enumerate(LONG_FILES)}
