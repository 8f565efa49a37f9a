"""Where commands that only report read from: the standby of LEDGER_READ_DATABASE_URL, if it is recent."""

from collections.abc import Iterator
from contextlib import contextmanager

from projections.config.settings import LedgerSettings
from projections.storage.read_store import ReadStore
from projections.storage.report_store import open_report_connection
from projections.terminal.text import say_error
from projections.vault.vault import Vault


@contextmanager
def open_report_store(settings: LedgerSettings, vault: Vault) -> Iterator[ReadStore]:
    """Open the standby if it has everything until now, otherwise the primary; say which if there is a standby.

    Raises:
        StorageUnavailableError: The primary does not answer.
    """
    conn, is_standby = open_report_connection(settings)
    if is_standby:
        say_error("reading from the standby, which has everything acknowledged before this command")
    elif settings.read_url is not None:
        bound = f"{settings.read_lag_s_max:g} s"
        say_error(f"the standby is more than {bound} behind or unavailable: reading from the primary")
    with conn:
        yield ReadStore(vault, conn)
