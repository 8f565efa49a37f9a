"""Correcting a mistyped address moves the use in one append, and only where no other recipient loses by it."""

from datetime import timedelta
from typing import Literal
from uuid import UUID

import pytest

from domain.commands.access.rebind import RebindReservation
from domain.commands.code.change_terms import ChangeTerms
from domain.commands.code.import_code import ImportCode
from domain.commands.delivery.accept_invite import AcceptInvite
from domain.errors import RecipientNotCorrectable
from domain.events.reservation import UseRefunded, UseReserved
from domain.policy import Policy
from domain.results import CommandResult
from domain.values.email_domains import parse_domains
from tests.support.ledger.code_terms import make_terms
from tests.support.ledger.scenario import LOST, REFUSED, SENT, START, Scenario, ScenarioDraft, done, refusal


def why(scenario: Scenario, reservation_id: UUID, person: str = "lee") -> str:
    result = scenario.correct(reservation_id, person, actor="person", code=b"code")
    assert isinstance(result, RecipientNotCorrectable), result
    return result.why


def test_reserved_use_moves_to_the_right_address() -> None:
    scenario = Scenario()
    wrong = scenario.reserved("ly")

    right = done(scenario.correct(wrong, "li", actor="person", code=b"code")).require_reservation()

    refund, reserved = scenario.events[-2:]
    assert isinstance(refund, UseRefunded)
    assert isinstance(reserved, UseReserved)
    assert (refund.cause, refund.held, reserved.corrects) == ("corrected", "reserved", wrong)
    assert reserved.caused_by == scenario.code.version - 1
    assert (scenario.balance, scenario.code.owner_id) == ((0, 1), right.recipient_id)


def test_sent_use_moves_too_and_its_old_link_is_dead() -> None:
    scenario = Scenario()
    wrong = scenario.sent("ly")

    right = done(scenario.correct(wrong, "li", actor="person", code=b"code")).require_reservation().reservation_id

    assert scenario.balance == (0, 1)
    assert refusal(scenario.accept(wrong)) == "LINK_NOT_VALID"
    scenario.attempt(right, SENT)
    assert scenario.balance == (1, 0)


def test_asking_twice_gives_the_same_correction() -> None:
    scenario = Scenario()
    wrong = scenario.reserved("ly")
    first = done(scenario.correct(wrong, "li", actor="person", code=b"code"))

    again = done(scenario.correct(wrong, "li", actor="person", code=b"code"))

    assert not again.changed
    assert again.require_reservation().reservation_id == first.require_reservation().reservation_id
    assert why(scenario, wrong, "zhao") == "refunded"


def test_pause_and_expiry_dont_stop_it() -> None:
    """The use is taken already."""
    scenario = Scenario()
    wrong = scenario.reserved("ly")
    scenario.pause()

    assert done(scenario.correct(wrong, "li", actor="person", code=b"code")).changed


@pytest.mark.parametrize("actor", ["person", "staff"])
def test_address_of_a_domain_that_is_not_allowed_gets_no_use(actor: Literal["person", "staff"]) -> None:
    scenario = Scenario(max_uses=2)
    wrong = scenario.sent("ly@example.org")
    allowed = {"allowed_domains": parse_domains("example.com"), "starts_at": START + timedelta(days=1)}
    done(scenario.run(ChangeTerms(context=scenario.context("operator"), code_id=scenario.code_id, changes=allowed)))
    code = b"code" if actor == "person" else None

    refused = scenario.correct(wrong, "li@example.org", actor=actor, code=code)
    unchanged = scenario.balance
    corrected = done(scenario.correct(wrong, "li@example.com", actor=actor, code=code))

    assert refusal(refused) == "DOMAIN_NOT_ALLOWED"
    assert unchanged == (1, 0)
    assert corrected.changed


def test_rebind_ignores_domains() -> None:
    """It brings no new address: the recipient keeps the access, in another group too."""
    scenario = Scenario(group="blue")
    sent = scenario.sent("li@example.org")
    denied = {"denied_domains": parse_domains("example.org")}
    done(scenario.run(ChangeTerms(context=scenario.context("operator"), code_id=scenario.code_id, changes=denied)))

    moved = RebindReservation(
        context=scenario.context("staff"), reservation_id=sent, new_reservation_id=scenario.new_id(), group="green"
    )

    assert done(scenario.run(moved)).changed
    assert refusal(scenario.redeem("wei@example.org")) == "DOMAIN_NOT_ALLOWED"


def test_public_route_requires_the_code() -> None:
    """Who only knows the address of the status page can't redirect an invitation."""
    scenario = Scenario()
    wrong = scenario.reserved("ly")

    assert refusal(scenario.correct(UUID(int=1), "li", actor="person", code=b"other")) == "NOT_FOUND"
    assert refusal(scenario.correct(wrong, "li", actor="person", code=b"other")) == "CODE_INVALID"


