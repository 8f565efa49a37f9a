"""Signed requests that the clients verify: a webhook message, and a batch of a relay."""

from datetime import UTC, datetime
from typing import Final
from unittest.mock import Mock
from uuid import UUID

from standardwebhooks import Webhook

from workers.http_client.client import PinnedHttpClient
from workers.relay.http_sink import HttpSink
from workers.relay.sink import RelayRecord

SECRET, OTHER_SECRET = ("whsec_" + 43 * character + "=" for character in "AB")
AT: Final = datetime(2026, 11, 24, 8, 30, tzinfo=UTC)
NOW: Final = int(AT.timestamp())
BODY: Final = '{"type":"InviteSent","timestamp":"2026-11-24T08:30:00Z","data":{"position":128}}'
INVALID_SECRETS: Final = (
    *("", "whsec_", "None", "whsec_None", "undefined", SECRET.removeprefix("whsec_"), f"x{SECRET}", f"{SECRET}\n"),
    *(SECRET.removesuffix("="), f"{SECRET}=", SECRET.replace("AA", "A-", 1), SECRET.replace("AA", "A ", 1)),
)
"""Settings that are missing, and what a lenient decoder reads as another secret."""


def sign_message() -> tuple[dict[str, str], dict[str, str]]:
    """Return the headers of a message that is signed by both secrets, and by the second alone."""
    signatures = [Webhook(secret).sign("msg_1", AT, BODY) for secret in (SECRET, OTHER_SECRET)]
    headers = {"Webhook-Id": "msg_1", "webhook-timestamp": str(NOW)}
    both, second = (headers | {"Webhook-Signature": each} for each in (" ".join(signatures), signatures[1]))
    return both, second


def post_batch() -> tuple[str, dict[str, str]]:
    """Return the body and the headers of a batch that a relay posts, signed by both secrets."""
    http = Mock(spec=PinnedHttpClient)
    http.post.return_value.status = 200
    records = [RelayRecord(position, UUID(int=1), {}, b"{}", b'{"data":{}}') for position in (5, 9)]
    HttpSink(http, "https://bi.example.com/", [SECRET, OTHER_SECRET], 1, lambda: AT).send(records)
    _, headers, body = http.post.call_args.args
    return body.decode(), headers
