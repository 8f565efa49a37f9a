"""The channel of `null://`: accepts every letter and drops it, for load tests."""

from domain.ports import Accepted, NotifiedOnly, OutboundMessage, Outcome, Removal, RemovalOutcome


class NullChannel:
    """Looks at nothing and keeps nothing."""

    name = "null"

    def send(self, letter: OutboundMessage) -> Outcome:  # noqa: ARG002 - the port's signature; here nothing is read
        """Accept and drop."""
        return Accepted(server=self.name)

    def revoke(self, removal: Removal) -> RemovalOutcome:  # noqa: ARG002 - as above
        """There is nothing to take away."""
        return NotifiedOnly(server=self.name)

    def close(self) -> None:
        """Nothing is open."""
