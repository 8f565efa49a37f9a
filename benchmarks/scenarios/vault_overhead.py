"""What the vault costs a redeem: `python -m benchmarks.scenarios.vault_overhead`.

Commits of many redeems on one hot code, by the ledger's own code and database, with the vault and with one that
encrypts nothing and whose digests are the texts themselves. They alternate, so that growing data affect both equally.
HTTP is left out and takes as long again, so the share of a whole redeem request is smaller.
"""

import statistics
import sys
import time
from collections.abc import Iterator
from uuid import UUID, uuid4

from benchmarks.harness.stack import run_stack
from domain.commands.context import CommandContext
from domain.commands.reservation.reserve import ReserveUse
from domain.values.identifiers import EmailAddress
from projections.config.settings import LedgerSettings
from projections.storage.bootstrap import LedgerStore
from projections.vault.vault import EncryptedText, RowKind, Vault

COMMIT = 64
"""Redeems in one commit, as many as are grouped under load."""
COMMITS = 40
TURNS = 24
NO_MAIL = {"LEDGER_SMTP_URL": "null://"}


class GlassVault(Vault):
    """Encrypts nothing; for measuring only."""

    def digests(self, kind: RowKind, normal: str) -> tuple[bytes, ...]:
        """Return the text itself."""
        return (f"{kind} {normal}".encode(),)

    def seal(self, kind: RowKind, row_id: UUID, text: str) -> EncryptedText:
        """Return the text itself."""
        return EncryptedText(f"{kind} {row_id} {text}".encode(), 1)


class RedeemTurn:
    """One round of redeems, each by a new recipient."""

    def __init__(self, storage: LedgerStore, vault: Vault, code: str) -> None:
        self.storage = storage
        self.vault = vault
        self.code_digests = storage.vault.typed_code(code).digests

    def run(self) -> tuple[float, float]:
        """Return seconds of wall clock and of this process's CPU for one redeem."""
        wall, cpu = time.perf_counter(), time.process_time()
        for _ in range(COMMITS):
            self.storage.ledger.execute([self._redeem() for _ in range(COMMIT)])
        number = COMMITS * COMMIT
        return (time.perf_counter() - wall) / number, (time.process_time() - cpu) / number

    def _redeem(self) -> ReserveUse:
        address = EmailAddress.parse(f"person.{uuid4().hex}@example.com")
        return ReserveUse(
            context=CommandContext(now=self.storage.recorder.clock.now(), actor="person"),
            code_digests=self.code_digests,
            recipient=self.vault.draft_recipient(address, uuid4()),
            reservation_id=uuid4(),
            language="zh",
        )


def measure_vault_cost(storage: LedgerStore, code: str) -> Iterator[tuple[str, float]]:
    """Measure microseconds of a redeem with and without the vault, and the vault's share of both."""
    glass = GlassVault(storage.vault.rings["pepper"], storage.vault.rings["master"])
    turns = {"sealed": RedeemTurn(storage, storage.vault, code), "glass": RedeemTurn(storage, glass, code)}
    took: dict[str, list[tuple[float, float]]] = {name: [] for name in turns}
    for turn in turns.values():
        turn.run()  # warm
    for number in range(TURNS):
        name = "sealed" if number % 4 in {0, 3} else "glass"
        took[name].append(turns[name].run())
    for which, kind in enumerate(("wall", "cpu")):
        sealed, bare = (statistics.median(times[which] for times in took[name]) for name in ("sealed", "glass"))
        yield f"sealed_{kind}_us", sealed * 1e6
        yield f"glass_{kind}_us", bare * 1e6
        yield f"share_{kind}", 1 - bare / sealed


def main() -> int:
    """Start a stack and measure in it; with a code as argument, measure with the current environment."""
    if len(sys.argv) > 1:
        with LedgerStore.open(LedgerSettings.from_environment()) as storage:
            sys.stdout.write(
                "".join(f"{name} {number:.4g}\n" for name, number in measure_vault_cost(storage, sys.argv[1]))
            )
        return 0
    with run_stack(**NO_MAIL) as ledger, ledger.pause_workers():
        sys.stdout.write(ledger.run_module("benchmarks.scenarios.vault_overhead", ledger.issue()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
