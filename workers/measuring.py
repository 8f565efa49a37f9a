"""Wrapped round a channel: how long each letter took, and what was the mail server's fault."""

from domain.ports import Channel, Letter, Outcome, Rejected, Uncertain
from projections.metrics import ERRORS, SEND_SECONDS


class MeasuredChannel:
    """Another channel, with its time and faults counted. An address that is refused is no fault of the server."""

    def __init__(self, inner: Channel) -> None:
        self._inner = inner

    @property
    def name(self) -> str:
        """The channel's own."""
        return self._inner.name

    def send(self, letter: Letter) -> Outcome:
        """Send and count."""
        with SEND_SECONDS.time():
            outcome = self._inner.send(letter)
        if isinstance(outcome, Uncertain) or (isinstance(outcome, Rejected) and not outcome.about_address):
            ERRORS.labels("smtp_error").inc()
        return outcome

    def close(self) -> None:
        """End its connections."""
        self._inner.close()
