"""Client of the API of Redemption Ledger: `Ledger` for threads, `AsyncLedger` for asyncio."""

from redemption_ledger_client.api_version import API_VERSION
from redemption_ledger_client.calls import Call
from redemption_ledger_client.errors import (
    LedgerError,
    LogRestoredError,
    ProblemError,
    SignatureError,
    UnreachableError,
    UnreadableError,
)
from redemption_ledger_client.ledger import AsyncLedger, Ledger
from redemption_ledger_client.webhooks import WebhookMessage, verify_signature, verify_webhook

__all__ = [
    "API_VERSION",
    "AsyncLedger",
    "Call",
    "Ledger",
    "LedgerError",
    "LogRestoredError",
    "ProblemError",
    "SignatureError",
    "UnreachableError",
    "UnreadableError",
    "WebhookMessage",
    "verify_signature",
    "verify_webhook",
]
