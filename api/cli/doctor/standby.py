"""Health check of the standby that answers reports."""

from api.cli.doctor.check_result import CheckResult, CheckResults
from projections.config.settings import LedgerSettings
from projections.database.errors import StorageUnavailableError, describe_target
from projections.storage.report_store import open_report_connection


def check_standby(settings: LedgerSettings) -> CheckResults:
    """Check that the standby has, within the bound, what the primary had; no result without one."""
    if (url := settings.read_url) is None:
        return
    where, bound = describe_target(url), f"{settings.read_lag_s_max:g} s"
    try:
        conn, is_recent = open_report_connection(settings)
        conn.close()
    except StorageUnavailableError as error:
        yield CheckResult("standby", "skipped", f"not checked: {error}")
        return
    if is_recent:
        yield CheckResult("standby", "ok", f"{where} answers reports: it had everything within {bound}")
        return
    description = f"{where} is not a standby of this primary, does not answer, or is more than {bound} behind"
    remedy = "see pg_stat_replication on the primary, or unset LEDGER_READ_DATABASE_URL; the primary answers reports"
    yield CheckResult("standby", "wrong", description, remedy)
