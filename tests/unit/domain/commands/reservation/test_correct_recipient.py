"""Correcting a mistyped address moves the use in one append, and only where no other recipient loses by it."""

from datetime import timedelta
from typing import Literal
from uuid import UUID

import pytest

from domain.commands.code.import_code import ImportCode
from domain.commands.delivery.accept_invite import AcceptInvite
from domain.policy import Policy
from domain.values.email_domains import parse_domains
from tests.support.ledger.code_terms import make_terms
from tests.support.ledger.scenario import START, Scenario, ScenarioDraft, done, refusal
from tests.unit.domain.histories import Case, History, answer, cases, change

NOT = "RECIPIENT_NOT_CORRECTABLE"
OPEN = {"max_uses": 5, "bound": False}


@cases(
    sent_use_moves_too_and_its_old_link_is_dead=Case(
        "ly.deliver ly.selfcorrect:li>li ly.accept=LINK_NOT_VALID", balance=(0, 1)
    ),
    corrected_use_is_counted_when_it_is_sent=Case("ly.deliver ly.selfcorrect:li>li sent", balance=(1, 0)),
    asking_twice_gives_the_same_correction=Case(
        "ly.reserve ly.selfcorrect:li>li ly.selfcorrect:li>again=unchanged ly.selfcorrect:li=li"
        f" ly.selfcorrect:zhao={NOT}/refunded"
    ),
    # The use is taken already.
    pause_does_not_stop_it=Case("ly.reserve pause ly.selfcorrect:li=changed"),
    refusals_come_in_order=Case(
        "a.reserve b.reserve c.reserve d.reserve a.refund b.claim c.sent c.accept"
        f" d.selfcorrect:d={NOT}/same revoke a.selfcorrect:lee={NOT}/refunded b.selfcorrect:lee={NOT}/leased"
        f" c.selfcorrect:lee={NOT}/accepted b.answer:sent b.selfcorrect:lee=CODE_REVOKED",
        terms={"max_uses": 9, "bound": False},
    ),
    # Otherwise one use could write to as many addresses as one likes.
    person_corrects_once_and_staff_ever_again=Case(
        f"ly.reserve ly.selfcorrect:li>li selfcorrect:lee={NOT}/corrected_before correct:lee=changed"
    ),
    # A machine or the person would make it a free use.
    unknown_is_corrected_by_staff_only_which_resolves_it=Case(
        f"ly.park ly.selfcorrect:lee={NOT}/unknown ly.correct:li",
        ends="UseRefunded CaseClosed UseReserved",
        balance=(0, 1),
    ),
    not_to_an_address_that_has_one_already=Case(
        f"ly.reserve li.deliver ly.selfcorrect:li={NOT}/address_taken", terms={"max_uses": 2, "bound": False}
    ),
    # Then the address was no mistake.
    not_away_from_an_address_that_has_another_use_of_a_bound_code=Case(
        "ly.deliver>first ly.reserve:first>further"
        f" first.selfcorrect:lee={NOT}/bound further.selfcorrect:lee={NOT}/bound",
        terms={"max_uses": 2},
    ),
    # A late success after a correction never takes the use a second time.
    success_for_the_wrong_address_opens_a_case=Case(
        "ly.reserve ly.lost ly.correct:li>li ly.answer:sent",
        ends="LateSuccessRecorded CaseOpened",
        balance=(0, 1),
        terms=OPEN,
    ),
    failure_for_the_wrong_address_changes_nothing=Case(
        "ly.reserve ly.lost ly.correct:li>li ly.answer:refused",
        ends="UseRefunded UseReserved",
        balance=(0, 1),
        terms=OPEN,
    ),
    correction_by_a_person_ends_an_hour_after_sending=Case(
        f"ly.deliver 3601s ly.selfcorrect:lee={NOT}/too_late ly.correct:li=changed", terms=OPEN
    ),
    correction_by_a_person_is_possible_for_an_hour=Case("ly.deliver 3600s ly.selfcorrect:li=changed", terms=OPEN),
    # However long after sending it comes; the case of the bounce ends with the correction.
    bounce_begins_the_hour_of_the_correction_again=Case(
        f"ly.deliver 100000s ly.selfcorrect:lee={NOT}/too_late ly.bounce 3600s ly.selfcorrect:li=changed",
        ends="UseRefunded CaseClosed AccessCorrected AccessRemoved UseReserved",
        balance=(0, 1),
        terms=OPEN,
    ),
    hour_after_a_bounce_ends=Case(
        f"ly.deliver 100000s ly.selfcorrect:lee={NOT}/too_late ly.bounce 3601s ly.selfcorrect:lee={NOT}/too_late",
        terms=OPEN,
    ),
    bounce_lifts_no_other_limit_of_a_correction=Case(
        "a.deliver b.deliver c.deliver b.accept c.selfcorrect:d>d d.sent e.park 7200s"
        " a.bounce b.bounce d.bounce e.bounce"
        f" b.selfcorrect:lee={NOT}/accepted d.selfcorrect:lee={NOT}/corrected_before e.selfcorrect:lee={NOT}/unknown",
        terms={"max_uses": 9, "bound": False},
    ),
    # A reservation that the channel deferred for days is corrected as long as it is held.
    correction_by_a_person_has_no_time_limit_before_sending=Case(
        "ly.reserve 80000s ly.selfcorrect:li=changed",
        terms={"policy": Policy(correct_within_s=0, reservation_ttl_s=86_400)},
    ),
    # Whether or not the sweep has recorded its end: a bounce may come after it.
    access_that_has_expired_is_not_corrected=Case(
        f"ly.deliver 86400s ly.bounce ly.selfcorrect:li={NOT}/ended ly.correct:li={NOT}/ended",
        terms={"validity_days": 1},
    ),
)
def test_correction_leads_to(case: Case) -> None:
    case.check()


