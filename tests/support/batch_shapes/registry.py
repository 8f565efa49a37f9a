"""Shapes of batches: a batch of any size that `execute` decides in one way, with what it needs in the ledger.

There is one for every class of command, and for whatever makes one be loaded or saved differently.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar
from uuid import UUID, uuid4

from msgspec import structs

from domain.command_bus import Command
from domain.commands.code.issue import IssueCode
from domain.commands.delivery.claim_attempt import ClaimAttempt
from domain.commands.delivery.record_outcome import RecordOutcome
from domain.ports import Outcome, Rejected
from domain.values.identifiers import generate_code
from tests.support.ledger.code_terms import make_terms
from tests.support.ledger.ledger_bench import SENT, LedgerBench, done

C = TypeVar("C", bound=Command)
Shape = Callable[[LedgerBench, int], Sequence[Command]]
"""Prepares the ledger and returns a batch of so many commands, or of so many of each kind."""
S = TypeVar("S", bound=Shape)

_SHAPES: Final[dict[str, Shape]] = {}


class IssuedCode(NamedTuple):
    """A code in its normal form, and the command that issues it."""

    text: str
    command: IssueCode


AMPLE: Final = 1_000_000
"""A limit that no batch comes near."""


def shape(name: str) -> Callable[[S], S]:
    """Register a shape.

    Raises:
        ValueError: Another one is called so.
    """

    def register(prepare: S) -> S:
        if name in _SHAPES:
            raise ValueError(f"two shapes are called {name!r}")
        _SHAPES[name] = prepare
        return prepare

    return register


def load_shapes() -> Mapping[str, Shape]:
    for path in sorted(Path(__file__).parent.glob("*.py")):
        import_module(f"{__package__}.{path.stem}")
    return _SHAPES


def new_emails(count: int) -> list[str]:
    """Email addresses that no vault has."""
    return [f"{uuid4().hex}@example.com" for _ in range(count)]


def later(commands: Sequence[C], delay: timedelta) -> list[C]:
    return [
        structs.replace(command, context=structs.replace(command.context, now=command.context.now + delay))
        for command in commands
    ]


def issue(bench: LedgerBench, *, bound: bool = False, campaign_id: UUID | None = None, **terms: Any) -> IssuedCode:
    """Return a new code and what issues it: open to everyone and without a limit, or with the terms that are named."""
    text, code_id = generate_code(bench.random_source), uuid4()
    command = IssueCode(
        context=bench.context("operator"),
        code_id=code_id,
        text=bench.storage.vault.draft_code(text, code_id),
        terms=make_terms(**{"max_uses": None, **terms}),
        bound=bound,
        campaign_id=campaign_id,
    )
    return IssuedCode(text, command)


def issue_codes(bench: LedgerBench, count: int, **terms: Any) -> tuple[list[str], list[UUID]]:
    issued = [issue(bench, **terms) for _ in range(count)]
    bench.storage.ledger.execute([each.command for each in issued])
    return [each.text for each in issued], [each.command.code_id for each in issued]


def issue_code(bench: LedgerBench, **terms: Any) -> str:
    return issue_codes(bench, 1, **terms)[0][0]


def reserve_uses(bench: LedgerBench, count: int, **terms: Any) -> list[UUID]:
    """Redeem a new code so often; the reservations."""
    text = issue_code(bench, **terms)
    results = bench.storage.ledger.execute([bench.reserve(text, email) for email in new_emails(count)])
    return [done(result).require_reservation().reservation_id for result in results]


def claim_uses(bench: LedgerBench, count: int, **terms: Any) -> list[UUID]:
    reservations = reserve_uses(bench, count, **terms)
    bench.storage.ledger.execute([claim(bench, each) for each in reservations])
    return reservations


def send_uses(bench: LedgerBench, count: int, **terms: Any) -> list[UUID]:
    """Redeem a new code so often, with a sent invitation each; the reservations."""
    return attempt_reservations(bench, reserve_uses(bench, count, **terms))


def attempt_reservations(
    bench: LedgerBench, reservations: list[UUID], outcome: Outcome = SENT, channel: str = "smtp"
) -> list[UUID]:
    bench.storage.ledger.execute([claim(bench, each, channel) for each in reservations])
    bench.storage.ledger.execute([record(bench, each, outcome) for each in reservations])
    return reservations


def claim(bench: LedgerBench, reservation_id: UUID, channel: str = "smtp") -> ClaimAttempt:
    context = bench.context("worker", "t1")
    return ClaimAttempt(context=context, reservation_id=reservation_id, channel=channel, case_id=uuid4())


def record(bench: LedgerBench, reservation_id: UUID, outcome: Outcome = SENT) -> RecordOutcome:
    reply = outcome.reply if isinstance(outcome, Rejected) else ""
    return RecordOutcome(
        context=bench.context("worker", "t1"),
        reservation_id=reservation_id,
        delivery=1,
        attempt=1,
        outcome=outcome,
        case_id=uuid4(),
        reply=bench.storage.vault.seal_text(reply, uuid4(), reservation_id) if reply else None,
    )
