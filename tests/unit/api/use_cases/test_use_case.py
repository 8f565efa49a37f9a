from collections.abc import Callable, Sequence
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, Literal, cast
from uuid import UUID

import msgspec
import pytest

from api.use_cases.approvals.requests import (
    ROLES,
    CodeConditions,
    RevokeCodes,
    RevokeLine,
    read_request,
    store_request,
)
from api.use_cases.services import Caller, LedgerServices
from api.use_cases.use_case import perform
from domain.command_bus import Command
from domain.commands.access.rebind import RebindReservation
from domain.commands.code.revoke import RevokeCode
from domain.commands.reservation.correct_recipient import CorrectRecipient
from domain.commands.reservation.refund import RefundReservation
from domain.commands.reservation.request_resend import RequestResend
from domain.commands.reservation.resolve_case import ResolveReservation
from domain.policy import Policy
from domain.results import CommandResult, Result
from projections.config.approvals import ApprovalPolicy
from tests.support.ledger.scenario import Scenario, done, draft_person

STAFF = Caller("staff")


class ServicesOfScenario:
    """What `perform` works with, over a scenario; `woken` has the reservations that workers are woken for."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario, self.woken = scenario, list[UUID]()
        self.dispatcher = SimpleNamespace(dispatch=self.woken.append)
        self.storage = SimpleNamespace(ledger=SimpleNamespace(execute=self._execute))
        self.new_id, self.settling_commands_max = scenario.new_id, 20
        self.approvals = ApprovalPolicy(frozenset(), 0, timedelta(days=3))

    def context(self, caller: Caller) -> object:
        return self.scenario.context(caller.actor)

    def execute(self, command: Command) -> CommandResult:
        return done(self.scenario.run(command))

    def perform(self, command: RebindReservation | RefundReservation | RevokeCode) -> CommandResult:
        return perform(cast("LedgerServices", self), STAFF, command)

    def _execute(self, commands: Sequence[Command]) -> list[Result]:
        return [self.scenario.run(command) for command in commands]


def about(scenario: Scenario, reservation_id: UUID) -> dict[str, Any]:
    return {"context": scenario.context("staff", "r1"), "reservation_id": reservation_id}


def correct(scenario: Scenario) -> object:
    to: dict[str, Any] = {"recipient": draft_person("mei", scenario.new_id()), "new_reservation_id": scenario.new_id()}
    return CorrectRecipient(**about(scenario, scenario.reserved()), **to)


def rebind(scenario: Scenario) -> object:
    return RebindReservation(**about(scenario, scenario.sent()), new_reservation_id=scenario.new_id(), group="blue")


def resolve(scenario: Scenario, resolution: Literal["retry", "sent"]) -> object:
    return ResolveReservation(**about(scenario, scenario.parked()), resolution=resolution, case_id=scenario.new_id())


@pytest.mark.parametrize(
    ("draft", "wakes"),
    [
        (rebind, True),
        (correct, True),
        (lambda scenario: RequestResend(**about(scenario, scenario.sent())), True),
        (lambda scenario: resolve(scenario, "retry"), True),
        (lambda scenario: resolve(scenario, "sent"), False),
        (lambda scenario: RefundReservation(**about(scenario, scenario.reserved()), cause="staff"), False),
    ],
    ids=["rebind", "correct", "resend", "retry", "count", "refund"],
)
def test_worker_is_woken_once_for_due_messages(draft: Callable[[Scenario], object], wakes: bool) -> None:
    scenario = Scenario()
    services, command = ServicesOfScenario(scenario), cast("RebindReservation", draft(scenario))

    result = services.perform(command)
    services.perform(command)

    assert services.woken == ([result.require_reservation().reservation_id] if wakes else [])


def test_revoked_code_is_settled_further_than_its_first_command() -> None:
    """Each command settles a bounded number of reservations; those that wait for staff stay."""
    scenario = Scenario(max_uses=None, bound=False, policy=Policy(revoked_per_command=1))
    for person in ("li", "mei", "wang"):
        scenario.reserved(person)
    services = ServicesOfScenario(scenario)

    services.perform(RevokeCode(context=scenario.context("staff"), code_id=scenario.code_id, case_ids=()))

    assert scenario.code.reserved == 0
    assert services.woken == []


KEY = UUID(int=1)
OF_A_BATCH = (
    '{"what":"revoke_codes","conditions":{"state":"","group":"","campaign":null,"kind":"","since":null,"until":null},'
    f'"batch_id":"{KEY}"}}'
)


def test_revocation_of_codes_is_stored_as_versions_before_stored_it() -> None:
    """So the same request is the same proposal after an upgrade."""
    request = RevokeCodes(CodeConditions(), KEY)

    assert (store_request(request), read_request(OF_A_BATCH)) == (OF_A_BATCH, request)


def test_revocation_of_a_line_has_a_name_of_its_own() -> None:
    """A version before does not read it as the revocation of all codes."""
    request = RevokeLine(KEY)
    stored = store_request(request)

    assert stored == f'{{"what":"revoke_line","line_id":"{KEY}"}}'
    assert (read_request(stored), request.subject_id) == (request, KEY)
    assert ROLES[request.KIND] == "admin"


def test_request_with_a_field_of_a_later_version_is_not_read() -> None:
    """The field may be what limits it."""
    with pytest.raises(msgspec.ValidationError, match="unknown field `shop_id`"):
        read_request(OF_A_BATCH.replace("batch_id", "shop_id"))