def test_refusals_come_in_order() -> None:
    scenario = Scenario(max_uses=9, bound=False)
    returned, leased, accepted, same = (scenario.reserved(person) for person in ("a", "b", "c", "d"))
    scenario.refund(returned)
    scenario.claim(leased)
    scenario.attempt(accepted, SENT)
    scenario.accept(accepted)

    assert why(scenario, same, "d") == "same"
    scenario.revoke()
    assert [why(scenario, reservation_id) for reservation_id in (returned, leased, accepted)] == [
        "refunded",
        "leased",
        "accepted",
    ]
    scenario.outcome(leased, SENT)
    assert refusal(scenario.correct(leased, "lee", actor="person", code=b"code")) == "CODE_REVOKED"


def test_person_corrects_once_and_staff_ever_again() -> None:
    """Otherwise one use could write to as many addresses as one likes."""
    scenario = Scenario()
    second = (
        done(scenario.correct(scenario.reserved("ly"), "li", actor="person", code=b"code"))
        .require_reservation()
        .reservation_id
    )

    assert why(scenario, second) == "corrected_before"
    assert done(scenario.correct(second, "lee")).changed


def test_unknown_is_corrected_by_staff_only_which_resolves_it() -> None:
    """A machine or the person would make it a free use."""
    scenario = Scenario()
    wrong = scenario.parked("ly")

    assert why(scenario, wrong) == "unknown"
    scenario.correct(wrong, "li")

    assert scenario.kinds[-3:] == ["UseRefunded", "CaseClosed", "UseReserved"]
    assert scenario.balance == (0, 1)


def test_not_to_an_address_that_has_one_already() -> None:
    scenario = Scenario(max_uses=2, bound=False)
    wrong = scenario.reserved("ly")
    scenario.sent("li")

    assert why(scenario, wrong, "li") == "address_taken"


def test_not_away_from_an_address_that_has_another_use_of_a_bound_code() -> None:
    """Then the address was no mistake."""
    scenario = Scenario(max_uses=2)
    first = scenario.sent("ly")
    further = scenario.reserved("ly", again=first)

    assert [why(scenario, reservation_id) for reservation_id in (first, further)] == ["bound", "bound"]


@pytest.mark.parametrize("outcome", [SENT, REFUSED])
def test_proof_for_the_wrong_address_opens_a_case(outcome: object) -> None:
    """A late success after a correction never takes the use a second time."""
    scenario = Scenario(max_uses=5, bound=False)
    wrong = scenario.reserved("ly")
    scenario.attempt(wrong, LOST)
    scenario.correct(wrong, "li")

    scenario.outcome(wrong, SENT if outcome is SENT else REFUSED)

    late = ["LateSuccessRecorded", "CaseOpened"] if outcome is SENT else ["UseRefunded", "UseReserved"]
    assert scenario.kinds[-2:] == late
    assert scenario.balance == (0, 1)


def test_correction_by_a_person_needs_the_token_of_the_reservation() -> None:
    """Code, email address and reservation id are shared or guessable; the token only the maker was given."""
    scenario = Scenario(max_uses=5, bound=False)
    mine, other = scenario.sent("li"), scenario.sent("wang")

    for token_of in (None, other):
        result = scenario.correct(mine, "mallory", actor="person", code=b"code", token_of=token_of)
        assert refusal(result) == "CORRECTION_TOKEN_REQUIRED"
    assert refusal(scenario.correct(mine, "m", actor="person", code=b"x", token_of=None)) == "CODE_INVALID"
    assert done(scenario.correct(mine, "lee", actor="person", code=b"code")).changed


def test_repeated_correction_reveals_nothing_without_the_token() -> None:
    """Not even that the use was moved to that address before."""
    scenario = Scenario()
    wrong = scenario.reserved("ly")
    scenario.correct(wrong, "li", actor="person", code=b"code")

    again = scenario.correct(wrong, "li", actor="person", code=b"code", token_of=None)

    assert refusal(again) == "CORRECTION_TOKEN_REQUIRED"


@pytest.mark.parametrize(("seconds", "expected"), [(3600, None), (3601, "too_late")])
def test_correction_by_a_person_ends_an_hour_after_sending(seconds: int, expected: str | None) -> None:
    scenario = Scenario(max_uses=5, bound=False)
    sent = scenario.sent("ly")
    scenario.passes(seconds)

    if expected is None:
        assert done(scenario.correct(sent, "li", actor="person", code=b"code")).changed
    else:
        assert why(scenario, sent) == expected
        assert done(scenario.correct(sent, "li")).changed


