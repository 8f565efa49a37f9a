"""A channel without a network, for tests of what comes before and after sending."""

from collections import deque

from domain.ports import Accepted, OutboundMessage, Outcome, Removal, RemovalOutcome


class FakeChannel:
    """Answers from a script, and accepts once the script is used up.

    Attributes:
        sent: Every email that was tried, oldest first.
        revoked: Every access that was to be removed, oldest first.
        closed: Whether `close` was called.
    """

    name = "fake"

    def __init__(self, *outcomes: Outcome) -> None:
        self.sent: list[OutboundMessage] = []
        self.revoked: list[Removal] = []
        self.closed = False
        self._script = deque(outcomes)
        self._by_recipient: dict[str, Outcome] = {}

    def always(self, recipient: str, outcome: Outcome) -> None:
        """Answer so whenever an email goes to this address; this goes before the script."""
        self._by_recipient[recipient] = outcome

    def send(self, message: OutboundMessage) -> Outcome:
        self.sent.append(message)
        if outcome := self._by_recipient.get(message.recipient.typed):
            return outcome
        return self._script.popleft() if self._script else Accepted(server=self.name)

    def revoke(self, removal: Removal) -> RemovalOutcome:
        """Note it and answer as scripted; with the script used up it is removed."""
        self.revoked.append(removal)
        return self._script.popleft() if self._script else Accepted(server=self.name)

    def close(self) -> None:
        self.closed = True
