"""A ledger as it could be left by versions without bounds: events and rows at the ends of the calendar."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid4

import pytest

from api.use_cases.issue_codes import CodeOrder, CodeTemplate, Usage, issue_batch
from domain.command_bus import Command
from domain.commands.access import record_removal
from domain.commands.access.record_removal import RecordExternalRemoval
from domain.commands.code.change_terms import ChangeTerms
from domain.commands.code.import_code import ImportCode, ImportedUse
from domain.commands.context import CommandContext
from domain.commands.delivery import accept_invite, record_bounce
from domain.commands.delivery.accept_invite import AcceptInvite
from domain.commands.delivery.record_bounce import RecordMailReport
from domain.results import CommandResult
from domain.values.identifiers import EmailAddress
from tests.extremes.extreme_values import FIRST_EAST, LAST_WEST
from tests.support.clients.app_client import AppClient
from tests.support.ledger.code_template import make_template
from tests.support.ledger.code_terms import make_terms

STORED: Final = tuple(
    datetime.fromisoformat(text)
    for text in (
        *(LAST_WEST, FIRST_EAST, "9999-12-31T23:59:59.999999-23:59"),
        *("9999-12-31T23:59:59.999999+00:00", "0001-01-01T00:00:00+00:00"),
    )
)
"""Timestamps that an API without bounds took and stored."""


@contextmanager
def without_bounds() -> Iterator[None]:
    def reported(now: Any, _: object, occurred_at: datetime | None) -> dict[str, Any]:  # noqa: ANN401 - what commands are stamped with
        return now.fields if occurred_at is None else {**now.fields, "occurred_at": occurred_at}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("domain.commands.input_bounds.is_within_bounds", lambda _: True)
        patch.setattr("domain.commands.input_bounds.find_invalid_term", lambda _: None)
        patch.setattr("domain.values.number_bounds.Bounds.holds", lambda *_: True)
        for module in (accept_invite, record_bounce, record_removal):
            patch.setattr(module, "reported_fields", reported)
        yield


def plant(app: AppClient) -> dict[str, UUID]:
    """Events of every type that holds a time from outside, each at every end of the calendar; some codes by name."""
    with without_bounds():
        planted = {f"issued {at}": _issued(app, make_template(max_uses=1, expires_at=at)) for at in STORED}
        for nth, at in enumerate(STORED):
            planted[f"changed {at}"] = code_id = _issued(app, make_template(max_uses=5, bound=False))
            for times in (at, STORED[nth - 1], at):
                _run(app, ChangeTerms(context=_context(app), code_id=code_id, changes={"expires_at": times}))
            _reported(app, at)
            if at.utcoffset() == timedelta(0):
                planted[f"imported {at}"] = _imported(app, at)
        planted["no uses"] = code_id = _issued(app, make_template(max_uses=1))
        _run(app, ChangeTerms(context=_context(app), code_id=code_id, changes={"max_uses": 0}))
    return planted


def _reported(app: AppClient, at: datetime) -> None:
    context, new = CommandContext(now=app.services.now(), actor="channel", actor_id=str(uuid4())), uuid4
    for kind in ("accept", "bounce", "remove"):
        reservation_id = UUID(app.redeem(app.issue(), f"{uuid4().hex}@example.com").json()["reservation_id"])
        app.attempt(str(reservation_id))
        about: dict[str, Any] = {"context": context, "reservation_id": reservation_id, "occurred_at": at}
        commands: dict[str, Command] = {
            "accept": AcceptInvite(**about, delivery=1, case_id=new()),
            "bounce": RecordMailReport(**about, delivery=1, reason="other", case_id=new(), evidence="token"),
            "remove": RecordExternalRemoval(**about),
        }
        _run(app, commands[kind])


def _imported(app: AppClient, at: datetime) -> UUID:
    vault, code_id = app.services.storage.vault, uuid4()
    use = ImportedUse(
        reservation_id=uuid4(),
        recipient=vault.draft_recipient(EmailAddress.parse(f"{uuid4().hex}@example.com"), uuid4()),
        sent_at=at,
        accepted_at=at,
        activated_at=at,
    )
    command = ImportCode(
        context=_context(app),
        code_id=code_id,
        text=vault.draft_code(f"OLD{uuid4().hex}".upper(), code_id),
        source="csv",
        terms=make_terms(max_uses=3, expires_at=at, validity_days=36_500),
        bound=True,
        issued_at=at,
        uses=[use],
    )
    _run(app, command)
    order = CodeOrder(
        uuid4(), f"CSV{uuid4().hex}".upper(), make_template(max_uses=2, expires_at=at), Usage(1, at, is_paused=True)
    )
    issue_batch(app.services.storage, [order], _context(app))
    return code_id


def _issued(app: AppClient, terms: CodeTemplate) -> UUID:
    order = CodeOrder(uuid4(), f"NEW{uuid4().hex}".upper(), terms)
    issue_batch(app.services.storage, [order], _context(app))
    return order.code_id


def _context(app: AppClient) -> CommandContext:
    return CommandContext(now=app.services.now(), actor="operator", request_id=uuid4().hex)


def _run(app: AppClient, command: Command) -> None:
    result = app.services.storage.ledger.execute([command])[0]
    assert isinstance(result, CommandResult), result