@pytest.mark.parametrize(("seconds", "expected"), [(3600, None), (3601, "too_late")])
def test_bounce_begins_the_hour_of_the_correction_again(seconds: int, expected: str | None) -> None:
    """However long after sending it comes; the case of the bounce ends with the correction."""
    scenario = Scenario(max_uses=5, bound=False)
    sent = scenario.sent("ly")
    scenario.passes(100_000)
    before = why(scenario, sent)
    scenario.bounce(sent)
    scenario.passes(seconds)

    assert before == "too_late"
    if expected is None:
        assert done(scenario.correct(sent, "li", actor="person", code=b"code")).changed
        assert (scenario.kinds[-5:-3], scenario.kinds[-1]) == (["UseRefunded", "CaseClosed"], "UseReserved")
        assert scenario.balance == (0, 1)
    else:
        assert why(scenario, sent) == expected


def test_bounce_lifts_no_other_limit_of_a_correction() -> None:
    scenario = Scenario(max_uses=9, bound=False)
    sent, accepted, wrong = (scenario.sent(person) for person in ("a", "b", "c"))
    scenario.accept(accepted)
    corrected = done(scenario.correct(wrong, "d", actor="person", code=b"code")).require_reservation().reservation_id
    scenario.attempt(corrected, SENT)
    unknown = scenario.parked("e")
    scenario.passes(7200)
    for reservation_id in (sent, accepted, corrected, unknown):
        scenario.bounce(reservation_id)

    refused = scenario.correct(sent, "f", actor="person", code=b"code", token_of=None)
    assert refusal(refused) == "CORRECTION_TOKEN_REQUIRED"
    assert [why(scenario, each) for each in (accepted, corrected, unknown)] == [
        "accepted",
        "corrected_before",
        "unknown",
    ]


class TextWithId:
    text_id = UUID(int=7)


def test_bounce_of_another_email_begins_no_hour() -> None:
    scenario = Scenario(max_uses=9, bound=False)
    noticed, resent, late = (scenario.sent(person) for person in ("a", "b", "c"))
    scenario.bounce(late)
    for reservation_id in (resent, late):
        scenario.resend(reservation_id)
        scenario.attempt(reservation_id, SENT)
    scenario.passes(7200)
    scenario.bounce(noticed, mail="notice", reply=TextWithId())
    scenario.bounce(resent)

    assert [why(scenario, each) for each in (noticed, resent, late)] == ["too_late"] * 3
    scenario.bounce(resent, delivery=2)
    assert done(scenario.correct(resent, "d", actor="person", code=b"code")).changed


@pytest.mark.parametrize("actor", ["person", "staff"])
def test_access_that_has_expired_is_not_corrected(actor: Literal["person", "staff"]) -> None:
    """Whether or not the sweep has recorded its end: a bounce may come after it."""
    scenario = Scenario(validity_days=1)
    sent = scenario.sent("ly")
    scenario.passes(86_400)
    scenario.bounce(sent)

    result = scenario.correct(sent, "li", actor=actor, code=b"code" if actor == "person" else None)

    assert isinstance(result, RecipientNotCorrectable)
    assert result.why == "ended"


def test_correction_by_a_person_has_no_time_limit_before_sending() -> None:
    scenario = Scenario(policy=Policy(correct_within_s=0, reservation_ttl_s=86_400))
    reserved_id = scenario.reserved("ly")
    scenario.passes(80_000)

    assert done(scenario.correct(reserved_id, "li", actor="person", code=b"code")).changed


@pytest.mark.parametrize(("via", "staff_may"), [("link", True), ("callback", False)])
def test_acceptance_by_link_bars_the_person_but_not_staff(via: Literal["link", "callback"], *, staff_may: bool) -> None:
    """A stranger at a mistyped address may press the button; what the group's system reports is a member who joined."""
    scenario = Scenario()
    wrong = scenario.sent("ly")
    scenario.run(
        AcceptInvite(
            context=scenario.context("person"), reservation_id=wrong, delivery=1, case_id=scenario.new_id(), via=via
        )
    )

    assert why(scenario, wrong) == "accepted"
    result = scenario.correct(wrong, "li")
    assert isinstance(result, CommandResult) == staff_may
    assert staff_may or (isinstance(result, RecipientNotCorrectable) and result.why == "accepted")


def test_use_of_a_code_that_was_issued_to_its_recipient_stays_with_them() -> None:
    """The code itself is bound, so only releasing the binding makes way for another address."""
    scenario = Scenario()
    code_id = scenario.new_id()
    command = ImportCode(
        context=scenario.context("import"),
        code_id=code_id,
        text=ScenarioDraft([b"kept"], code_id),
        source="csv",
        terms=make_terms(max_uses=2),
        bound=True,
        bound_to=ScenarioDraft([b"li"], scenario.new_id()),
    )
    done(scenario.run(command))
    scenario.working_set.code_ids[b"kept"] = code_id
    reservation_id = done(scenario.redeem("li", code=b"kept")).require_reservation().reservation_id

    result = scenario.correct(reservation_id, "lee")

    assert isinstance(result, RecipientNotCorrectable)
    assert result.why == "kept_binding"
