"""An embedded stack whose leases, deadlines and retries are short, so that faults have their effect within seconds."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

from api.cli.embedded.tcp_ports import find_free_port
from tests.support.servers.embedded_stack import Stack


@contextmanager
def open_short_lived_stack(
    folder: Path, smtp_url: str, *, lease_s: int, ttl_s: int, settings: Mapping[str, str] = MappingProxyType({})
) -> Iterator[Stack]:
    """Run a stack in a new folder until it is ready, and stop it in the end; `ttl_s` bounds unsettled reservations."""
    env = {
        "LEDGER_SMTP_URL": smtp_url,
        "LEDGER_MAIL_FROM": "ledger@example.com",
        "LEDGER_RATE_LIMIT": "off",
        "LEDGER_LEASE_S": str(lease_s),
        "LEDGER_SMTP_TIMEOUT_S": "2",
        "LEDGER_SMTP_DOT_TIMEOUT_S": "3",
        "LEDGER_WEBHOOK_TIMEOUT_S": "2",
        "LEDGER_RESERVATION_TTL_S": str(ttl_s),
        "LEDGER_RETRY_FIRST_S": "0.5",
        "LEDGER_RETRY_LONGEST_S": "4",
        "LEDGER_SWEEP_S": "1",
        "LEDGER_TASK_TIME_LIMIT_S": "20",
        "LEDGER_VISIBILITY_TIMEOUT_S": "25",
        **settings,
    }
    stack = Stack(folder, find_free_port(), env)
    try:
        stack.wait_ready()
        yield stack
    finally:
        stack.stop()
