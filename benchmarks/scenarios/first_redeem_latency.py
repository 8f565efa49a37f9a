"""How long a new process takes for its first redeem of each code.

Run as `python -m benchmarks.scenarios.first_redeem_latency WARM CODE...`
It uses the settings of an API process. It prints a line of milliseconds for each code; each number is from a newly
opened ledger, whose connection and statements are warm from redeems of the code WARM.
"""

import sys
import time
from uuid import uuid4

from domain.commands.context import CommandContext
from domain.commands.reservation.reserve import ReserveUse
from domain.errors import Refusal
from domain.values.identifiers import EmailAddress, normalize_code
from projections.config.settings import LedgerSettings
from projections.storage.bootstrap import LedgerStore

ATTEMPTS = 5
WARM_UPS = 8
"""psycopg prepares a statement at its sixth use."""


def main() -> None:
    """Measure and print."""
    warm, *codes = sys.argv[1:]
    settings = LedgerSettings.from_environment()
    for code in codes:
        sys.stdout.write(" ".join(f"{_measure_first_ms(settings, warm, code):.3f}" for _ in range(ATTEMPTS)) + "\n")


def _measure_first_ms(settings: LedgerSettings, warm: str, code: str) -> float:
    with LedgerStore.open(settings, pool_size=1) as storage:
        for _ in range(WARM_UPS):
            _redeem(storage, warm)
        began = time.perf_counter()
        _redeem(storage, code)
        return (time.perf_counter() - began) * 1000


def _redeem(storage: LedgerStore, code: str) -> None:
    command = ReserveUse(
        context=CommandContext(now=storage.recorder.clock.now(), actor="operator"),
        code_digests=storage.vault.compute_digests("code", normalize_code(code)),
        recipient=storage.vault.draft_recipient(EmailAddress.parse(f"cold{time.monotonic_ns()}@example.com"), uuid4()),
        reservation_id=uuid4(),
        language="en",
    )
    result = storage.ledger.execute([command])[0]
    if isinstance(result, Refusal):
        raise result


if __name__ == "__main__":
    main()
