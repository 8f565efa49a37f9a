"""The state of a code: one word for lists, and the counters and the binding after a refund."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from msgspec.structs import replace

from domain.events.code import (
    CodeIssued,
    CodeNoted,
    CodePaused,
    CodeResumed,
    CodeRevoked,
    CodeTermsChanged,
    OpeningBalanceImported,
)
from domain.events.event import Event
from domain.events.reservation import CaseOpened, InviteSent, LateSuccessRecorded, UseRefunded, UseReserved
from domain.model.redeem_code import RedeemCode, evolve_code
from tests.support.ledger.code_terms import make_terms
from tests.support.ledger.scenario import SENT, START, Scenario, done

TOMORROW = START + timedelta(days=1)


def test_state_is_the_first_answer_that_a_new_person_would_get() -> None:
    scenario = Scenario(max_uses=2, bound=False, expires_at=TOMORROW)
    assert scenario.code.state(START) == "active"
    scenario.sent("li")
    assert scenario.code.state(START) == "active"
    second = scenario.reserved("mei")
    assert scenario.code.state(START) == "held"
    scenario.attempt(second, SENT)
    assert scenario.code.state(START) == "exhausted"
    assert scenario.code.state(TOMORROW) == "expired"


def test_state_of_a_code_without_limit_is_active() -> None:
    scenario = Scenario(max_uses=None, bound=False)
    scenario.sent()

    assert scenario.code.state(START) == "active"


def test_state_names_the_decision_of_staff_first() -> None:
    scenario = Scenario(expires_at=TOMORROW)
    scenario.pause()
    assert scenario.code.state(TOMORROW) == "paused"
    scenario.revoke()
    assert scenario.code.state(TOMORROW) == "revoked"


@pytest.mark.parametrize("is_reserved", [True, False])
def test_refund_keeps_the_owner_while_another_use_binds_the_code(is_reserved: bool) -> None:
    """One binding use is reserved or sent, the other is refunded: the code stays bound until the last one goes."""
    scenario = Scenario(max_uses=3)
    first = scenario.sent()
    second = scenario.reserved(again=first)
    owner = scenario.code.owner_id

    other, last = (first, second) if is_reserved else (second, first)
    done(scenario.refund(last))
    after_one = scenario.code
    done(scenario.refund(other))

    assert owner is not None
    assert after_one.owner_id == owner
    assert scenario.code.owner_id is None
    assert (scenario.code.used, scenario.code.reserved, scenario.code.sent_binding) == (0, 0, 0)


def test_pause_and_resume_are_dated_versions_of_the_code() -> None:
    scenario = Scenario()
    first = scenario.code.version

    scenario.passes(60)
    scenario.pause()
    paused = scenario.code
    scenario.passes(60)
    scenario.resume()

    assert (paused.version, paused.last_at, paused.is_paused) == (first + 1, START + timedelta(seconds=60), True)
    assert (scenario.code.version, scenario.code.last_at) == (first + 2, scenario.now)
    assert not scenario.code.is_paused


AT = START + timedelta(hours=1)
CODE_ID, ID, OWNER, OTHER = (UUID(int=number) for number in range(1, 5))
FIELDS: dict[str, Any] = {"at": AT, "actor": "staff"}
ATTEMPT: dict[str, Any] = {**FIELDS, "reservation_id": ID, "attempt": 1}
ISSUED = CodeIssued(at=START, actor="operator", max_uses=9, group="Red", bound_to=OTHER)
ISSUED_CODE = evolve_code(None, CODE_ID, 1, ISSUED)
CODE = replace(ISSUED_CODE, version=4, used=3, reserved=2, sent_binding=2, owner_id=OWNER, is_paused=True)
OPEN_CODE = replace(CODE, bound=False, owner_id=None)
RESERVED = UseReserved(**FIELDS, reservation_id=ID, recipient_id=OTHER, deadline=AT, language="en")
LATE = LateSuccessRecorded(**ATTEMPT, recipient_id=OTHER, server="mx", effect="retaken")
REFUND = UseRefunded(**FIELDS, reservation_id=ID, cause="staff", held="used")
COUNTED = {"used": 4, "sent_binding": 3}


@pytest.mark.parametrize(
    ("before", "event", "changes"),
    [
        (CODE, RESERVED, {"reserved": 3, "owner_id": OTHER}),
        (OPEN_CODE, RESERVED, {"reserved": 3}),
        (CODE, InviteSent(**ATTEMPT, server="mx"), {**COUNTED, "reserved": 1}),
        (CODE, InviteSent(**ATTEMPT, server="mx", delivery=2), {}),
        (CODE, InviteSent(**ATTEMPT, server="mx", kind="rebind"), {}),
        (CODE, LATE, {**COUNTED, "owner_id": OTHER}),
        (OPEN_CODE, LATE, COUNTED),
        (CODE, replace(LATE, effect="duplicate"), {}),
        (CODE, replace(LATE, kind="rebind"), {}),
        (CODE, REFUND, {"used": 2, "sent_binding": 1}),
        (CODE, replace(REFUND, held="reserved"), {"reserved": 1}),
        (CODE, replace(REFUND, kind="rebind"), {}),
        (replace(CODE, reserved=0, sent_binding=1), REFUND, {"used": 2, "sent_binding": 0, "owner_id": None}),
        (replace(CODE, reserved=1, sent_binding=1), REFUND, {"used": 2, "sent_binding": 0}),
        (
            replace(CODE, reserved=1, sent_binding=0),
            replace(REFUND, held="reserved"),
            {"reserved": 0, "owner_id": None},
        ),
        (CODE, OpeningBalanceImported(**FIELDS, uses=5, source="old", reason="stated"), {"used": 8}),
        (
            CODE,
            CodeTermsChanged(**FIELDS, max_uses=7, expires_at=AT, validity_days=3, rebinds_max=2),
            {
                "terms": make_terms(max_uses=7, expires_at=AT, validity_days=3, rebinds_max=2),
                "bound_to": None,
            },
        ),
        (CODE, CodeTermsChanged(**FIELDS, max_uses=9, group="Red", bound_to=OWNER), {"bound_to": OWNER}),
        (replace(CODE, is_paused=False), CodePaused(**FIELDS), {"is_paused": True}),
        (CODE, CodeResumed(**FIELDS), {"is_paused": False}),
        (CODE, CodeRevoked(**FIELDS), {"revoked_by": 5}),
        (CODE, CodeNoted(**FIELDS, text_id=ID), {}),
        (CODE, CaseOpened(**FIELDS, reservation_id=ID, case_id=ID, cause="bounced"), {}),
    ],
)
def test_event_changes_exactly_its_fields_of_the_code(
    before: RedeemCode, event: Event, changes: dict[str, object]
) -> None:
    assert evolve_code(before, CODE_ID, 5, event) == replace(before, **{"version": 5, "last_at": AT, **changes})


def test_code_begins_with_the_values_of_its_issue() -> None:
    terms = make_terms(max_uses=9, group="Red")

    assert RedeemCode(
        code_id=CODE_ID, version=1, last_at=START, issued_at=START, terms=terms, bound=True, bound_to=OTHER
    ) == evolve_code(None, CODE_ID, 1, ISSUED)
    assert not evolve_code(None, CODE_ID, 1, replace(ISSUED, bound=False)).bound


def test_fold_of_a_code_rejects_unknown_events() -> None:
    with pytest.raises(TypeError, match=r"^CodePaused can't begin a stream$"):
        evolve_code(None, CODE_ID, 1, CodePaused(**FIELDS))
    with pytest.raises(TypeError, match=r"^no fold for CodeIssued$"):
        evolve_code(CODE, CODE_ID, 5, ISSUED)


@pytest.mark.parametrize(
    ("change", "is_another"),
    [
        ({}, True),
        ({"bound_to": None}, True),
        ({"owner_id": ID}, True),
        ({"bound_to": ID}, True),
        ({"bound_to": ID, "owner_id": ID}, False),
        ({"bound_to": None, "owner_id": ID}, False),
        ({"bound_to": ID, "owner_id": None}, False),
        ({"bound_to": None, "owner_id": None}, False),
        ({"bound_to": None, "bound": False}, False),
        ({"bound_to": ID, "bound": False}, False),
    ],
)
def test_code_is_bound_to_another_person_by_its_terms_or_its_uses(change: dict[str, Any], *, is_another: bool) -> None:
    assert replace(CODE, **change).is_bound_to_another(ID) is is_another


def test_available_uses_are_the_rest_of_the_limit() -> None:
    limited = replace(CODE, terms=replace(CODE.terms, max_uses=5))

    assert (CODE.available, limited.available) == (4, 0)
    assert replace(CODE, terms=replace(CODE.terms, max_uses=None)).available is None
    assert (limited.is_revoked, replace(limited, revoked_by=3).is_revoked) == (False, True)
