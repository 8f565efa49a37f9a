"""Health check of the vault's rows, in bounded time."""

import time
from typing import Final

from api.cli.doctor.check_result import CheckResult
from projections.config.settings import LedgerSettings
from projections.database.errors import StorageUnavailableError
from projections.monitoring.health_checks import sampled_vault

CHECKED_S: Final = 5.0
"""Seconds for which rows are decrypted, about 100,000 of them. `ledger verify` decrypts all."""
NAMED_MAX: Final = 3


def check_vault(url: str, settings: LedgerSettings) -> CheckResult:
    """Check that digest and encrypted text of rows match: of all rows, or of as many as the time allows."""
    ends_at = time.monotonic() + CHECKED_S
    try:
        sample, size = sampled_vault(url, settings.open_vault(), lambda: time.monotonic() > ends_at)
    except StorageUnavailableError as error:
        return CheckResult("vault", "skipped", f"not checked: {error}")
    covered = f"{sample.rows} rows" if sample.is_whole else f"{sample.rows} random rows of about {size}"
    if sample.broken:
        names = ", ".join(f"{broken.stream} of {broken.type}" for broken in sample.broken[:NAMED_MAX])
        description = f"{len(sample.broken)} of {covered} are altered: {names}"
        return CheckResult(
            "vault", "wrong", description, "see docs/how-to/runbook.md#vault-altered; `ledger verify` lists every row"
        )
    description = f"{covered}: each can be decrypted and matches its digest"
    return CheckResult("vault", "ok", description if sample.is_whole else f"{description}; `ledger verify` checks all")
