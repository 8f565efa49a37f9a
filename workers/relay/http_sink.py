"""The target of a relay over HTTP: batches of CloudEvents, signed as webhook messages are."""

from collections.abc import Callable, Sequence
from datetime import datetime
from http import HTTPStatus
from typing import Final

from domain.webhooks.cloud_events import BATCH
from domain.webhooks.signatures import sign
from workers.http_client.client import NotSentError, PinnedHttpClient, UnansweredError
from workers.relay.sink import RelayRecord, SinkRefusedError, SinkTooLargeError, SinkUnavailableError

REMEDIES: Final = {
    "target_refused": "its address is not on the public internet: permit its network by LEDGER_WEBHOOK_ALLOW_PRIVATE",
    "unreachable": "it cannot be reached",
    "tls_failed": "its certificate is not valid",
    "timeout": "no answer in time",
    "connection_lost": "it closed the connection before it answered",
    "bad_reply": "its answer is not HTTP",
}


class HttpSink:
    """Posts each batch in one request; a status from 200 to 299 acknowledges it.

    Args:
        http: Client; its timeout bounds a request.
        url: Where to post.
        secrets: For the signature; none: not signed.
        longest_send_s: Timeout of the client.
        now: The present time.
    """

    def __init__(
        self,
        http: PinnedHttpClient,
        url: str,
        secrets: Sequence[str],
        longest_send_s: float,
        now: Callable[[], datetime],
    ) -> None:
        self._http, self._url, self._secrets, self._now = http, url, secrets, now
        self.longest_send_s = longest_send_s

    def send(self, records: Sequence[RelayRecord]) -> None:
        """Post a batch."""
        body = b"[" + b",".join(record.envelope for record in records) + b"]"
        headers = {"Content-Type": BATCH}
        if self._secrets:
            message_id = f"relay_{records[0].position}_{records[-1].position}"
            headers |= sign(self._secrets, message_id, self._now(), body)
        try:
            status = self._http.post(self._url, headers, body).status
        except NotSentError as error:
            if error.reason == "target_refused":
                raise SinkRefusedError(REMEDIES[error.reason]) from error
            raise SinkUnavailableError(REMEDIES[error.reason]) from error
        except UnansweredError as error:
            raise SinkUnavailableError(REMEDIES[error.cause]) from error
        if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            raise SinkTooLargeError(f"it answered {status}")
        if not HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
            raise SinkUnavailableError(f"it answered {status}")

    def is_same(self, _: str, /) -> bool:
        """Return False: nothing tells two URLs of one receiver from those of two."""
        return False

    def close(self) -> None:
        """Do nothing: each request has its own connection."""