def test_reserved_use_moves_to_the_right_address() -> None:
    history = Case(
        "ly.reserve ly.selfcorrect:li>li",
        ends="UseRefunded UseReserved",
        balance=(0, 1),
        newest={"UseRefunded.cause": "corrected", "UseRefunded.held": "reserved", "UseReserved.caused_by": 3},
    ).check()

    assert history.of().corrects == history.ids["ly"]
    assert history.code.owner_id == history.of().recipient_id


@pytest.mark.parametrize("actor", ["person", "staff"])
def test_address_of_a_domain_that_is_not_allowed_gets_no_use(actor: Literal["person", "staff"]) -> None:
    history = History(max_uses=2)
    wrong = history.sent("ly@example.org")
    done(change(history, allowed_domains=parse_domains("example.com"), starts_at=START + timedelta(days=1)))
    code = b"code" if actor == "person" else None

    assert refusal(history.correct(wrong, "li@example.org", actor=actor, code=code)) == "DOMAIN_NOT_ALLOWED"
    assert history.balance == (1, 0)
    assert done(history.correct(wrong, "li@example.com", actor=actor, code=code)).changed


def test_rebind_ignores_domains() -> None:
    """It brings no new address: the recipient keeps the access, in another group too."""
    history = History(group="blue")
    history.ids["li"] = history.sent("li@example.org")
    done(change(history, denied_domains=parse_domains("example.org")))

    history.run_steps("rebind:green=changed")
    assert refusal(history.redeem("wei@example.org")) == "DOMAIN_NOT_ALLOWED"


def test_public_route_requires_the_code() -> None:
    """Who only knows the address of the status page can't redirect an invitation."""
    scenario = Scenario()
    wrong = scenario.reserved("ly")

    assert refusal(scenario.correct(UUID(int=1), "li", actor="person", code=b"other")) == "NOT_FOUND"
    assert refusal(scenario.correct(wrong, "li", actor="person", code=b"other")) == "CODE_INVALID"


def test_correction_by_a_person_needs_the_token_of_the_reservation() -> None:
    """Code, email address and reservation id are shared or guessable; the token only the maker was given."""
    scenario = Scenario(**OPEN)  # type: ignore[arg-type]  # terms by name, of several types
    mine, other = scenario.sent("li"), scenario.sent("wang")

    for token_of in (None, other):
        result = scenario.correct(mine, "mallory", actor="person", code=b"code", token_of=token_of)
        assert refusal(result) == "CORRECTION_TOKEN_REQUIRED"
    assert refusal(scenario.correct(mine, "m", actor="person", code=b"x", token_of=None)) == "CODE_INVALID"
    assert done(scenario.correct(mine, "lee", actor="person", code=b"code")).changed


@pytest.mark.parametrize("steps", ["li.reserve li.selfcorrect:lee", "li.deliver 7200s li.bounce"])
def test_neither_a_repeat_nor_a_bounce_makes_up_for_the_token(steps: str) -> None:
    """Nothing is revealed, not even that the use was moved to that address before."""
    history = History(steps)

    again = history.correct(history.ids["li"], "lee", actor="person", code=b"code", token_of=None)

    assert refusal(again) == "CORRECTION_TOKEN_REQUIRED"


class TextWithId:
    text_id = UUID(int=7)


def test_bounce_of_another_email_begins_no_hour() -> None:
    history = History(
        "a.deliver b.deliver c.deliver c.bounce b.resend b.sent c.resend c.sent 7200s", max_uses=9, bound=False
    )
    history.bounce(history.ids["a"], mail="notice", reply=TextWithId())

    late = " ".join(f"{person}.selfcorrect:lee={NOT}/too_late" for person in "abc")
    history.run_steps(f"b.bounce {late} b.bounce/2 b.selfcorrect:d=changed")


@pytest.mark.parametrize(("via", "by_staff"), [("link", "changed"), ("callback", f"{NOT}/accepted")])
def test_acceptance_by_link_bars_the_person_but_not_staff(via: Literal["link", "callback"], by_staff: str) -> None:
    """A stranger at a mistyped address may press the button; what the group's system reports is a member who joined."""
    history = History("ly.deliver")
    wrong, context = history.ids["ly"], history.context("person")
    history.run(AcceptInvite(context=context, reservation_id=wrong, delivery=1, case_id=history.new_id(), via=via))

    history.run_steps(f"ly.selfcorrect:lee={NOT}/accepted ly.correct:li={by_staff}")


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

    assert answer(scenario.correct(reservation_id, "lee")) == f"{NOT}/kept_binding"
