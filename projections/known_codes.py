"""Which codes of a file the ledger has already, and how those came into being."""

from collections.abc import Sequence

from domain.events import Event
from projections.codec import decode
from projections.reading import Reader


class KnownCodes(Reader):
    """Looks codes up by their texts, many at once."""

    def beginnings(self, texts: Sequence[str]) -> dict[str, list[Event]]:
        """The first two events of codes by their texts in normal form; unknown texts are missing."""
        vault = self._storage.vault
        by_digest = {digest: text for text in texts for digest in vault.digests("code", text)}
        found: dict[str, list[Event]] = {}
        if by_digest:
            for digest, _, topic, state in self._all("first_events_of_texts", list(by_digest)):
                found.setdefault(by_digest[bytes(digest)], []).append(decode(topic, bytes(state)))
        return found
